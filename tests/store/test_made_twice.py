"""A run that two machines have made: both attempts stay, and it is said whether they agree to the bit, or where not."""

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from harness.attempt.messages import Measure, Point, ResultValue, Sample
from harness.cli import main
from harness.store.connection import open_reader, open_store
from harness.store.made_twice import made_twice
from harness.store.queries import snapshot
from harness.store.verify import verify
from harness.store.writer import finish_attempt


@pytest.fixture
def machine(lab, tmp_path):
    """Return a function that makes a machine's store with one run, in which its result may be changed."""

    def make(name, change=lambda result: result, started="2026-01-02T00:00:00.000+00:00", seed=0, **links):
        path = tmp_path / name / "harness.db"
        with open_store(path) as store:
            here = type(lab)(store)
            here.study()
            here.start(name, started=started, seed=seed, **links)
            result = replace(here.result(name), artifacts=())
            assert finish_attempt(store, change(result))
        return path

    return make


def call(*arguments):
    return CliRunner().invoke(main, ["results", *map(str, arguments)])


def merged(tmp_path, *paths):
    done = call("merge", *paths, "--db", tmp_path / "all.db")
    assert done.exit_code == 0, done.output
    return done.output, tmp_path / "all.db"


def other_code(result):
    return replace(result, code_digest="code2")


def other_accuracy(result):
    first, *rest = result.results
    return replace(result, results=(replace(first, value=first.value + 2**-40), *rest))


def test_equal_bits_are_said_and_both_attempts_stay(machine, tmp_path):
    slower = lambda result: replace(result, measures=(Measure("train_s_per_epoch", 9.0),))  # noqa: E731
    said, path = merged(tmp_path, machine("one"), machine("two", slower, "2026-02-02T00:00:00.000+00:00"))
    assert "1 attempt repeats a run that another one made: 1 with equal bits" in said
    with open_reader(path) as store:
        assert {(a.uid, a.accepted) for a in snapshot(store).attempts} == {("one", False), ("two", True)}
        (found,) = made_twice(store)
    assert (found.differing, found.unexplained, found.counts.uid) == ((), False, "two")
    assert "have equal bits" in found.words
    assert "1 with equal bits" in call("verify", "--from", path).output


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (other_accuracy, "mnist/test accuracy 0.9885 and 0.9885000000009"),
        (lambda r: replace(r, curve=(*r.curve[:-1], Point("train", "loss", 50, 1.5))), "curve: 1 points differ"),
        (lambda r: replace(r, samples=(Sample(r.samples[0].evaluation, "correct", 12, "bits", b"\xff\xe0"),)),
         "mnist/test correct of single items"),
        (lambda r: replace(r, state="nan"), "ended nan and done"),
    ],
)  # fmt: skip
def test_what_differs_is_said_and_is_a_fault_unless_something_explains_it(machine, tmp_path, change, said):
    one = machine("one", lambda result: other_code(change(result)), "2026-03-02T00:00:00.000+00:00")
    merge_said, path = merged(tmp_path, one, machine("two"))
    line = next(line for line in merge_said.splitlines() if "differ:" in line)
    wanted = said if "and" not in said else said.split(" and ")[0]
    assert "mnist: pool 2, seed 0: attempts one and two differ:" in line
    assert wanted in line or "accuracy" in said
    assert "code_digest code2 → code1" in line
    found = verify([path])
    assert (found.faults, len(found.twice)) == ([], 1)
    assert call("verify", "--from", path).exit_code == 0
    _, path = merged(tmp_path / "same", machine("three", change, "2026-04-02T00:00:00.000+00:00"), machine("four"))
    (fault,) = verify([path]).faults
    assert "nothing that was recorded and may change bits was otherwise" in fault
    assert call("verify", "--from", path).exit_code == 1
    (told,) = json.loads(call("verify", "--format", "json", "--from", path).stdout)["made_twice"]
    assert (told["equal_bits"], told["attempts"]) == (False, ["three", "four"])


def test_it_is_seen_across_files_and_travels_from_store_to_store(machine, tmp_path):
    paths = [machine("one", other_accuracy), machine("two", started="2026-05-02T00:00:00.000+00:00")]
    assert len(verify(paths).faults) == 1
    _, both = merged(tmp_path, *paths)
    said, three = merged(tmp_path / "more", both, machine("three", started="2026-01-01T00:00:00.000+00:00"))
    assert "2 attempts repeat a run that another one made: 1 with equal bits" in said
    lines = tmp_path / "all.jsonl"
    assert call("export", "--db", three, "--out", lines).exit_code == 0
    assert len(lines.read_text().splitlines()) == 3
    assert [each.other.uid for each in verify([lines]).twice] == ["one", "three"]


def test_what_one_machine_made_again_and_other_seeds_are_not_made_twice(machine, lab, tmp_path):
    lab.study()
    lab.attempt("a")
    lab.attempt("b", supersedes="a")
    assert made_twice(lab.store) == []
    said, _ = merged(tmp_path, machine("one"), machine("two", seed=1))
    assert "repeat" not in said


def test_only_what_both_have_evaluated_is_compared(machine, tmp_path):
    fewer = lambda result: replace(result, results=result.results[:1], samples=())  # noqa: E731
    more = lambda r: replace(r, results=(*r.results, ResultValue(r.results[0].evaluation, "top5", 0.9)))  # noqa: E731
    said, _ = merged(tmp_path, machine("one", fewer), machine("two", more))
    assert "1 with equal bits" in said
