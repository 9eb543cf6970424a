"""A written kind: ours, another package's, a plug-in's `module:object`, or the nearest of what there is."""

import pytest

from harness.base.checks import FieldError
from harness.plugins.registry import Kinds, PluginKind
from harness.trial.compressors import COMPRESSORS
from harness.trial.datasets import DATASETS
from harness.trial.models import MODELS
from harness.trial.protocol import PROTOCOLS
from harness.trial.tasks import TASKS

FRUIT = Kinds("fruit", {"apple": 1, "pear": 2}, group="harness.fruit", also=("none",), hint=" (or grow one)")
CLOSED = Kinds("fruit", {"apple": 1})


@pytest.fixture(autouse=True)
def _others(monkeypatch):
    given = {"harness.fruit": {"plum": "orchard:Plum", "apple": "orchard:Apple"}}
    monkeypatch.setattr("harness.plugins.plugin.entry_points", lambda group: given.get(group, {}))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("pear", 2),
        ("apple", 1),  # ours, whatever another package calls so
        ("plum", PluginKind("orchard:Plum")),
        ("mine.py:Quince", PluginKind("mine.py:Quince")),
    ],
)
def test_what_a_kind_means(kind, expected):
    assert FRUIT.resolve(kind) == expected


@pytest.mark.parametrize(
    ("kinds", "kind", "message"),
    [
        (FRUIT, "plumm", "unknown fruit 'plumm'; did you mean 'plum'? (or grow one)"),
        (FRUIT, "nome", "unknown fruit 'nome'; did you mean 'none'? (or grow one)"),
        (FRUIT, ["pear"], "unknown fruit '['pear']'; did you mean 'pear'? (or grow one)"),
        (FRUIT, "xyz", "unknown fruit 'xyz'; known: apple, none, pear, plum (or grow one)"),
        (CLOSED, "plum", "unknown fruit 'plum'; known: apple"),
        (CLOSED, "mine.py:Quince", "unknown fruit 'mine.py:Quince'; known: apple"),
    ],
)
def test_an_unknown_kind_names_the_nearest(kinds, kind, message):
    with pytest.raises(FieldError) as raised:
        kinds.resolve(kind)
    assert (raised.value.path, str(raised.value)) == (("kind",), message)


def test_a_name_and_a_mapping_are_one():
    assert FRUIT.split("pear") == FRUIT.split({"kind": "pear"}) == ("pear", {})
    assert FRUIT.split({"kind": "pear", "ripe": True}) == ("pear", {"ripe": True})


@pytest.mark.parametrize(
    ("written", "path", "message"),
    [
        (None, (), "'fruit' is missing; known: apple, none, pear"),
        (3, (), "a fruit is written NAME or {kind: NAME, option: value}, not 3"),
        ({"ripe": True}, ("kind",), "a fruit is written NAME or {kind: NAME, option: value}, not {'ripe': True}"),
    ],
)
def test_another_form_is_refused(written, path, message):
    with pytest.raises(FieldError) as raised:
        FRUIT.split(written)
    assert (raised.value.path, str(raised.value)) == (path, message)


@pytest.mark.parametrize("kinds", [COMPRESSORS, DATASETS, MODELS, PROTOCOLS, TASKS], ids=lambda kinds: kinds.what)
def test_every_part_of_a_trial_has_its_kinds_here(kinds):
    for name, declared in kinds.items():
        assert kinds.resolve(name) is declared
    with pytest.raises(FieldError, match=f"^unknown {kinds.what} '{name}x'; did you mean '{name}'"):
        kinds.resolve(f"{name}x")


@pytest.mark.parametrize(("kinds", "direct"), [(COMPRESSORS, True), (MODELS, True), (PROTOCOLS, False), (TASKS, False)])
def test_which_parts_a_study_may_name_as_module_and_object(kinds, direct):
    if direct:
        assert kinds.resolve("mine:Thing") == PluginKind("mine:Thing")
    else:
        with pytest.raises(FieldError, match="unknown"):
            kinds.resolve("mine:Thing")
