"""`harness search placement` as a person types it: what is printed and written, with which exit code."""

import functools
import json

import pytest
from click.testing import CliRunner

from harness.cli import main
from harness.search import run as search_run
from harness.study.study import load_study


@pytest.fixture
def call(desk, monkeypatch):
    monkeypatch.chdir(desk.folder)
    monkeypatch.delenv("HARNESS_DB", raising=False)
    original = search_run.run_search

    def invoke(*arguments):
        made = functools.partial(original, executors=desk.executor)
        monkeypatch.setattr("harness.search.run.run_search", made)
        words = ["search", "placement", "small.yml", "--device", "cpu", *map(str, arguments)]
        return CliRunner().invoke(main, words)

    return invoke


def test_the_front_is_printed_and_written(call, desk):
    ended = call("--sampler", "brute", "--confirm", "10,11")
    assert ended.exit_code == 0, ended.output
    lines = ended.stdout.splitlines()
    assert lines[0].split() == ["placement", "accuracy", "parameters", "MACs", "confirmed"]
    assert lines[2].split() == ["conv2", "s=32", "0.6500", "200", "2,005", "0.6395", "(0.6400,", "0.6390)"]
    assert "6 of 6 placements tried, known: 6 value; the space is exhausted" in lines
    study, figure = desk.folder / "small-front.yml", desk.folder / "small-front.svg"  # beside the search
    assert lines[-2:] == [f"written: {study}", f"written: {figure}"]
    assert [item.name for item in load_study(study).trials][-1] == "none"
    assert "<!-- 6  none -->" in figure.read_text()


def test_as_json(call, desk, tmp_path):
    ended = call("--sampler", "brute", "--objectives", "accuracy", "--format", "json", "--out", tmp_path / "out")
    found = json.loads(ended.stdout)
    assert found["objectives"] == ["accuracy"]
    assert (found["space"], found["placements"], found["outcomes"], found["stopped"]) == (
        6,
        6,
        {"value": 6},
        "exhausted",
    )
    (best,) = found["front"]
    assert (best["placement"], best["strides"], best["accuracy"]) == ("none", {}, 0.9)
    assert (best["parameters"], best["macs"], best["confirmed"], best["confirmed_values"]) == (6400, 64005, None, {})
    assert load_study(found["study"]).trials[0].trial.config["compressors"] == {}
    assert found["figure"] == str(tmp_path / "out" / "small-front.svg")


def test_a_second_call_says_that_the_budget_is_used_up(call, desk):
    call("--trials", 2)
    begun = len(desk.executor.requests)
    ended = call("--trials", 2)
    assert (ended.exit_code, len(desk.executor.requests)) == (0, begun)
    assert "2 of 6 placements tried, known: 2 value; the budget is used up" in ended.stdout


def test_results_list_knows_the_trials(call, desk):
    call("--sampler", "brute")
    listed = CliRunner().invoke(main, ["results", "list", "--format", "json"])
    assert {row["trial"] for row in json.loads(listed.stdout)} >= {"none", "conv2 s=2", "conv2 s=32"}


def test_failures_are_exit_code_1_and_say_how_to_run_them(call, desk, executor):
    desk.executor = executor(lambda _: "failed")
    ended = call("--trials", 2)
    assert ended.exit_code == 1
    assert "2 of 6 placements tried, known: 2 failed" in ended.stdout
    assert "add --retry failed to run them" in ended.stderr
    assert "written" not in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--set", "protocol.train_on=all"], "protocol.train_on: without_validation"),
        (["--objectives", "accuracy,time"], "--objectives: an item of 'objectives' must be"),
        (["--confirm", "0,1"], "--confirm needs fresh seeds: 0 is one of the search's own [0]"),
        (["--confirm", "1,1"], "--confirm takes different whole numbers from 0, e.g. 10,11,12, not '1,1'"),
        (["--confirm", "one"], "--confirm takes different whole numbers"),
        (["--retry", "fialed"], "--retry: unknown reason 'fialed'; did you mean 'failed'?"),
        (["--set", "strides=[7]"], "--set strides: none of the strides [7] divides"),
    ],
)
def test_wrong_use_is_one_line_and_exit_2_and_makes_nothing(call, desk, arguments, said):
    ended = call(*arguments)
    assert ended.exit_code == 2
    (line,) = ended.stderr.strip().splitlines()
    assert said in line
    assert sorted(path.name for path in desk.folder.iterdir()) == ["small.yml"]
