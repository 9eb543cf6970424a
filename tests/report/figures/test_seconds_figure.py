"""A metric against the seconds per image, from timings on one machine."""

from denoising_records import ByHand, run, study

from harness.report.figures.study import against_seconds
from harness.report.figures.style import styled

RUNS = [run("a", 0, {25.0: 30}), run("b", 0, {25.0: 31}), run("c", 0, {25.0: 28})]


def timing(trial, seconds, number=0, machine="Test CPU"):
    measures = {"test_s_per_image": seconds}
    return run(
        trial,
        kind="timing",
        uid=f"timing-{trial}-{number}",
        accepted=False,
        exclusive=True,
        measures=measures,
        environment={"device": machine},
        started=f"2020-01-02T00:00:0{number}Z",
    )


def draw(attempts):
    with styled():
        return against_seconds(ByHand(study([*RUNS, *attempts])), "denoise")


def test_a_point_per_trial_and_the_front_of_the_fast_and_good():
    drawn = draw([timing("a", 0.5), timing("b", 20.0, 1), timing("c", 2.0, 2)])
    assert drawn.name == "seconds-denoise"
    (axes,) = drawn.figure.axes
    assert (axes.get_xlabel(), axes.get_xscale()) == ("Seconds per image (median)", "log")
    found = {line.get_label(): [list(map(float, xy)) for xy in line.get_data()] for line in axes.lines}
    assert [found[name] for name in "abc"] == [[[0.5], [30]], [[20], [31]], [[2], [28]]]
    assert found["Pareto front"] == [[0.5, 20], [30, 31]]
    assert drawn.caption.endswith("On the front, the cheapest first: a; b. On Test CPU, 1 thread, alone on the device.")


def test_timings_of_one_machine_stand_together_the_newest():
    drawn = draw(
        [timing("a", 9.0, 0, "Old CPU"), timing("b", 9.0, 1, "Old CPU"), timing("a", 0.5, 2), timing("c", 1.0, 3)]
    )
    labels = {line.get_label() for line in drawn.figure.axes[0].lines}
    assert {"a", "c"} <= labels
    assert "b" not in labels


def test_one_timing_is_no_figure():
    assert draw([]) is None
    assert draw([timing("a", 0.5)]) is None
