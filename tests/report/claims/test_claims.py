"""The paper's claims: written once, about trials that exist, with enough seeds to be able to hold."""

from pathlib import Path

import pytest

from harness.report.claims.load import load_claims
from harness.report.tables.table_file import PAPER
from harness.spec.errors import SpecError
from harness.spec.study import load_study

TEXT = (PAPER / "claims.yml").read_text(encoding="utf-8")
ABLATIONS = Path(__file__).resolve().parents[3] / "ablations"
FAMILIES = load_claims().families
CLAIMS = [claim for family in FAMILIES for claim in family.claims]


def names(family):
    return f"{family.section} {family.about}"


def test_every_section_of_the_experiments_has_its_claims():
    found = {(family.section, family.about.split(",")[0]): len(family.claims) for family in FAMILIES}
    assert found == {
        ("4.1 (A)", "Table 1"): 54,
        ("4.1 (A)", "Figs. 4 to 6"): 9,
        ("4.1 (B)", "Table 2"): 5,
        ("4.1 (B)", "Table 3"): 5,
        ("4.1 (B)", "Tables 2 and 3"): 25,
        ("4.1 (C)", "ImageNet"): 5,
        ("4.2 (B)", "training the denoiser"): 1,
        ("4.2 (C)", "Table 4"): 25,
        ("4.2 (C)", "Table 5"): 22,
        ("4.2 (C)", "Table 6"): 42,
        ("4.2 (C)", "Table 7"): 3,
        ("4.2 (C)", "Table 8"): 3,
        ("4.2 (D)", "adversarial examples"): 1,
    }


@pytest.mark.parametrize("family", FAMILIES, ids=names)
def test_every_claim_can_be_reached(family):
    assert family.tests * 2**-family.seeds_needed == family.smallest_p < family.alpha


def test_table_1_has_22_tests_so_nine_seeds_suffice_and_eight_do_not():
    family = FAMILIES[0]
    assert family.tests == 22
    assert (family.seeds_needed, family.smallest_p) == (9, 22 / 512)
    assert family.tests * 2**-8 > family.alpha
    assert {trial.seeds for trial in load_study(ABLATIONS / "claims-mnist.yml").trials} == {tuple(range(9))}


@pytest.mark.parametrize("study", ["claims-mnist", "claims-cifar"])
def test_a_study_has_the_seeds_that_its_claims_need(study):
    loaded = load_study(ABLATIONS / f"{study}.yml")
    fed = [family for family in FAMILIES if study in family.studies]
    assert fed
    for family in fed:
        assert {len(trial.seeds) for trial in loaded.trials} == {family.seeds_needed}


@pytest.mark.parametrize("family", FAMILIES, ids=names)
def test_a_family_awaits_something_just_where_its_studies_are_not_here(family):
    here = [(ABLATIONS / f"{trial.study}.yml").is_file() for trial in family.trials.values()]
    assert all(here) or not any(here)
    assert bool(family.awaits) != all(here)


@pytest.mark.parametrize("family", FAMILIES, ids=names)
def test_every_quantity_and_trial_is_used(family):
    others = {other for quantity in family.quantities.values() for other in (quantity.minus, quantity.beside)} - {None}
    assert {claim.quantity for claim in family.claims} | others == set(family.quantities)
    assert {name for claim in family.claims for name in claim.trials} == set(family.trials)


def test_no_two_claims_look_alike():
    for field in ("id", "title"):
        found = [getattr(claim, field) for claim in CLAIMS]
        assert len(set(found)) == len(found)
    assert not [claim.title for claim in CLAIMS if "{" in claim.title + claim.reading]


def test_every_claim_says_where_it_stands_and_all_sentences_without_a_test_say_why():
    untested = load_claims().untested
    places = [entry.place for entry in (*CLAIMS, *untested)]
    assert [place for place in places if "sentence" not in place and "caption" not in place] == []
    assert all(entry.why and entry.quote not in {claim.quote for claim in CLAIMS} for entry in untested)


def test_does_not_lose_is_a_test_of_non_inferiority():
    margins = {c.id: c.effect for c in FAMILIES[0].claims if c.hypothesis == "non_inferiority"}
    assert margins == {"spatial-50-does-not-lose": 0.001, "spatial-75-does-not-lose": 0.001}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seeds_needed: 9", "seeds_needed: 8", "8 seeds can never reject: the smallest p is 0.0859"),
        ("id: spatial-50-maps-closer", "id: spatial-50-maps-smoother", "'spatial-50-maps-smoother' stands twice"),
        (
            'title: "Top-k at 50% halves',
            'title: "Spatial pooling at 50% halves',
            "at 50% halves parameters' stands twice",
        ),
        ("name: Baseline}", "name: Basline}", "no trial 'mnist/Basline'; did you mean 'Baseline'"),
        ("quantity: area under the curve", "quantity: area", "unknown quantity 'area'"),
        ("trials: [spatial 50%, baseline]", "trials: [baseline, baseline]", "compares a trial with itself"),
        ("trials: [spatial 50%, baseline]", "trials: [spatial, baseline]", "unknown trial 'spatial'"),
        ("direction: either", "direction: less", "'either' goes with equivalence"),
        ("effect: 0.9", "effect: 1.1", "a ratio is below 1"),
        ("test: timing", "test: sign_flip", "does not fit the quantity"),
        ("grid: {level: [50, 75]}", "grid: {leve: [50, 75]}", "braces that the grid does not fill; it has {leve}"),
        ("zip: {stride: [2, 4]", "zip: {stride: [2]", "the lists of a zip are equally long"),
        ("constant: [BM3D,", "constant: [BM4D,", "unknown trial 'BM4D'; did you mean 'BM3D'"),
        ('minus: "BSD500, σ=20"', 'minus: "BSD500, σ=21"', "unknown quantity 'BSD500, σ=21'"),
        ("about: ImageNet", 'about: ""', "claims without a table say what they are on"),
        ("studies: [imagenet]", "studies: [imagenette]", "'studies' does not name the study of 'imagenet/ResNet-50'"),
    ],
)
def test_what_contradicts_itself_is_refused(tmp_path, old, new, message):
    assert old in TEXT
    file = tmp_path / "claims.yml"
    file.write_text(TEXT.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(SpecError, match=message):
        load_claims(file)
