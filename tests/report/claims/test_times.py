"""Claims on time: ratios within a session, the session as the unit, and no verdict that sessions do not agree on."""

from itertools import count

import pytest
from records import entry, snapshot, table1, timing

from harness.base.keys import trial_key
from harness.report.claims.document import evidence
from harness.report.claims.findings import findings
from harness.report.claims.load import load_claims
from harness.report.tables.expected import expected_configs
from harness.report.tables.timings import clean_timings, sessions

CONFIGS = expected_configs(table1())
SPATIAL, TOPK = "Feature pooling (spatial pooling), 50%", "Feature pooling (top-k), 50%"
PLAIN = {"device": "cpu", "threads": 1, "kernels": "torch", "order": "as_written"}
OURS = {**PLAIN, "kernels": "auto", "order": "auto"}
UIDS = count()


def at(minute, label, seconds, *, execution=OURS, session=None, device="Test CPU", **changes):
    """A timing that begins so many minutes after midnight and takes less than one; of a recorded session or an older
    one, which names none."""
    how = execution if session is None else {**execution, "session": session}
    hour, minute = divmod(minute, 60)
    times = {"started": f"2020-01-01T{hour:02}:{minute:02}:00Z", "ended": f"2020-01-01T{hour:02}:{minute:02}:50Z"}
    return timing(f"t{next(UIDS)}", CONFIGS[label], seconds, execution=how, environment={"device": device}, **times,
                  **changes)  # fmt: skip


def ratios(*of_topk, **how):
    """A session per ratio of top-k's time to spatial pooling's, an hour apart, each twice as slow as the one before."""
    return [
        at(60 * n + m, label, seconds * 2**n, session=f"s{n}-{how}", **how)
        for n, ratio in enumerate(of_topk)
        for m, (label, seconds) in enumerate([(SPATIAL, 1.0), (TOPK, ratio)])
    ]


def claim(timings, name="topk-50-training-much-longer"):
    stored = snapshot([entry(label) for label in ("Baseline", SPATIAL, TOPK)], timings)
    return next(finding for finding in findings(stored, load_claims()) if finding.id == name)


@pytest.mark.parametrize(
    ("of_sessions", "verdict", "why"),
    [
        ([3.0], "undecided", "1 of 1 session reaches the bound; a verdict takes 5; descriptive, no test of chance"),
        ([3.0] * 4, "undecided", "4 of 4 sessions reach the bound; a verdict takes 5; descriptive, no test of chance"),
        ([3.0] * 5, "supported", "5 of 5 sessions reach the bound: descriptive, no test of chance"),
        ([1.5] * 5, "contradicted", "0 of 5 sessions reach the bound: descriptive, no test of chance"),
        ([3.0] * 5 + [1.9], "undecided",
         "5 of 6 sessions reach the bound; a verdict takes all of them; descriptive, no test of chance"),
    ],
)  # fmt: skip
def test_a_verdict_takes_five_sessions_that_all_agree(of_sessions, verdict, why):
    found = claim(ratios(*of_sessions))
    assert (found.verdict, found.why) == (verdict, why)


def test_ratios_are_formed_within_a_session_and_the_median_session_is_shown():
    """Each session is twice as slow as the one before: across sessions nothing could be compared."""
    found = claim(ratios(2.2, 2.6, 2.4, 2.9, 2.1))
    assert found.effect == pytest.approx(2.4)
    assert found.interval == pytest.approx((2.1, 2.9))
    assert len(found.sessions) == 5
    assert found.seeds == ()
    assert "ratio 2.4 [2.1, 2.9] (least and most of 5 sessions)" in evidence(found)


def test_repetitions_of_a_session_are_no_sessions():
    """Five rounds of one call: a median each, and still one session."""
    rounds = [at(3 * n + m, label, seconds, session="one")
              for n, topk in enumerate([2.5, 9.0, 2.6, 2.4, 2.5])
              for m, (label, seconds) in enumerate([(SPATIAL, 1.0), (TOPK, topk)])]  # fmt: skip
    found = claim(rounds)
    assert (found.verdict, found.effect) == ("undecided", pytest.approx(2.5))
    (pooled,) = clean_timings(snapshot([entry(TOPK)], rounds), trial_key(CONFIGS[TOPK]), "ours")
    assert pooled.measures["train_s_per_epoch"] == pytest.approx(2.5)
    assert pooled.measures["train_s_per_epoch_min"] == pytest.approx(2.4 * 0.9)
    assert pooled.measures["train_s_per_epoch_max"] == pytest.approx(9.0 * 1.1)


def test_trials_that_no_session_timed_together_are_not_compared():
    apart = [at(0, SPATIAL, 1.0, session="one"), at(1, TOPK, 3.0, session="two")]
    found = claim(apart)
    assert found.verdict == "not run"
    assert found.why == (
        "no timing of mnist/Feature pooling (top-k), 50% and mnist/Feature pooling (spatial pooling), 50% on one device"
        " in one session is stored"
    )


def test_older_timings_are_one_session_while_they_follow_each_other_and_repeat_no_trial():
    older = [at(0, SPATIAL, 1.0), at(1, TOPK, 3.0),  # one call
             at(2, SPATIAL, 1.0), at(4, TOPK, 3.0),  # --again, at once
             at(30, SPATIAL, 1.0), at(36, TOPK, 3.0)]  # two calls, five minutes apart  # fmt: skip
    stored = snapshot([entry(label) for label in (SPATIAL, TOPK)], older)
    assert [len(session.by_trial) for session in sessions(stored, "ours")] == [2, 2, 1, 1]
    assert len(claim(older).sessions) == 2


def test_other_devices_threads_and_compositions_decide_nothing():
    many, few = ratios(*[3.0] * 5), ratios(1.2, 1.3, device="Other CPU")
    two = ratios(*[1.1] * 4, threads=2)
    found = claim([*many, *few, *two])
    assert (found.verdict, found.effect) == ("supported", pytest.approx(3.0))
    assert found.timed_on == "Test CPU, 1 thread (the paper: NVIDIA GeForce GTX 1070)"
    assert found.elsewhere == "1.2, 1.3 on Other CPU, 1 thread and 1.1, 1.1, 1.1, 1.1 on Test CPU, 2 threads"
    assert found.sensitivity is None  # plain torch was never timed


def test_plain_torch_decides_where_it_was_timed_and_ours_stand_beside_it():
    plain = ratios(*[3.0] * 5, execution=PLAIN)
    found = claim([*plain, *ratios(*[1.2] * 5)])
    assert (found.verdict, found.effect) == ("supported", pytest.approx(3.0))
    assert str(found.sensitivity) == "depends on: kernels (3 with plain torch, 1.2 with our kernels)"
    fewer = claim([*plain, *ratios(1.2, 1.2)])
    assert not fewer.sensitivity.flips, "two sessions show no dependence either"


def test_all_times_of_a_session_are_of_timings_alone_on_the_device():
    beside = [at(0, SPATIAL, 1.0, session="one", exclusive=False), at(1, TOPK, 3.0, session="one")]
    assert claim(beside).verdict == "not run"
