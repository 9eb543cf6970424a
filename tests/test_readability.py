"""The calques of `readability.py`: each pattern finds its own, leaves good English alone, and none is left anywhere."""

import ast
import re

import pytest
from readability import CALQUES, calques, documents, said, sources


@pytest.mark.parametrize("pattern", CALQUES)
def test_a_pattern_finds_its_calque_and_leaves_good_english_alone(pattern):
    _, calque, good = CALQUES[pattern]
    assert re.search(pattern, calque)
    assert not re.search(pattern, good)


MODULE = '''
"""Keys are made anew."""

def run(context):
    """Raise HarnessError where nothing is."""
    raise HarnessError(f"{context} is no compressor" + name("it stands twice"))

def _private():
    """It stands here."""
    return "a row a run"

@click.option("--all", help="Mend all.")
class Report:
    def show(self):
        """Print a line a fault."""
'''


def test_what_people_read_is_looked_at_and_nothing_else():
    found = [(line, text) for line, text in said(ast.parse(MODULE)) if calques(text.lower())]
    assert found == [
        (1, "Keys are made anew."),
        (4, "Raise HarnessError where nothing is."),
        (14, "Print a line a fault."),
        (12, "Mend all."),
        (6, "– is no compressor"),
    ]


@pytest.mark.parametrize("texts", [documents, sources])
def test_no_calque_is_left(texts):
    read = list(texts())
    assert len(read) > 1000
    assert [f"{place}: {calque}" for place, text in read for calque in calques(text)] == []
