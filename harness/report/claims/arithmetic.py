"""Arithmetic over the reference tables: the small language in which the paper's disagreements with itself are checked.

    cell(5, "Baseline+2SP", "PSNR, σ=20") > cell(5, "Baseline+2top-k", "PSNR, σ=20")

Numbers, + - * / **, comparisons, and the functions `cell(table, row, column)`, `abs`, `min`, `max`, `round`, `sqrt`.
Nothing else is evaluated: no names, no attributes.
"""

import ast
import math
import operator
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

from harness.base.errors import HarnessError, did_you_mean
from harness.report.tables.table import Table
from harness.report.tables.table_file import PAPER, load_paper_table

_OPERATORS: Mapping[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


def evaluate(expression: str, paper: Path = PAPER) -> float | bool:
    """Return the value of an expression over the tables of a paper: a number, or whether a comparison holds.

    Raises HarnessError, one line, for what is not arithmetic and for a cell that the paper does not print.
    """
    try:
        functions: dict[str, Callable[..., Any]] = {**_FUNCTIONS, "cell": partial(cell, paper=paper)}
        value = _value(ast.parse(expression.strip(), mode="eval").body, functions)
    except (SyntaxError, TypeError, ValueError, ArithmeticError) as error:
        raise HarnessError(f"'{expression.strip()}' is no arithmetic over cells: {error}") from None
    if not isinstance(value, int | float):
        raise HarnessError(f"'{expression.strip()}' is not a number")
    return value


def cell(table: int, row: str, column: str, paper: Path = PAPER) -> float:
    """Return a value of a table as the paper prints it. Raises HarnessError if it prints none."""
    found = paper_table(int(table), paper)
    rows = {r.label: r for r in found.rows}
    if row not in rows:
        raise HarnessError(f"table {table} has no row '{row}'{did_you_mean(row, rows)}")
    if column not in rows[row].paper:
        raise HarnessError(f"table {table}, row '{row}' has no value '{column}'{did_you_mean(column, rows[row].paper)}")
    return rows[row].paper[column].value


_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "abs": abs,
    "min": min,
    "max": max,
    "round": round,
    "sqrt": math.sqrt,
}


@cache
def paper_table(number: int, paper: Path = PAPER) -> Table:
    """Return a table of a paper, read once."""
    return load_paper_table(number, paper)


def _value(node: ast.expr, functions: Mapping[str, Callable[..., Any]]) -> Any:
    match node:
        case ast.Constant(value=int() | float() | str() as value):
            return value
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left, functions), _value(right, functions))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, functions)
        case ast.Compare(left=left, ops=ops, comparators=rest) if all(type(op) in _OPERATORS for op in ops):
            values = [_value(item, functions) for item in (left, *rest)]
            return all(_OPERATORS[type(op)](values[i], values[i + 1]) for i, op in enumerate(ops))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in functions:
            return functions[name](*(_value(item, functions) for item in args))
    raise ValueError(f"'{ast.unparse(node)}' is not allowed")
