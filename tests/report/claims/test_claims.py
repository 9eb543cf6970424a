"""The paper's claims: written once, about trials that exist, with enough seeds to be able to hold."""

import math
from pathlib import Path

import pytest

from harness.base.errors import SpecError
from harness.report.claims.arithmetic import paper_table
from harness.report.claims.gap_tests import reaches
from harness.report.claims.load import load_claims
from harness.report.claims.values import BASELINE
from harness.report.tables.table_file import PAPER
from harness.study.study import load_study

TEXT = (PAPER / "claims.yml").read_text(encoding="utf-8")
ABLATIONS = Path(__file__).resolve().parents[3] / "ablations"
FAMILIES = load_claims().families
CLAIMS = [claim for family in FAMILIES for claim in family.claims]


def names(family):
    return f"{family.section} {family.about}"


def test_every_section_of_the_experiments_has_its_claims():
    found = {(family.section, family.about): len(family.claims) for family in FAMILIES}
    assert found == {
        ("4.1 (A)", "Table 1"): 54,
        ("4.1 (A)", "Figs. 4 to 6"): 9,
        ("4.1 (A)", "exploratory: Fig. 5, read again"): 1,
        ("4.1 (A)", "exploratory: Fig. 5, in pairs of seeds"): 2,
        ("1 and 2.1", "exploratory: sentences of sections 1 and 2.1, on Table 1's networks"): 8,
        ("5", "what Table 1's networks compute"): 4,
        ("4.1 (B)", "Table 2"): 5,
        ("4.1 (B)", "Table 3"): 5,
        ("4.1 (B)", "Tables 2 and 3, placements against each other"): 25,
        ("4.1 (B)", "Table 3, counts read again"): 2,
        ("4.1 (C)", "ImageNet"): 5,
        ("4.2 (B)", "training the denoiser"): 1,
        ("4.2 (C)", "Table 4"): 25,
        ("4.2 (C)", "Table 4, gains read again"): 10,
        ("4.2 (C)", "Table 5"): 22,
        ("4.2 (C)", "Table 5, a time read again"): 1,
        ("4.2 (C)", "denoising at a quarter of the width"): 3,
        ("4.2 (C)", "Table 6"): 42,
        ("4.2 (C)", "Table 7"): 3,
        ("4.2 (C)", "Table 8"): 3,
        ("4.2 (D)", "adversarial examples"): 1,
    }


@pytest.mark.parametrize("family", FAMILIES, ids=names)
def test_every_claim_can_be_reached(family):
    gaps = family.seeds_needed / family.seeds_a_gap
    assert family.tests * 2**-gaps == family.smallest_p < family.alpha


def test_table_1_has_22_tests_so_nine_seeds_suffice_and_eight_do_not():
    family = FAMILIES[0]
    assert family.tests == 22
    assert (family.seeds_needed, family.smallest_p) == (9, 22 / 512)
    assert family.tests * 2**-8 > family.alpha
    assert {trial.seeds for trial in load_study(ABLATIONS / "claims-mnist.yml").trials} == {tuple(range(9))}


@pytest.mark.parametrize("study", ["claims-mnist", "claims-cifar"])
def test_a_study_has_the_seeds_that_its_claims_need(study):
    loaded = load_study(ABLATIONS / f"{study}.yml")
    fed = [family for family in FAMILIES if study in family.studies and family.tests and not family.exploratory]
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
    compared = {name for claim in family.claims for name in claim.trials}
    beside = {BASELINE} if any(q.source == "artifact" for q in family.quantities.values()) else set()
    assert compared | beside == set(family.trials) | beside, "maps are compared with the baseline's"


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
        (
            'entered: "2026-11-22"\n    changed',
            'entered: "2026-11-22"\n    exploratory: true\n    changed',
            "an exploratory family says what was known",
        ),
        (
            "replaced_by: spatial-50-maps-nearer",
            "replaced_by: spatial-50-map-nearer",
            "unknown claim 'spatial-50-map-nearer'; did you mean 'spatial-50-maps-nearer'",
        ),
        ("replaced_by: spatial-50-maps-nearer", "because: x", "because"),
        (
            "id: spatial-50-maps-nearer\n",
            "id: spatial-50-maps-nearer\n        replaced_by: fp4-beats-vgg\n",
            "'withdrawn' goes with 'withdrawn_because'",
        ),
        ("tested_by: [imagenet-top-1-increases]", "tested_by: [imagenet-top-1]", "unknown claim 'imagenet-top-1'"),
        ("seeds_needed: 12", "seeds_needed: 10", "10 seeds can never reject: the smallest p is 0.0625"),
        ("seeds_needed: 9", "seeds_needed: 8", "8 seeds can never reject: the smallest p is 0.0859"),
        ("id: spatial-50-maps-closer", "id: spatial-50-maps-smoother", "'spatial-50-maps-smoother' occurs twice"),
        (
            'title: "Top-k at 50% halves',
            'title: "Spatial pooling at 50% halves',
            "at 50% halves parameters' occurs twice",
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


def test_what_replaces_a_withdrawn_reading_is_new_and_in_another_family():
    by_id = {claim.id: (family, claim) for family in FAMILIES for claim in family.claims}
    withdrawn = [(family, claim) for family in FAMILIES for claim in family.claims if claim.withdrawn]
    assert {family.about.split(",")[0] for family, _ in withdrawn} == {
        "Table 1", "Figs. 4 to 6", "Tables 2 and 3", "Table 4", "Table 5",
    }  # fmt: skip
    for family, claim in withdrawn:
        home, instead = by_id[claim.replaced_by]
        assert home is not family, "no family grows after its day"
        assert instead.entered >= claim.withdrawn
        assert instead.quote == claim.quote
        assert instead.withdrawn is None


def test_withdrawing_and_asking_questions_of_ours_make_no_other_test_easier():
    """The families entered before any of it count as many tests as they did then."""
    assert [f.tests for f in FAMILIES if f.about in {"Table 1", "Figs. 4 to 6", "Table 4"}] == [22, 9, 25]


def test_what_claims_no_outcome_is_ours():
    ours = {claim.id for claim in CLAIMS if claim.ours}
    assert ours == {
        "spatial-50-beats-width", "spatial-75-beats-width", "3fp-beats-width", "fp4-beats-width", "3fp-beats-conv1x1",
        "fp4-beats-conv1x1", "denoise-small-1fp-beats-width", "denoise-small-2fp-beats-width-and-conv1x1",
    }  # fmt: skip
    noted = [claim.ours for claim in CLAIMS if claim.ours and str(claim.entered) < "2026-11-29"]
    assert (len(noted), all("2026-11-29" in words for words in noted)) == (6, True)


def test_a_family_written_after_its_results_says_so():
    late = [family for family in FAMILIES if "nine seeds" in family.known]
    assert len(late) == 3
    assert all(family.exploratory and family.about.startswith("exploratory") for family in late)


PRINTED_OTHERWISE = {
    "middle-beats-fp1": "prints a gain of 0.07 points: too small to matter, by the claim's own reason",
    "middle-beats-fp5": "Table 2 has FP5 above FP3, as the reading says",
    "fp5-stride-4-fewer-parameters": "both print as 14.05M; the exact counts decide",
    "denoise-cifar-2fp-30": "prints a gain of 0.07 dB: too small to matter",
    "denoise-cifar-topk-20": "the text contradicts its table (disagreement 5)",
    "denoise-cifar-topk-50": "prints a gain of 0.06 dB: too small to matter",
}


def printed(claim, family):
    """What the paper's tables print of a claim's trials, in the claim's unit; None where they do not print all."""
    tables = [paper_table(family.table)] if family.table else [paper_table(n) for n in (1, 2, 3)]
    quantity = family.quantities[claim.quantity]
    found = []
    for name in claim.trials:
        wanted = (family.trials[name].study, family.trials[name].name)
        values = [
            row.paper[column.key].value / (100 if column.unit == "percent" else 1)
            for table in tables
            for row in table.rows
            for column in table.columns
            if (row.trial.study, row.trial.name) == wanted and column.key in row.paper and not quantity.minus
            and column.source == quantity.source and column.metric == quantity.name and column.where == quantity.where
        ]  # fmt: skip
        found.append(values[0] if values else None)
    return None if None in found or len(found) < 2 else found


def outcomes():
    for family in FAMILIES:
        for claim in family.claims:
            values = printed(claim, family)
            if values is not None:
                gap = math.log(values[0] / values[1]) if claim.scale == "ratio" else values[0] - values[1]
                yield claim, reaches(claim, gap + (1e-9 if claim.direction == "greater" else -1e-9))


def test_the_papers_own_figures_pass_every_reading_of_its_sentences():
    """A bound that the printed values fail does not mean its sentence, unless the text contradicts its table."""
    known = [(claim, passes) for claim, passes in outcomes() if not claim.withdrawn and not claim.ours]
    assert len(known) > 100
    assert {claim.id for claim, passes in known if not passes} == set(PRINTED_OTHERWISE)


def test_the_readings_that_the_papers_own_figures_fail_are_withdrawn():
    failing = {claim.id for claim, passes in outcomes() if claim.withdrawn and not passes}
    assert failing == {
        "denoise-1fp-50", "denoise-1fp-60", "denoise-topk-testing-slower", "fp5-stride-4-saves-flops",
        "fp5-stride-4-saves-parameters",
    }  # fmt: skip
