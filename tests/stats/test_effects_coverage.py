"""Factorial effects of simulated studies: recovered without bias, with intervals that cover what they say."""

import pytest
from simulate_effects import TRUE, WITHIN, simulate


@pytest.mark.parametrize("noise", ["normal", "skewed"])
def test_effects_are_recovered_at_nominal_coverage(noise):
    """400 studies: three standard errors of a coverage of 0.95 are 0.033."""
    found, fitted = simulate(noise, 400)
    assert fitted == 400
    assert found.keys() == TRUE.keys()
    for effect, (contrast, covered, of_model, covered_by_model) in found.items():
        error = WITHIN / (8 * 2 * 400) ** 0.5  # of the mean of the estimates
        assert contrast == pytest.approx(TRUE[effect], abs=4 * error)
        assert of_model == pytest.approx(TRUE[effect], abs=5 * error)
        assert covered == pytest.approx(0.95, abs=0.035)
        assert covered_by_model == pytest.approx(0.95, abs=0.035)
