"""Findings on records made by hand, arithmetic over cells, and each of the paper's disagreements with itself."""

import pytest
from records import entry, snapshot, table1, train

from harness.report.arithmetic import evaluate
from harness.report.claims import load_claims
from harness.report.curve_values import area, last_epoch, steps_to, successive_deviation
from harness.report.expected import expected_configs
from harness.report.findings import findings
from harness.report.misprints import load_misprints
from harness.report.table_file import PAPER
from harness.spec.errors import HarnessError, SpecError

SPATIAL = "Feature pooling (spatial pooling), 50%"
CURVE = [(100, 0.9), (200, 0.96), (300, 0.97), (400, 0.98)]


@pytest.mark.parametrize(
    ("gain", "seeds", "beats", "loses_not"),
    [
        (0.005, 10, "supported", "supported"),
        (-0.005, 10, "contradicted", "contradicted"),
        (0.0002, 10, "contradicted", "supported"),
        (0.005, 8, "undecided", "undecided"),
    ],
)
def test_verdicts(gain, seeds, beats, loses_not):
    configs = expected_configs(table1())
    runs = [train(f"b-{s}", configs["Baseline"], s, 0.98 + s / 10_000) for s in range(seeds)]
    runs += [train(f"s-{s}", configs[SPATIAL], s, 0.98 + s / 10_000 + gain) for s in range(seeds)]
    stored = snapshot([entry("Baseline"), entry(SPATIAL)], runs, seeds=tuple(range(seeds)))
    found = {finding.id: finding for finding in findings(stored, load_claims())}
    assert found["spatial-50-beats-baseline"].verdict == beats
    assert found["spatial-50-does-not-lose"].verdict == loses_not
    assert found["spatial-50-beats-baseline"].smallest_p == 22 / 2**seeds
    assert found["spatial-75-beats-baseline"].verdict == "not run"
    assert found["spatial-50-halves-parameters"].verdict == "supported"


def test_numbers_of_a_curve_by_hand():
    assert (steps_to(CURVE), steps_to(CURVE[:2])) == (300, 300)
    assert area(CURVE) == pytest.approx(0.9525)
    assert last_epoch(CURVE, 2) == pytest.approx(0.975)
    assert successive_deviation([(1, 0.0), (2, 0.5), (3, 0.8), (4, 0.8)], 2) == pytest.approx(0.15)


@pytest.mark.parametrize("entry", load_misprints(), ids=lambda entry: str(entry.number))
def test_each_disagreement_is_shown(entry):
    assert [check.value for check in entry.checks] == [check.gives for check in entry.checks]
    assert entry.checks or len(entry.places) > 1


def test_arithmetic_that_fails_is_refused(tmp_path):
    file = tmp_path / "m.yml"
    text = (PAPER / "misprints.yml").read_text(encoding="utf-8")
    file.write_text(text.replace("gives: 0.11", "gives: 0.12", 1), encoding="utf-8")
    with pytest.raises(SpecError, match=r"gives 0\.11, not 0\.12"):
        load_misprints(file)


@pytest.mark.parametrize("text", ["open('x')", "(1).real", "x + 1", "1 +", "1 / 0", "cell(7, 'DnCNN', 'PSNR, σ=20')"])
def test_only_arithmetic_over_printed_cells_is_evaluated(text):
    with pytest.raises(HarnessError):
        evaluate(text)
