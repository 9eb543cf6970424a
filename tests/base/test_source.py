"""YAML as plain data with lines: what is read, and what is refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.base.errors import SpecError
from harness.base.source import parse_source, read_source


def refused(text):
    with pytest.raises(SpecError) as caught:
        parse_source(text, "f.yml")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_numbers_and_words_are_those_of_yaml_1_2():
    text = "{a: 1e-4, b: no, c: 010, d: yes, e: true, f: ~, g: 0x1f, h: '1', i: 1_000, j: on, k: 5.}"
    assert parse_source(text, "f.yml").data == {
        "a": 1e-4,
        "b": "no",
        "c": 10,
        "d": "yes",
        "e": True,
        "f": None,
        "g": 31,
        "h": "1",
        "i": 1000,
        "j": "on",
        "k": 5.0,
    }


def test_lines():
    source = parse_source("a: 1\n\n# note\nb:\n  - x\n  - {c: 2,\n     d: 3}\n", "f.yml")
    lines = {("a",): 1, ("b",): 4, ("b", 0): 5, ("b", 1): 6, ("b", 1, "c"): 6, ("b", 1, "d"): 7}
    assert {path: source.line(path) for path in lines} == lines
    assert source.line(("b", 1, "nothing", "here")) == 6
    assert source.line(("nothing",)) == 1
    assert (source.has(("b", 1, "d")), source.has(("b", 2))) == (True, False)
    assert str(source.error(("b", 1, "d"), "wrong")) == "f.yml:7: wrong"


def test_aliases_stand_for_what_they_name():
    source = parse_source("a: &x {k: [1]}\nb: *x\n", "f.yml")
    assert source.data == {"a": {"k": [1]}, "b": {"k": [1]}}
    source.data["a"]["k"].append(2)
    assert source.data["b"] == {"k": [1]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a: !!python/object/apply:os.system ['touch x']",
            "f.yml:1: the tag '!!python/object/apply:os.system' is not allowed here: write plain values",
        ),
        ("a:\n  - !mine {b: 1}", "f.yml:2: the tag '!mine' is not allowed here: write plain values"),
        ("a: !!set {x, y}", "f.yml:1: the tag '!!set' is not allowed here: write plain values"),
        ("a: &x {b: 1}\nc:\n  <<: *x", "f.yml:3: merge keys ('<<') are not allowed here: write the keys out"),
        ("a: 2026-01-02", "f.yml:1: '2026-01-02' is a date in YAML: put it into quotes"),
        ("a: *x", "f.yml:1: not valid YAML: found undefined alias 'x'"),
        ("a: &x\n  - *x", "f.yml: things stand too deep within each other, or within themselves"),
        ("a: 1\nb: !!int two", "f.yml:2: 'two' is no whole number that can be read"),
        ("a: !!bool maybe", "f.yml:1: 'maybe' is no true or false that can be read"),
        ("a: !!float x", "f.yml:1: 'x' is no number that can be read"),
        ("a: " + "9" * 5000, "f.yml:1: '99999999999999999999…' is no whole number that can be read"),
        ("a: 1\nb: 2\na: 3", "f.yml:3: the key 'a' occurs twice"),
        ("a: 1\n3: 2", "f.yml:2: the key 3 must be a word"),
        ("~: 2", "f.yml:1: the key None must be a word"),
        ("true: 2", "f.yml:1: the key True must be a word"),
        ("? [a]\n: 2", "f.yml:1: the key ['a'] must be a word"),
        ("- a", "f.yml:1: the file must hold a mapping (key: value lines)"),
        ("", "f.yml:1: the file must hold a mapping (key: value lines)"),
        ("word", "f.yml:1: the file must hold a mapping (key: value lines)"),
        ("a:\n\t- b", "f.yml:2: not valid YAML: found character '\\t' that cannot start any token"),
        ("a: [", "f.yml:1: not valid YAML: expected the node content, but found '<stream end>'"),
        ("a: {b: c: d}", "f.yml:1: not valid YAML: expected ',' or '}', but got ':'"),
        ("a: 1\n---\nb: 2", "f.yml:2: not valid YAML: but found another document"),
        ("a: \0", "f.yml: not valid YAML: unacceptable character #x0000: special characters are not allowed"),
    ],
)
def test_refused(text, message):
    assert refused(text) == message


def test_a_file_that_is_no_text(tmp_path):
    path = tmp_path / "f.yml"
    path.write_bytes(bytes(range(256)))
    with pytest.raises(SpecError) as caught:
        read_source(path)
    assert str(caught.value) == f"{path}: is not text in UTF-8"


def test_byte_order_mark_and_line_ends_of_windows(tmp_path):
    path = tmp_path / "f.yml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    assert read_source(path).data == {"a": 1, "b": 2}
    assert read_source(path).line(("b",)) == 2


def test_nothing_endless(monkeypatch):
    monkeypatch.setattr("harness.base.source.LARGEST", 1_000)
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]" for n in range(1, 12)]
    assert refused("\n".join(levels)) == "f.yml: the file holds more than 1,000 things, counting aliases"
    assert refused("a: " + "[" * 500) == "f.yml: things stand too deep within each other, or within themselves"


# JSON writes characters beyond these as pairs, and YAML takes no key on a line that is longer than 1,024
_TEXT = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=80)
_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False, allow_infinity=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(_TEXT, _PLAIN, max_size=4))
def test_json_is_read_as_it_was_written(data):
    assert parse_source(json.dumps(data), "f.yml").data == data
