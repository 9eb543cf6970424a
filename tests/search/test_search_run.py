"""A search from call to call, with made-up runs: what is asked, looked up, run, told, held and resumed."""

import json
import os
import shutil
import signal
from dataclasses import replace

import pytest
from click.testing import CliRunner

from harness.attempt.metrics import Metric
from harness.base.errors import HarnessError
from harness.cli import main
from harness.cli.search import _print as print_result
from harness.execution.plan import plan
from harness.search.ledger import Ledger
from harness.search.outcome import Outcome, study_of
from harness.search.proposals import Proposals
from harness.store.connection import open_reader, open_store
from harness.store.export import published_lines, write_jsonl
from harness.store.merge import merge_jsonl
from harness.store.queries import snapshot
from harness.study.study import load_study

BRUTE = "sampler=brute"
NOTHING = {}


def test_brute_force_tries_every_placement_once_and_ends(desk):
    result = desk.run(BRUTE)
    assert sorted(desk.executor.begun, key=str) == sorted(
        [NOTHING, *({"conv2": s} for s in (2, 4, 8, 16, 32))], key=str
    )
    assert (result.stopped, result.members, result.counts) == ("exhausted", 6, {"value": 6})
    assert desk.states() == ["done"] * 6
    assert desk.display.totals == [6]


def test_a_sampler_is_told_nothing_of_a_full_disk_and_the_next_call_goes_on(desk, monkeypatch):
    told = []
    tell = Proposals.tell
    monkeypatch.setattr(
        Proposals, "tell", lambda self, p, *a, **k: (told.append((p.chosen, a[0])), tell(self, p, *a, **k))
    )
    desk.executor.fate = lambda _: "full"
    for calls in (1, 2):
        result = desk.run(BRUTE, confirm=[9])
        assert (told, desk.states()) == ([], ["interrupted"] * calls)
        assert (result.stopped, result.members, result.counts) == (None, 1, {"unfinished": 1})
        assert (result.summary.failed, result.summary.hindered, result.study_file) == (True, 1, None)
    assert [resumed for _, resumed in desk.display.begun] == [False, True]
    desk.executor.fate = lambda _: 0.5
    result = desk.run(BRUTE)
    assert (result.stopped, result.counts) == ("exhausted", {"value": 6})
    assert [state for _, state in told] == ["value"] * 6


def test_the_command_says_what_hindered_it(desk, capsys):
    desk.executor.fate = lambda _: "full"
    result = desk.run(BRUTE)
    with pytest.raises(SystemExit) as ended:
        print_result(result, "json")
    said = capsys.readouterr()
    assert (ended.value.code, json.loads(said.out)["stopped"]) == (1, "interrupted")
    assert said.err.startswith(
        "1 run was interrupted by a failure of disk or permissions (OSError: [Errno 28] No space"
    )


def test_a_placement_of_which_one_run_is_hindered_stays_open(desk, monkeypatch):
    told = []
    monkeypatch.setattr(Proposals, "tell", lambda _, *arguments, **__: told.append(arguments))
    desk.executor.fate = lambda request: 0.5 if request.seed else "full"
    result = desk.run(BRUTE, "seeds=[0, 1]", jobs=2)
    assert (sorted(desk.states()), told, result.counts) == (["done", "interrupted"], [], {"unfinished": 1})


def test_its_trials_are_ordinary_ones_of_a_study_of_its_name(desk):
    desk.run(BRUTE)
    found = desk.found()
    places = [p for p in found.study_trials if p.study == "small"]
    assert sorted(p.name for p in places) == sorted(["none", *(f"conv2 s={s}" for s in (2, 4, 8, 16, 32))])
    assert all(p.added == p.created and p.seeds == (0,) and p.spec_yaml == desk.file.read_text() for p in places)
    assert all(found.trials[p.trial_key].costs["parameters"] for p in places)
    assert {e.split for e in found.evaluations.values()} == {"validation"}
    assert {d.split for d in found.datasets.values()} == {"train", "validation"}


def test_the_budget_counts_what_the_store_has(desk, large):
    first = desk.run(*large, trials=3)
    assert (first.stopped, first.members, len(desk.executor.requests)) == ("budget", 3, 3)
    assert desk.run(*large, trials=3).members == 3
    assert len(desk.executor.requests) == 3  # nothing to do
    assert desk.run(*large, trials=5).members == 5
    assert len(desk.executor.requests) == 5
    assert len({str(s) for s in desk.executor.begun}) == 5


def test_another_protocol_is_another_budget(desk, large):
    desk.run(*large, trials=2)
    result = desk.run(*large, "protocol.epochs=3", trials=2)
    assert (result.members, len(desk.executor.requests)) == (2, 4)
    assert {r.config["protocol"]["epochs"] for r in desk.executor.requests[2:]} == {3}


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "brute"])
def test_a_call_repeats_itself_on_the_same_store(desk, executor, large, sampler):
    begun = []
    for _ in range(2):
        shutil.rmtree(desk.db.parent, ignore_errors=True)
        desk.executor = executor()
        desk.run(*large, f"sampler={sampler}", trials=14)
        begun.append(desk.executor.begun)
    assert begun[0] == begun[1]
    shutil.rmtree(desk.db.parent)
    desk.executor = executor()
    desk.run(*large, f"sampler={sampler}", "sampler_seed=1", trials=14)
    assert desk.executor.begun != begun[0]


def test_what_another_study_has_run_costs_nothing(desk, executor):
    desk.run(BRUTE, "search=other", trials=3)
    known = desk.executor.begun
    desk.executor = executor()
    result = desk.run(BRUTE, trials=2)
    assert len(desk.executor.begun) == 2
    assert not any(placement in known for placement in desk.executor.begun)
    assert (result.members, result.counts) == (2, {"value": 5})
    assert desk.run(BRUTE).members == 3  # all: the last one is run, those of the other study are known
    assert len(desk.executor.begun) == 3


def test_published_lines_are_as_good_as_runs(desk, executor, tmp_path):
    desk.run(BRUTE)
    lines = tmp_path / "lines.jsonl"
    with open_reader(desk.db) as store:
        write_jsonl(published_lines(store, studies=["small"]), lines)
    shutil.rmtree(desk.db.parent)
    with open_store(desk.db) as store:
        merge_jsonl(store, lines)
    desk.executor = executor()
    result = desk.run(BRUTE)
    assert (desk.executor.requests, result.stopped, len(result.front)) == ([], "exhausted", 6)


def test_a_sampler_that_repeats_itself_is_left(desk, monkeypatch):
    monkeypatch.setattr("harness.search.proposals.Proposals.ask", lambda self: self.ask_for({"conv2": 4}))
    result = desk.run(trials=3)
    assert (result.stopped, desk.executor.begun) == ("repeats", [{"conv2": 4}])


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_a_small_space_is_exhausted_in_spite_of_repeated_proposals(desk, sampler):
    result = desk.run(f"sampler={sampler}", trials=50)
    assert (result.stopped, result.members, len(desk.executor.requests)) == ("exhausted", 6, 6)


def test_the_accuracy_is_the_mean_over_the_seeds_and_a_known_seed_is_not_run_again(desk):
    desk.run(BRUTE, trials=1)
    (first,) = desk.executor.begun
    result = desk.run(BRUTE, "seeds=[0, 2]", trials=1)
    assert [r.seed for r in desk.executor.requests] == [0, 2]
    assert desk.executor.begun[1] == first
    (only,) = result.front
    assert set(only.values) == {0, 2}
    assert only.mean == pytest.approx(sum(only.values.values()) / 2)


def test_jobs_are_asked_side_by_side_and_never_twice(desk, large):
    desk.run(*large, trials=12, jobs=4)
    assert desk.executor.most == 4
    assert len({str(s) for s in desk.executor.begun}) == len(desk.executor.begun) == 12


@pytest.mark.parametrize("state", ["failed", "oom", "timeout"])
@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "brute"])
def test_what_fails_is_held_and_the_search_goes_on(desk, executor, state, sampler):
    desk.executor = executor(lambda request: state if request.config["compressors"] else 0.9)
    result = desk.run(f"sampler={sampler}", trials=6)
    assert (result.stopped, result.counts) == ("exhausted", {"failed": 5, "value": 1})
    assert [c.words for c in result.front] == ["none"]
    assert result.summary.failed
    assert result.summary.plan.held_by_reason() == {state: 5}
    desk.executor = executor()
    assert desk.run(f"sampler={sampler}", trials=6).counts == {"failed": 5, "value": 1}
    assert desk.executor.requests == []
    assert desk.run(f"sampler={sampler}", trials=6, retry=[state]).counts == {"value": 6}
    assert len(desk.executor.requests) == 5


def test_what_fails_again_when_it_is_retried_is_tried_once_a_call(desk, executor):
    desk.executor = executor(lambda _: "failed")
    desk.run(BRUTE, trials=2)
    result = desk.run(BRUTE, trials=2, retry=["failed"])
    assert len(desk.executor.requests) == 4
    assert result.counts == {"failed": 2}


def test_a_failed_seed_spares_the_others(desk, executor):
    desk.executor = executor(lambda _: "failed")
    desk.run(BRUTE, "seeds=[0, 1, 2]", trials=1)
    assert [r.seed for r in desk.executor.requests] == [0]


def test_a_network_that_diverged_is_a_result_and_never_on_the_front(desk, executor):
    desk.executor = executor(lambda request: "nan" if "32" in str(request.config["compressors"]) else 0.5)
    result = desk.run(BRUTE)
    assert result.counts == {"nan": 1, "value": 5}
    assert [c.words for c in result.front] == ["conv2 s=16"]
    assert not result.summary.failed
    desk.run(BRUTE)
    assert len(desk.executor.requests) == 6


def test_one_diverged_seed_makes_the_placement_diverge(desk, executor):
    desk.executor = executor(lambda request: "nan" if request.seed else 0.5)
    assert desk.run(BRUTE, "seeds=[0, 1]", trials=2).counts == {"nan": 2}


def test_a_diverged_network_is_told_as_the_worst(desk, executor, monkeypatch):
    told = []
    monkeypatch.setattr("harness.search.proposals.Proposals.tell", lambda *arguments, **_: told.append(arguments[2:]))
    desk.executor = executor(lambda _: "nan")
    desk.run(BRUTE, "strides=[32]", trials=2)
    assert told == [("value", (0.0, 6400.0))] * 2  # whatever it costs itself


@pytest.mark.parametrize(("metric", "told"), [(Metric("psnr_db", "dB"), 5.0), (Metric("error", "", "lower"), 8.0)])
def test_where_no_value_is_the_worst_a_diverged_network_is_told_as_the_worst_that_is_known(desk, metric, told):
    search = replace(desk.search(), metric=metric, directions=(metric.direction, "minimize"))
    known = {(("conv2", 2),): Outcome("value", {0: 8.0}), (("conv2", 4),): Outcome("value", {0: 5.0})}
    diverged = (("conv2", 8),)
    outcomes = {**known, diverged: Outcome("nan", {0: float("nan")})}
    assert Ledger(search, None, None, outcomes=outcomes).objectives(diverged) == (told, 6400.0)
    assert Ledger(search, None, None, outcomes={diverged: outcomes[diverged]}).objectives(diverged) == ()


def test_a_lost_worker_is_gone_on_with_by_the_next_call(desk, executor):
    desk.executor = executor(lambda request: "lost" if "16" in str(request.config["compressors"]) else 0.5)
    result = desk.run(BRUTE)
    assert result.counts == {"unfinished": 1, "value": 5}
    assert result.summary.failed
    desk.executor = executor()
    assert desk.run(BRUTE).counts == {"value": 6}
    (request,) = desk.executor.requests
    assert request.resume_from is not None


def test_from_start_leaves_its_checkpoint_alone(desk, executor):
    desk.executor = executor(lambda _: "lost")
    desk.run(BRUTE, trials=1)
    desk.executor = executor()
    assert desk.run(BRUTE, trials=1, from_start=True).counts == {"value": 1}
    assert [request.resume_from for request in desk.executor.requests] == [None]


@pytest.mark.parametrize("words", [[], ["--from-start"]])
def test_the_command_takes_it(desk, monkeypatch, words):
    asked = []

    def run_search(_search, options, _display, **_):
        asked.append(options.from_start)
        raise HarnessError("enough")

    monkeypatch.setattr("harness.search.run.run_search", run_search)
    done = CliRunner().invoke(main, ["search", "placement", str(desk.file), "--device", "cpu", *words])
    assert (done.exit_code, asked) == (2, [bool(words)]), done.output


def test_a_crash_loses_nothing_and_counts_nothing_twice(desk, executor, crash, large):
    """The driver dies in its third placement; the next call goes on with that one first, and ends the same budget."""

    def fate(request):
        if len(desk.executor.requests) == 3:
            raise crash
        return 0.5

    desk.executor = executor(fate)
    with pytest.raises(crash):
        desk.run(*large, trials=5)
    died = desk.executor.requests[-1]
    desk.executor = executor()
    result = desk.run(*large, trials=5)
    first = desk.executor.requests[0]
    assert (first.trial_key, first.resume_from) == (died.trial_key, died.uid)
    assert len(desk.executor.requests) == 3
    assert (result.members, result.counts) == (5, {"value": 5})
    found = desk.found()
    assert sorted(a.state for a in found.attempts) == [*["done"] * 5, "lost"]
    assert len({a.trial_key for a in found.attempts if a.accepted}) == 5


def test_ctrl_c_keeps_what_was_done(desk, executor):
    def fate(request):
        if len(desk.executor.requests) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return 0.5

    desk.executor = executor(fate)
    result = desk.run(BRUTE, "protocol.epochs=3")
    assert result.summary.interrupted
    assert (result.stopped, result.study_file) == (None, None)
    assert result.counts == {"value": 2, "unfinished": 1}
    assert desk.states() == ["done", "done", "interrupted"]
    desk.executor = executor()
    again = desk.run(BRUTE, "protocol.epochs=3")
    assert desk.executor.requests[0].resume_from is not None
    assert (again.counts, len(desk.executor.requests)) == ({"value": 6}, 4)


def test_ctrl_c_in_the_last_run_leaves_nothing_to_go_on_with(desk, executor):
    def fate(_):
        if len(desk.executor.requests) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return 0.5

    desk.executor = executor(fate)
    result = desk.run(BRUTE, trials=2)
    assert (result.summary.interrupted, result.summary.stopped_late, result.counts) == (False, True, {"value": 2})
    assert result.study_file.exists()


def test_ctrl_c_in_the_last_run_keeps_the_confirmation_from_beginning(desk, executor):
    def fate(_):
        if len(desk.executor.requests) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return 0.5

    desk.executor = executor(fate)
    result = desk.run(BRUTE, trials=2, confirm=[7])
    assert (result.summary.interrupted, result.summary.stopped_late) == (True, False)
    assert desk.states() == ["done", "done"]
    desk.executor = executor()
    assert not desk.run(BRUTE, trials=2, confirm=[7]).summary.interrupted


PRUNED = (BRUTE, "protocol.epochs=4", "objectives=[accuracy]", "pruner=median")


@pytest.fixture
def pruned(desk, executor):
    """A search whose sixth placement was much worse than the five before it."""
    desk.executor = executor(lambda _: 0.1 if len(desk.executor.requests) == 6 else 0.9)
    return desk.run(*PRUNED)


def test_a_hopeless_run_is_stopped_at_a_checkpoint_as_pruned(desk, pruned):
    assert pruned.counts == {"value": 5, "pruned": 1}
    assert desk.states() == [*["done"] * 5, "pruned"]
    (stopped,) = (a for a in desk.found().attempts if a.state == "pruned")
    assert (desk.db.parent / "artifacts" / stopped.uid / "checkpoint.pt").exists()
    with open_reader(desk.db) as store:
        from harness.store.queries import curve

        assert 1 <= len(curve(store, stopped.uid)) < 4
    assert not pruned.summary.failed


def test_the_search_leaves_alone_what_it_pruned(desk, executor, pruned):
    desk.executor = executor()
    again = desk.run(*PRUNED)
    assert (desk.executor.requests, again.counts) == ([], pruned.counts)


def test_whoever_asks_for_a_pruned_run_itself_goes_on_with_it(desk, executor, pruned):
    (stopped,) = (a for a in desk.found().attempts if a.state == "pruned")
    search = desk.search(*PRUNED)
    placement = search.space.find(stopped.trial_key, desk.found().trials[stopped.trial_key].config)
    study = study_of(search, {placement: (0,)})
    (run,) = plan([study], desk.found(), desk.options().artifacts).runs
    assert (run.status, run.resume_from) == ("left", stopped.uid)
    desk.executor = executor()
    assert desk.run(*PRUNED, "pruner=null").counts == {"value": 6}
    (request,) = desk.executor.requests
    assert request.resume_from == stopped.uid


def test_pruning_is_judged_by_the_first_seed_and_ends_them_all(desk, executor):
    desk.executor = executor(lambda _: 0.1 if len({str(s) for s in desk.executor.begun}) == 6 else 0.9)
    result = desk.run(*PRUNED, "seeds=[0, 1]", jobs=2)
    assert result.counts == {"value": 5, "pruned": 1}
    assert desk.states()[10:] in (["pruned"], ["pruned", "pruned"])


def test_without_a_pruner_nothing_is_stopped(desk, executor):
    desk.executor = executor(lambda _: 0.1 if len(desk.executor.requests) == 6 else 0.9)
    assert desk.run(*PRUNED[:3]).counts == {"value": 6}


def test_the_front_is_confirmed_with_fresh_seeds_on_validation(desk):
    result = desk.run(BRUTE, confirm=[10, 11], trials=6)
    assert len(result.front) == 6
    for candidate in result.front:
        assert set(candidate.confirmed) == {10, 11}
        assert candidate.confirmed[10] == pytest.approx(candidate.values[0] - 0.01)
        assert candidate.confirmed_mean == pytest.approx(candidate.mean - 0.0105)
    assert len(desk.executor.requests) == 18
    assert {p.seeds for p in desk.found().study_trials} == {(0, 10, 11)}
    assert desk.display.totals == [6, 18]
    again = desk.run(BRUTE, confirm=[10, 11], trials=6)
    assert (again.front, len(desk.executor.requests)) == (result.front, 18)


def test_what_was_confirmed_keeps_its_seeds_when_the_search_goes_on(desk):
    first = desk.run(BRUTE, trials=1, confirm=[10])
    desk.run(BRUTE)
    seeds = {p.name: p.seeds for p in desk.found().study_trials}
    assert seeds.pop(first.front[0].words) == (0, 10)
    assert set(seeds.values()) == {(0,)}


def test_only_the_front_is_confirmed(desk):
    result = desk.run(BRUTE, "objectives=[accuracy]", confirm=[10])
    assert [c.words for c in result.front] == ["none"]
    assert [(s, r.seed) for s, r in zip(desk.executor.begun, desk.executor.requests, strict=True)][6:] == [({}, 10)]


def test_a_confirmation_that_fails_leaves_a_gap(desk, executor):
    desk.executor = executor(lambda request: "failed" if request.seed == 11 else 0.5)
    result = desk.run(BRUTE, "objectives=[accuracy]", confirm=[10, 11])
    assert [(c.confirmed, c.confirmed_mean) for c in result.front] == [({10: 0.5, 11: None}, None)]
    assert result.summary.failed


def test_seeds_that_are_not_fresh_are_refused(desk):
    with pytest.raises(HarnessError, match="--confirm needs fresh seeds: 0 is one of the search's own"):
        desk.run(confirm=[10, 0])
    assert not desk.db.parent.exists()


def test_the_name_of_a_study_is_not_taken(desk):
    from harness.execution.register import add_studies

    other = desk.folder / "other.yml"
    other.write_text(
        "study: small\ntask: classification\ndataset: digits\nmodel: mnist_cnn\nprotocol: digits-quick\nseeds: [0]\n"
        "trials: [{name: Baseline}]\n"
    )
    with open_store(desk.db) as store:
        add_studies(store, [load_study(other)])
        before = snapshot(store).study_trials
    with pytest.raises(HarnessError, match="a study 'small' that is not a search: give 'search' another name"):
        desk.run()
    assert desk.found().study_trials == before


def test_values_of_other_code_count_and_are_said(desk, executor, monkeypatch):
    desk.run(BRUTE)
    monkeypatch.setattr("harness.execution.plan.attempt_digest", lambda *_, **__: "other")
    result = desk.run(BRUTE)
    assert (result.counts, result.stale, len(desk.executor.requests)) == ({"value": 6}, 6, 6)


def test_missing_data_are_told_before_anything_is_made(desk, monkeypatch, large):
    from harness.execution.register import check_runnable

    monkeypatch.setattr("harness.search.run.check_runnable", check_runnable)
    with pytest.raises(HarnessError, match="cifar10"):
        desk.run(*large)
    assert not desk.db.parent.exists()
