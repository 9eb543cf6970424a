"""A metric against the seconds per image, from timings on one machine."""

from denoising_records import ByHand, run, study

from harness.report.figures.study import against_seconds
from harness.report.figures.style import styled

RUNS = [run("a", 0, {25.0: 30}), run("b", 0, {25.0: 31}), run("c", 0, {25.0: 28})]


def timing(trial, seconds, number=0, machine="Test CPU", **execution):
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
        execution={"kernels": "auto", "order": "auto", **execution},
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


def test_timings_stand_together_as_their_study_says_they_are_run():
    channels_last = {"memory_format": "channels_last"}
    old = timing("b", 1.0, 0)
    drawn = draw([old, timing("a", 0.5, 1, **channels_last), timing("c", 2.0, 2, **channels_last)])
    assert {"a", "c"} <= {line.get_label() for line in drawn.figure.axes[0].lines}
    assert "b" not in {line.get_label() for line in drawn.figure.axes[0].lines}
    assert drawn.caption.endswith("alone on the device, memory_format: channels_last.")
    assert draw([timing("a", 0.5, 1, kernels="torch"), timing("a", 0.6), timing("c", 2.0)]).caption.endswith("device.")


def test_trials_without_compressors_have_colours_of_their_own():
    drawn = draw([timing("a", 0.5), timing("b", 20.0, 1), timing("c", 2.0, 2)])
    colours = {line.get_label(): line.get_color() for line in drawn.figure.axes[0].lines}
    assert len({colours[name] for name in "abc"}) == 3
