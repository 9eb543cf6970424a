"""What was run, where and when: each attempt once, under the study that asked for it."""

from dataclasses import replace

from denoising_records import run, study

from harness.report.run_log import LogEntry, log_markdown, run_log

HOUR = {"started": "2026-01-01T10:00:00.000+00:00", "ended": "2026-01-01T11:00:00.000+00:00"}
NEXT_DAY = {"started": "2026-01-02T10:00:00.000+00:00", "ended": "2026-01-02T10:30:00.000+00:00"}


def two_studies(attempts):
    """A study of a, b, c at σ = 25, and one of b alone at σ = 50."""
    found = study(attempts)
    small = replace(found.study_trials[1], study="small", evaluations=("sigma-50",))
    places = (*(replace(place, evaluations=("sigma-25",)) for place in found.study_trials), small)
    return replace(found, study_trials=places)


def test_a_row_per_study_command_and_machine():
    found = run_log(
        two_studies(
            [
                run("a", 0, {25.0: 30}, **HOUR),
                run("b", 0, {25.0: 31}, **NEXT_DAY),
                run("b", 1, {50.0: 28}, **HOUR),
                run("c", 0, {25.0: 31}, **HOUR, environment={"device": "Another"}),
                run("c", 1, {25.0: 31}, **HOUR, state="failed"),
            ]
        )
    )
    assert found == [
        LogEntry("denoise", "harness run grid", "Another", 1, 1, 3600.0, "2026-01-01", "2026-01-01"),
        LogEntry("denoise", "harness run grid", "Test CPU", 1, 2, 5400.0, "2026-01-01", "2026-01-02"),
        LogEntry("small", "harness run grid", "Test CPU", 1, 1, 3600.0, "2026-01-01", "2026-01-01"),
    ]
    text = log_markdown(found, "results/published")
    assert "| denoise | harness run grid | Test CPU | 1 | 2 | 1.50 | 2026-01-01 to 2026-01-02 |" in text
    assert text.endswith("\n\n4 attempts, 3.5 hours.\n")


def test_a_session_of_timings_is_of_the_smallest_study_with_all_its_trials():
    def timing(trial, session):
        return run(trial, kind="timing", uid=f"{trial}-{session}", execution={"session": session}, **HOUR)

    found = run_log(two_studies([timing("a", "one"), timing("b", "one"), timing("b", "two")]))
    assert [(entry.study, entry.command, entry.attempts) for entry in found] == [
        ("denoise", "harness run timing", 2),
        ("small", "harness run timing", 1),
    ]
