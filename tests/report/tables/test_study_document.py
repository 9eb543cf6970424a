"""A study's own table after the study was edited: only the trials that stand in it now."""

import json
import re

import pytest
from click.testing import CliRunner

import harness
from harness.cli import main
from harness.report.tables.provenance import ran_on

CODE = "def run(context, *, x, scale=1):\n    return {'y': x * scale}\n"
STUDY = {
    "study": "s",
    "task": "function",
    "target": "f.py:run",
    "metrics": {"y": "maximize"},
    "seeds": [0],
    "trials": [{"name": "x {arguments.x}", "arguments": {"scale": 1}, "grid": {"arguments.x": [1, 2, 3]}}],
}


def changed(**how):
    return {**STUDY, "trials": [{**STUDY["trials"][0], **how}]}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARNESS_DB", raising=False)
    (tmp_path / "f.py").write_text(CODE)
    return tmp_path


def ran(study, **how):
    return harness.run(study, executor="in-process", progress=False, **how)


def rows(text):
    """Return the values of a table in Markdown by their trials."""
    return {
        name: float(value)
        for name, value in re.findall(r"^\| (x [^|]*?) +\|.*?\| +\**([\d.]+) \(n", text, re.MULTILINE)
    }


def call(*words):
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    return result.stdout


def edited_arguments(folder):
    ran(STUDY)
    return ran(changed(arguments={"scale": 10})), {"x 1": 10, "x 2": 20, "x 3": 30}, 3


def edited_code(folder):
    ran(STUDY)
    (folder / "f.py").write_text(CODE.replace("x * scale", "x * scale + 5"))
    return ran(STUDY), {"x 1": 6, "x 2": 7, "x 3": 8}, 3


def dropped_point(folder):
    ran(STUDY)
    return ran(changed(name="x is {arguments.x}", grid={"arguments.x": [2, 3]})), {"x is 2": 2, "x is 3": 3}, 1


def set_for_once(folder):
    ran(STUDY, overrides={"arguments.scale": 10}, limit=1)
    return ran(STUDY), {"x 1": 1, "x 2": 2, "x 3": 3}, 1


@pytest.mark.parametrize("case", [edited_arguments, edited_code, dropped_point, set_for_once])
def test_an_edited_study_shows_the_trials_that_stand_in_it_now(folder, case):
    summary, expected, earlier = case(folder)
    left_out = f"{earlier} trial{'s' if earlier > 1 else ''} of"
    for table in (summary.table(), call("report", "tables", "--study", "s")):
        assert rows(table) == expected
        (note,) = (line for line in table.splitlines() if "stored and left out" in line)
        assert left_out in note
    page = folder / "page.html"
    call("report", "html", "--out", str(page))
    assert page.read_text().count('<details class="trial"') == len(expected)
    listed = call("results", "list")
    assert listed.count(" (earlier)") == earlier
    assert "(earlier): the trial is of an earlier text" in listed


def test_nothing_is_said_of_earlier_texts_where_there_are_none():
    assert "left out" not in ran(STUDY).table()
    assert "(earlier)" not in call("results", "list")


def test_what_is_better_and_the_unit_are_what_the_study_says_now(folder):
    def bold(table):
        return re.findall(r"^\| (x \d) .*\*\*(\d\.\d+) \(n = 1\)\*\*", table, re.MULTILINE)

    assert bold(ran(STUDY).table()) == [("x 3", "3.0000")]
    summary = ran({**STUDY, "metrics": {"y": {"direction": "minimize", "unit": "dB"}}})
    assert bold(summary.table()) == [("x 1", "1.00")]
    assert "y [dB]" in summary.table()
    compared = call("report", "compare", "s:x 1", "s:x 2", "--format", "json")
    assert json.loads(compared)["metrics"]["function/returned y (kind returned)"]["a"]["best"] == 1


def test_an_infinite_metric_is_never_the_best(folder, capsys):
    (folder / "f.py").write_text("def run(context, *, x):\n    return {'y': float('inf') if context.seed else x}\n")
    trial = {"name": "x {arguments.x}", "grid": {"arguments.x": [1, 2]}}
    table = harness.run({**STUDY, "seeds": [0, 1], "trials": [trial]}, executor="in-process").table()
    assert "x 1, seed 1: done, y inf" in capsys.readouterr().err
    assert re.search(r"inf \(n = 2, best 1\.0000\)", table)
    assert "**" not in "".join(line for line in table.splitlines() if line.startswith("| x"))
    assert "1 of 2 runs gave inf" in table


def test_the_error_of_a_run_that_failed_is_listed_and_named(folder):
    (folder / "f.py").write_text("def run(context, *, x):\n    raise OSError('no disk')\n")
    ran({**STUDY, "trials": [{"name": "bad", "arguments": {"x": 1}}]})
    assert "no disk" in call("results", "list", "--all")
    shown = CliRunner().invoke(main, ["results", "show", "s:bad:0"])
    assert re.search(r"it has: none; the newest attempt, [0-9a-f]{8}: failed \(OSError: no disk\)", shown.stderr)


def test_it_is_trained_on_a_device_only_if_all_of_it_is_trained():
    network, method = ({"task": {"kind": "denoising"}, **parts} for parts in ({"protocol": {}}, {"model": {}}))
    assert ran_on([network, network]) == "Trained on"
    assert ran_on([network, method]) == ran_on([{"task": {"kind": "function"}}]) == "Run on"
