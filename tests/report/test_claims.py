"""The paper's claims: written once, about trials that exist, with enough seeds to be able to hold."""

import pytest

from harness.report.claims import load_claims
from harness.report.table_file import PAPER
from harness.spec.errors import SpecError

TEXT = (PAPER / "claims.yml").read_text(encoding="utf-8")


def test_every_claim_of_table_1_can_be_reached():
    family = load_claims().families[0]
    tests = [claim for claim in family.claims if claim.test == "sign_flip"]
    assert family.seeds_needed >= 8
    assert len(tests) * 2**-family.seeds_needed == family.smallest_p < family.alpha
    assert len({claim.id for claim in family.claims}) == len(family.claims)


def test_every_quantity_and_trial_is_used():
    family = load_claims().families[0]
    assert {claim.quantity for claim in family.claims} == set(family.quantities)
    assert {name for claim in family.claims for name in claim.trials} == set(family.trials)


def test_does_not_lose_is_a_test_of_non_inferiority():
    family = load_claims().families[0]
    margins = {c.id: c.effect for c in family.claims if c.hypothesis == "non_inferiority"}
    assert margins == {"spatial-50-does-not-lose": 0.001, "spatial-75-does-not-lose": 0.001}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seeds_needed: 10", "seeds_needed: 8", "8 seeds can never reject: the smallest p is 0.0859"),
        ("id: spatial-75-does-not-lose", "id: spatial-50-does-not-lose", "stands twice"),
        (
            "name: Baseline}",
            "name: Basline}",
            "no trial 'mnist/Basline'; did you mean 'Baseline'",
        ),
        ("quantity: area under the curve", "quantity: area", "unknown quantity 'area'"),
        ("trials: [spatial 50%, baseline]", "trials: [baseline, baseline]", "compares a trial with itself"),
        ("trials: [spatial 50%, baseline]", "trials: [spatial, baseline]", "unknown trial 'spatial'"),
        ("direction: either", "direction: less", "'either' goes with equivalence"),
        ("effect: 0.9", "effect: 1.1", "a ratio is below 1"),
        ("test: timing", "test: sign_flip", "does not fit the quantity"),
    ],
)
def test_what_contradicts_itself_is_refused(tmp_path, old, new, message):
    assert old in TEXT
    file = tmp_path / "claims.yml"
    file.write_text(TEXT.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(SpecError, match=message):
        load_claims(file)
