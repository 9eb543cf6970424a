"""A dataclass as the form of a study's options: read from its text, with types, limits and defaults."""

import sys

import pytest
from pydantic import BaseModel, ConfigDict

from harness.base.checks import FieldError, validate
from harness.plugins.form import form_of

CODE = """
raise ImportError("nobody imports this")

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

Word = Literal["up", "down"]
Seed = Annotated[int, range(3, 2**4)]


@dataclass(frozen=True)
class Mine:
    '''Words.'''

    stride: int
    power: float
    word: Word = "up"
    whole: bool = True
    seed: Seed = 4
    note: str = ""

    commutes_with: ClassVar[frozenset[str]] = frozenset({"relu"})
    unknown = 3

    def layer(self, channels: int) -> None: ...


class Wrong:
    size: tuple[int, ...] = ()
"""


class Base(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    stride: int


@pytest.fixture
def form(tmp_path, monkeypatch):
    (tmp_path / "form_of_mine.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(tmp_path))
    return form_of("form_of_mine:Mine", Base)


def test_the_fields_are_those_of_the_dataclass(form):
    assert list(form.model_fields) == ["stride", "power", "word", "whole", "seed", "note"]
    assert form.model_validate({"stride": 2, "power": 1.5}).model_dump() == {
        "stride": 2, "power": 1.5, "word": "up", "whole": True, "seed": 4, "note": ""
    }  # fmt: skip
    assert issubclass(form, Base)
    assert "form_of_mine" not in sys.modules


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "'power' is missing"),
        ({"word": "left"}, "'word' must be 'up' or 'down', not 'left'"),
        ({"whole": 1}, "'whole' must be true or false, not 1"),
        ({"seed": 16}, "'seed' must be less than 16, not 16"),
        ({"seed": 2}, "'seed' must be greater than or equal to 3, not 2"),
        ({"seed": True}, "'seed' must be a whole number, not True"),
        ({"commutes_with": []}, "unknown key 'commutes_with'"),
    ],
)
def test_what_a_person_writes_is_checked(form, given, message):
    power = {} if message.startswith("'power'") else {"power": 2.0}
    with pytest.raises(FieldError) as raised:
        validate(form, {"stride": 2, **power, **given})
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("form_of_mine:Wrong", "'tuple.*' in a field: name 'tuple' is not defined"),
        ("form_of_mine:None_", "'form_of_mine' defines no class 'None_'"),
        ("no_such_form:Mine", "there is no module 'no_such_form'"),
    ],
)
@pytest.mark.usefixtures("form")
def test_a_class_that_is_no_form(code, message):
    with pytest.raises(TypeError, match=message):
        form_of(code, Base)
