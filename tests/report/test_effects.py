"""`harness report effects`: what a factorial study's runs say of its parts, with seeds that lack some of them."""

import json

import pytest
from click.testing import CliRunner
from own_runs import store_runs

from harness.cli import main

STUDY = """study: own
task: function
target: train.py:run
metrics: {score: {direction: maximize, unit: dB}}
seeds: [0, 1, 2, 3]
ablate: {switches: {arguments.a: 0, arguments.b: 0}, design: factorial, metric: score, by: 0.5}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARNESS_DB", raising=False)
    (tmp_path / "train.py").write_text("def run(context, *, a=1, b=1, c=1):\n    return {}\n")
    return tmp_path


def values(seed, a=1, b=1, c=1):
    """`a` gives 2, `b` gives 1, both together 0.4 more; what is left is even within each seed."""
    noise = 0.1 * (-1) ** (seed + a + b)
    return {"score": 10 * seed + 2 * a + b + 0.4 * a * b + noise}


def call(*words, code=0):
    done = CliRunner().invoke(main, ["report", "effects", *words], catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done.stdout if code == 0 else done.stderr


def stored(folder, text=STUDY, limit=None):
    (folder / "own.yml").write_text(text)
    store_runs("own.yml", values, limit=limit)


def test_effects_are_those_of_the_study(folder):
    stored(folder)
    (found,) = json.loads(call("own.yml", "--format", "json"))
    shown = {row["name"]: row["mixed"]["estimate"] for row in found["rows"]}
    assert shown == pytest.approx({"a": 2.2, "b": 1.2, "a × b": 0.2})
    assert {row["name"]: row["contrast"] for row in found["rows"]} == pytest.approx(shown)
    assert (found["runs"], found["expected"], found["whole"]) == (16, 16, [0, 1, 2, 3])


def test_seeds_that_lack_runs_count(folder):
    """Trials run in order: the last one lacks its last two seeds."""
    stored(folder, limit=14)
    (found,) = json.loads(call("own.yml", "--format", "json"))
    assert (found["runs"], found["seeds"], found["whole"]) == (14, [0, 1, 2, 3], [0, 1])
    assert {row["name"]: row["mixed"]["estimate"] for row in found["rows"]} == pytest.approx(
        {"a": 2.2, "b": 1.2, "a × b": 0.2}, abs=0.1
    )
    text = call("own.yml")
    assert "14 of 16 runs, seeds 0–3; 0, 1 have all of theirs." in text
    assert "by exact sign flips" in text


def test_a_half_has_main_effects_alone(folder):
    text = STUDY.replace("arguments.b: 0}", "arguments.b: 0, arguments.c: 0}").replace("factorial", "fractional")
    stored(folder, text)
    (found,) = json.loads(call("own.yml", "--format", "json"))
    assert [row["name"] for row in found["rows"]] == ["a", "b", "c"]
    assert "aliased with the interaction of all other parts" in call("own.yml")


@pytest.mark.parametrize(
    ("text", "limit", "why"),
    [
        (
            STUDY.replace("factorial", "leave-one-out"),
            None,
            "'own' has no main effects: 'ablate' with 'design: factorial'",
        ),
        (STUDY, 5, "5 runs at 4 seeds do not tell 3 effects apart"),
        (STUDY, 0, "no run of study 'own' is stored"),
    ],
)
def test_what_has_no_effects_is_said_in_a_line(folder, text, limit, why):
    stored(folder, text, limit)
    assert why in call("own.yml", code=2)
