"""Hostile files of text, published lines and databases: studies, tables, searches, JSON lines, SQLite."""

import contextlib
import os
import pickle
import sqlite3
from pathlib import Path

from hostile_core import HEAD, ONE, Payload, case, planned, study

from harness.store.schema import known_migrations

# Files of YAML, read as a study, a table, a search, claims


DIGITS = HEAD.format(data="digits", model="mnist_cnn")
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)
LONG = "x: &x " + "y" * 90_000 + "\nz: [" + ", ".join(["*x"] * 5_000) + "]\n"
TEXTS = {
    "a YAML bomb of aliases": BOMB,
    "a YAML bomb of long texts": LONG,
    "an alias of itself": "a: &a [*a]\n",
    "100,000 open brackets": "a: " + "[" * 100_000,
    "100,000 open braces": "a: " + "{a: " * 100_000,
    "a thousand indents": "".join(" " * n + "a:\n" for n in range(900)),
    "a number of 5,000 digits": DIGITS.replace("[0]", "[" + "9" * 5000 + "]") + ONE,
    "a seed of 20 digits": DIGITS.replace("[0]", "[" + "9" * 20 + "]") + ONE,
    "UTF-16": "study: s\n".encode("utf-16"),
    "Latin-1": "study: caf\xe9\n".encode("latin-1"),
    "NUL in a name": 'study: "a\\0b"\n',
    "half a surrogate": "study: \ud800\n",
    "an escaped half surrogate": DIGITS.replace("study: s", 'study: "\\ud800"') + ONE,
    "a Python object": "study: !!python/object/apply:os.system ['touch ../pwned']\n",
    "a name that leads out": DIGITS.replace("study: s", "study: ../../s") + ONE,
    "an infinite number": DIGITS + ONE.replace("stride: 2", "stride: .inf"),
    "a huge power": DIGITS + ONE.replace("stride: 2", "stride: 1e999999999"),
    "nothing but keys": "".join(f"k{n}: 1\n" for n in range(3_000)),
    "half a megabyte of one line": "study: " + "s" * 490_000,
    "a megabyte": "study: s\n" + "#" * 1_000_000,
    "bytes without an end": bytes(range(256)) * 10,
}  # fmt: skip
for _name, _text in TEXTS.items():
    case(f"study: {_name}")(lambda text=_text: study(text))
for _name in ("100,000 open brackets", "UTF-16", "a Python object", "nothing but keys"):
    for _kind, _words in (
        ("table", ["report", "tables", "--from", "r.jsonl", "--file"]),
        ("search", ["search", "placement"]),
    ):

        def _other(text=TEXTS[_name], words=_words):
            study(text)
            Path("r.jsonl").touch()
            return [*words, "s.yml"]

        case(f"{_kind}: {_name}")(_other)


@case("study: a grid of 10^20 trials")
def _():
    values = ", ".join(map(str, range(1, 101)))
    grid = ", ".join(f"protocol.k{n}: [{values}]" for n in range(10))
    return planned(
        rest=f"trials:\n  - {{name: A, at: conv2, compressor: {{kind: spatial, stride: 2}}, grid: {{{grid}}}}}\n"
    )


@case("study: includes itself")
def _():
    return study("include: s.yml\n" + DIGITS + ONE)


for _name, _path in {"a device": "/dev/zero", "a password file": "../../../../../etc/shadow", "NUL": "a\\0b"}.items():
    case(f"study: includes {_name}")(lambda path=_path: study(f'include: "{path}"\n{HEAD}{ONE}'))
    case(f"study: inputs are {_name}")(
        lambda path=_path: study(
            "study: s\ntask: function\ntarget: f.py:run\nmetrics: {m: minimize}\nseeds: [0]\n"
            f'inputs: ["{path}"]\ntrials: [{{name: A}}]\n'
        )
    )


@case("study: a pipe")
def _():
    os.mkfifo("s.yml")
    return ["run", "grid", "s.yml", "--dry-run"]


@case("study: a link round in a circle")
def _():
    Path("s.yml").symlink_to("t.yml")
    Path("t.yml").symlink_to("s.yml")
    return ["run", "grid", "s.yml", "--dry-run"]


@case("study: a link to a device")
def _():
    Path("s.yml").symlink_to("/dev/zero")
    return ["run", "grid", "s.yml", "--dry-run"]


# Published lines


def lines(content):
    Path("r.jsonl").write_bytes(content)
    return ["results", "merge", "r.jsonl", "--db", "new.db"]


for _name, _content in {
    "100,000 open brackets": b"[" * 100_000 + b"\n",
    "100,000 open braces": b'{"a":' * 100_000 + b"\n",
    "a number of 5,000 digits": b'{"format": ' + b"9" * 5000 + b"}\n",
    "a huge power": b'{"format": 1e999999999}\n',
    "UTF-16": '{"format": 1}\n'.encode("utf-16"),
    "NUL": b'{"format": 1, "uid": "a\0b"}\n',
    "an escaped half surrogate": b'{"format": 1, "uid": "\\ud800"}\n',
    "NaN": b'{"format": NaN}\n',
    "a list": b"[1, 2]\n",
    "noise": bytes(range(256)) * 9,
    "a pickle": pickle.dumps(Payload()),
    "one key 100,000 times": b"{" + b'"format": 1, ' * 100_000 + b'"uid": 1}\n',
}.items():
    case(f"published: {_name}")(lambda content=_content: lines(content))


# Databases


def database(name, *statements):
    with contextlib.closing(sqlite3.connect(name)) as conn:
        for statement in statements:
            conn.execute(statement)
        conn.commit()


def applied(number, whose, name):
    return f"INSERT INTO _sqlite_migrations VALUES ({number}, '{whose}', '{name}', '2026')"  # noqa: S608


OURS = ["CREATE TABLE _sqlite_migrations (id INTEGER PRIMARY KEY, migration_set TEXT, name TEXT, applied_at TEXT)"]
STORES = {
    "of a browser": ["CREATE TABLE moz_places (id INTEGER PRIMARY KEY, url TEXT)"],
    "of another program that migrates so": [*OURS, applied(1, "other", "m001")],
    "of a newer harness": [*OURS, applied(1, "harness", "m999_later")],
    "with tables of the same names": [
        *OURS,
        *(applied(number, "harness", name) for number, name in enumerate(sorted(known_migrations()))),
        "CREATE TABLE attempt (id INTEGER PRIMARY KEY)",
    ],
}  # fmt: skip
READERS = {
    "list": ["results", "list", "--db", "h.db"],
    "tables": ["report", "tables", "--table", "1", "--from", "h.db"],
    "merge": ["results", "merge", "h.db", "--db", "new.db"],
    "export": ["results", "export", "--db", "h.db", "--out", "x.jsonl"],
}
for _name, _statements in STORES.items():
    for _reader, _words in READERS.items():

        def _store(statements=_statements, words=_words):
            database("h.db", *statements)
            return words

        case(f"store {_name}: {_reader}")(_store)


@case("store: run grid into that of a browser")
def _():
    database("h.db", *STORES["of a browser"])
    return [*planned()[:3], "--db", "h.db"]


for _name, _data in {
    "noise": bytes(range(256)) * 64,
    "a head alone": b"SQLite format 3\0",
    "a head and noise": b"SQLite format 3\0" + bytes(range(256)) * 64,
}.items():

    def _noise(data=_data):
        Path("h.db").write_bytes(data)
        return READERS["list"]

    case(f"store of {_name}")(_noise)


@case("store: a device")
def _():
    return ["results", "list", "--db", "/dev/zero"]
