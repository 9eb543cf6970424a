"""One call after another, as a person makes them: what runs, what is printed, with which exit code."""

import shutil

import pytest

from harness.execution.device import choose_device

FIRST = "Dimension reduction of Conv, 94%"

TROUBLE = """\
study: trouble
task: classification
dataset: digits
model: mnist_cnn
protocol: {kind: digits-quick, epochs: 1, batch_size: 250}
seeds: [0]
execution: {threads: 1}
trials:
  - name: Troubled
    at: conv2
    compressor: {kind: "trouble:Trouble"}
  - name: Sound
    at: conv2
    compressor: {kind: width, stride: 32}
"""

PLUGIN = """\
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import nn


@dataclass(frozen=True)
class Trouble:
    stride: int = 4
    commutes_with: ClassVar[frozenset[str]] = frozenset()

    def conv_channels(self, channels):
        return channels // self.stride

    def out_channels(self, channels):
        return channels // self.stride

    def layer(self, channels):
        return Layer()


class Layer(nn.Module):
    def forward(self, x):  # a comment
        if len(x) == 250 and Path(__file__).with_name("broken").exists():
            raise OSError("out of order")
        return x
"""


def trials_of(lab, text):
    return {row["trial"]: row for row in lab_json(text)}


def lab_json(text):
    import json

    return json.loads(text)


@pytest.fixture(scope="module")
def story(new_lab):
    """A study's calls, one after another, and the folder in which they were made."""
    lab = new_lab()
    lab.study()
    calls = {"dry run": lab.grid("--dry-run"), "dry run as JSON": lab.grid("--dry-run", "--format", "json")}
    after_dry_run = sorted(path.name for path in lab.folder.iterdir())
    calls["only"] = lab.grid("--only", "Second")
    calls["rest"] = lab.grid("--limit", "1")
    calls["nothing"] = lab.grid()
    calls["nothing as JSON"] = lab.grid("--format", "json")
    calls["dry run after"] = lab.grid("--dry-run", "--format", "json")
    return lab, calls, after_dry_run


def test_every_call_ends_well(story):
    assert {name: call.code for name, call in story[1].items()} == dict.fromkeys(story[1], 0)


def test_a_dry_run_tells_all_and_makes_nothing(story):
    _, calls, after = story
    assert after == ["study.yml"]
    assert FIRST in calls["dry run"].out
    assert "2 trials, 2 runs: 0 done, 2 left, 0 held; time left: " in calls["dry run"].out
    rows = trials_of(story[0], calls["dry run as JSON"].out)
    assert list(rows) == [FIRST, "Second"]
    assert rows[FIRST]["parameters"] > rows["Second"]["parameters"] > 0  # their counts: tests/cost/test_count.py
    assert {key: rows[FIRST][key] for key in ("done", "left", "held")} == {"done": 0, "left": 1, "held": 0}


def test_only_and_limit_choose_what_runs(story):
    lab, calls, _ = story
    assert "tiny: Second, seed 0: done, accuracy" in calls["only"].err
    assert FIRST not in calls["only"].err
    assert "in all 1 done, 0 left, 0 held" in calls["only"].out
    assert f"tiny: {FIRST}, seed 0: done, accuracy" in calls["rest"].err
    assert "Second" not in calls["rest"].err
    assert lab.states() == ["done", "done"]


def test_a_second_call_has_nothing_to_do(story):
    _, calls, _ = story
    assert calls["nothing"].out == "nothing to do: 2 done, 0 left, 0 held\n"
    assert calls["nothing"].err == ""
    end = lab_json(calls["nothing as JSON"].out.splitlines()[-1])
    assert end == {
        "event": "end", "interrupted": False, "done": 2, "left": 0, "held": 0, "held_by_reason": {}, "ended": {},
    }  # fmt: skip


def test_off_a_terminal_there_is_a_line_an_epoch(story):
    lines = story[1]["rest"].err.splitlines()
    assert [line.partition("seed 0")[2].partition(",")[0] for line in lines] == [": begins", ": epoch 1/1", ": done"]
    assert lines[-1].startswith("[1/1] ")


def test_a_dry_run_knows_what_is_done(story):
    rows = trials_of(story[0], story[1]["dry run after"].out)
    assert [(row["done"], row["left"], row["seconds_left"]) for row in rows.values()] == [(1, 0, 0.0)] * 2


def test_the_store_knows_what_was_run_on_what(story):
    lab = story[0]
    rows = lab.query("SELECT kind, state, device, threads, exclusive, code_digest, ended > started FROM attempt")
    assert len(rows) == 2
    for kind, state, device, threads, exclusive, digest, after in rows:
        assert (kind, state, device, threads, exclusive, after) == ("train", "done", choose_device("auto"), 1, 0, 1)
        assert len(digest) == 16
    assert lab.query("SELECT count(*) FROM cost WHERE name = 'macs'") == [(2,)]
    assert {len(run["samples"]) for run in lab.found().values()} == {1}


def test_an_override_is_another_trial(story):
    lab = story[0]
    rows = trials_of(lab, lab.grid("--dry-run", "--format", "json", "--set", "protocol.epochs=2").out)
    assert [row["left"] for row in rows.values()] == [1, 1]


@pytest.fixture(scope="module")
def trouble(new_lab):
    """A study of which one trial fails until it is mended from outside."""
    lab = new_lab()
    lab.study(text=TROUBLE.replace("{", "{{").replace("}", "}}"))
    (lab.folder / "trouble.py").write_text(PLUGIN)
    (lab.folder / "broken").touch()
    calls = {"fail fast": lab.grid("--fail-fast"), "go on": lab.grid(), "held": lab.grid()}
    states = [lab.states()]
    (lab.folder / "broken").unlink()
    calls["retry another"] = lab.grid("--retry", "oom,timeout")
    calls["retry"] = lab.grid("--retry", "failed")
    states.append(lab.states())
    return lab, calls, states


def test_a_failure_is_told_in_one_line_and_exit_code(trouble):
    _, calls, _ = trouble
    assert calls["fail fast"].code == 1
    assert "[1/2] trouble: Troubled, seed 0: failed (OSError: out of order; trace: " in calls["fail fast"].err
    assert "Sound" not in calls["fail fast"].err  # --fail-fast: nothing after it was begun
    assert "in all 0 done, 1 left, 1 held (1 failed)" in calls["fail fast"].out


def test_what_failed_is_held_and_the_rest_runs(trouble):
    _, calls, states = trouble
    assert calls["go on"].code == 1
    assert "Sound, seed 0: done" in calls["go on"].err
    assert "Troubled" not in calls["go on"].err
    assert "add --retry failed to run them" in calls["go on"].err
    assert calls["held"].code == calls["retry another"].code == 1
    assert calls["held"].out == "nothing to do: 1 done, 0 left, 1 held (1 failed)\n"
    assert states[0] == ["failed", "done"]


def test_retry_runs_what_was_held(trouble):
    _, calls, states = trouble
    assert calls["retry"].code == 0
    assert "in all 2 done, 0 left, 0 held" in calls["retry"].out
    assert states[1] == ["failed", "done", "done"]


def test_a_failed_attempt_leaves_its_trace_in_a_file(trouble):
    lab = trouble[0]
    ((uid,),) = lab.query("SELECT uid FROM attempt WHERE state = 'failed'")
    assert "trouble.py" in (lab.artifacts / uid / "log.txt").read_text()


def test_a_plugins_comments_do_not_count_and_its_code_does(trouble):
    lab = trouble[0]
    file = lab.folder / "trouble.py"
    file.write_text(PLUGIN.replace("# a comment", "# another one"))
    assert [row["done"] for row in lab_json(lab.grid("--dry-run", "--format", "json").out)] == [1, 1]
    file.write_text(PLUGIN.replace("len(x) == 250", "len(x) == 251"))
    rows = trials_of(lab, lab.grid("--dry-run", "--format", "json").out)
    assert {name: (row["done"], row["left"]) for name, row in rows.items()} == {"Troubled": (0, 1), "Sound": (1, 0)}
    ended = lab.grid()
    assert "Troubled, seed 0: done" in ended.err
    assert "Sound" not in ended.err
    file.write_text(PLUGIN)
    assert lab.grid().out == "nothing to do: 2 done, 0 left, 0 held\n"


def test_a_published_file_makes_a_fresh_store_have_nothing_to_do(story, new_lab):
    lab = story[0]
    assert lab.here("results", "export", "--out", "out.jsonl").code == 0
    other = new_lab()
    other.study()
    shutil.copy(lab.folder / "out.jsonl", other.folder)
    assert "2 attempts taken in, 0 known" in other.here("results", "merge", "out.jsonl").out
    before = other.found()
    assert before == lab.found()
    assert "0 attempts taken in, 2 known" in other.here("results", "merge", "out.jsonl").out
    assert other.found() == before
    assert other.here("results", "export", "--out", "again.jsonl").code == 0
    assert (other.folder / "again.jsonl").read_bytes() == (lab.folder / "out.jsonl").read_bytes()
    assert other.grid().out == "nothing to do: 2 done, 0 left, 0 held\n"


def test_edited_code_of_ours_makes_results_stale_until_one_made_anew_shows_the_same_bits(story, new_lab):
    import harness

    old = story[0]
    lab = new_lab()
    lab.study()
    shutil.copytree(old.folder / "results", lab.folder / "results")
    package = lab.folder / "code" / "harness"
    shutil.copytree(next(iter(harness.__path__)), package, ignore=shutil.ignore_patterns("__pycache__"))
    lab.environment["PYTHONPATH"] = str(package.parent)
    layer = package / "layers" / "width.py"
    layer.write_text(layer.read_text() + "\n# a comment changes nothing\n")
    assert lab.grid().out == "nothing to do: 2 done, 0 left, 0 held\n"
    layer.write_text(layer.read_text() + "\nEDITED = True\n")
    ended = lab.grid()
    assert (ended.code, ended.out) == (0, "nothing to do: 0 done, 0 left, 2 held (2 stale)\n")
    assert "--retry stale" in ended.err
    ended = lab.grid("--retry", "stale", "--only", "Second")
    assert (ended.code, lab.states()) == (0, ["done", "done", "done"])
    (superseded,) = lab.query(
        """SELECT old.code_digest, new.code_digest, old.run_id = new.run_id FROM attempt new
        JOIN attempt old ON old.uid = new.supersedes"""
    )
    assert superseded[0] != superseded[1]
    assert superseded[2] == 1
    assert lab.found() == old.found()  # the edit changed no number
    assert lab.grid().out == "nothing to do: 2 done, 0 left, 0 held\n"  # which one run of the two has shown
