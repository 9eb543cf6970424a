"""Whether a claim depends on a setting: on small stores in which the setting turns it, leaves it, or is half there."""

import numpy as np
import pytest
import scipy.stats
from records import attempt, changed, entry, snapshot, table1, train

from harness.report.claims.document import depends_on, findings_markdown
from harness.report.claims.findings import findings
from harness.report.claims.load import load_claims
from harness.report.claims.sensitivity import sensitivity
from harness.report.claims.values import Stored
from harness.report.html.findings import Found, claimed
from harness.report.tables.expected import expected_configs
from harness.store.records import EvaluationRecord
from harness.study.study import load_study

CONFIGS = expected_configs(table1())
SPATIAL = "Feature pooling (spatial pooling), 50%"
ID = "spatial-50-beats-baseline"


def optimiser(label, words, **options):
    """A trial of sensitivity-mnist: its name there and its configuration."""
    name = f"{'Baseline' if label == 'Baseline' else 'spatial, 50%'}, {words}"
    return name, changed(CONFIGS[label], optimizer=options)


OWN = (0.003, 0.001, 0.002)  # the gain of spatial pooling at the claim's own optimiser: 0.002 with an sd of 0.001


def stored(own=OWN, **gains):
    """Both trials at some seeds, and once under each optimiser: spatial pooling's gain by the optimiser's words."""
    plain = [train(f"b-{seed}", CONFIGS["Baseline"], seed, 0.98) for seed in range(len(own))]
    pooled = [train(f"s-{seed}", CONFIGS[SPATIAL], seed, 0.98 + gain) for seed, gain in enumerate(own)]
    mine = snapshot([entry("Baseline"), entry(SPATIAL)], [*plain, *pooled])
    entries, runs = [], []
    for number, (words, gain) in enumerate(gains.items()):
        options = {"kind": "sgd", "learning_rate": 0.01 * (number + 3)} if "SGD" in words else {"kind": "adam"}
        for label, accuracy in (("Baseline", 0.97), (SPATIAL, None if gain is None else 0.97 + gain)):
            name, config = optimiser(label, words.replace("_", " "), **options)
            entries.append((name, config, "mnist-paper", {}))
            if accuracy is not None:
                runs.append(train(f"v{number}{label[:1]}", config, 0, accuracy))
    varied = snapshot(entries, runs, study="sensitivity-mnist", seeds=(0,))
    return type(mine)(
        datasets=mine.datasets,
        trials={**mine.trials, **varied.trials},
        study_trials=(*mine.study_trials, *varied.study_trials),
        evaluations=mine.evaluations,
        attempts=(*mine.attempts, *varied.attempts),
    )


def finding(store, name=ID):
    return next(f for f in findings(store, load_claims()) if f.id == name)


def reach(own, values, seeds=1):
    """How far seeds alone take a value's gap, by scipy's t: at 95 % for all values together."""
    t = scipy.stats.t.ppf(1 - 0.05 / (2 * values), len(own) - 1)
    return t * np.std(own, ddof=1) * np.sqrt(1 / seeds + 1 / len(own))


def test_a_claim_that_another_optimiser_turns_beyond_the_noise_of_seeds_depends_on_it():
    assert reach(OWN, 3) == pytest.approx(0.0089, abs=1e-4)
    found = finding(stored(SGD_1=0.004, SGD_2=-0.008, Adam=-0.001))
    assert str(found.sensitivity) == (
        "depends on: optimiser (0.002 with sgd, learning_rate 0.02 over 3 seeds, 0.004 with SGD 1 over 1 seed,"
        " -0.008 with SGD 2 over 1 seed (farther), -0.001 with Adam over 1 seed; seed noise alone can move"
        " these from the first by 0.0088)"
    )
    assert [tried.reach for tried in found.sensitivity.others] == pytest.approx([reach(OWN, 3)] * 3)
    text = findings_markdown([found], [], long=True)
    said = "1 test was repeated with other values of a setting that the paper leaves open: 1 depends on it"
    assert f"{said} (seed noise alone would make up to 0.1 seem to)." in text
    assert "- **undecided (depends on optimiser)**: Spatial pooling at 50% is more accurate" in text
    assert "depends on: optimiser (0.002 with" in text
    assert claimed(Found([found]))[0].qualifiers == ("depends on optimiser",)


def test_a_sign_that_one_seed_may_turn_is_no_dependence():
    """-0.006 points the other way; so would a seed of the claim's own optimiser, now and then."""
    found = finding(stored(SGD_1=0.004, SGD_2=-0.006, Adam=-0.001))
    assert depends_on(found) is None
    assert str(found.sensitivity).startswith("not shown to depend on: optimiser (0.002 with sgd")
    assert "leaves open: none depends on it (seed noise alone" in findings_markdown([found], [])


def test_a_gap_that_is_larger_the_same_way_is_no_dependence():
    (far,) = finding(stored(SGD_1=0.05)).sensitivity.others
    assert (far.apart, far.way) == (True, True)
    assert not finding(stored(SGD_1=0.05)).sensitivity.flips


def test_noise_that_is_not_known_is_no_test():
    """One seed of the claim's own optimiser has no spread."""
    found = finding(stored(own=(0.002,), SGD_1=-0.05))
    assert depends_on(found) is None
    assert str(found.sensitivity).startswith("learning rate was varied, by too few seeds for a test (0.002 with")


def test_seldom_does_a_setting_that_changes_nothing_seem_to_matter():
    """Gaps of one distribution under all values: over many draws the rule's level is what it says, at most 5 %."""
    family = load_claims().families[0]
    claim = next(claim for claim in family.claims if claim.id == ID)
    draw = np.random.default_rng(0)
    turned = 0
    for _ in range(200):
        own, others = draw.normal(0.0002, 0.002, 9), draw.normal(0.0002, 0.002, 5)
        gains = {f"SGD_{i}": gap for i, gap in enumerate(others)}
        store = Stored(stored(own=tuple(own), **gains), lambda _: (), lambda _: None)
        turned += sensitivity(store, family, claim).flips
    assert turned <= 200 * 0.05


def test_no_loss_within_the_margin_is_no_reversal():
    """-0.0005 turns the sign of "is more accurate" but not "does not lose 0.001", however little seeds vary."""
    store = stored(own=(0.002, 0.0021, 0.0019), SGD_1=-0.0005)
    assert finding(store).sensitivity.flips
    assert not finding(store, "spatial-50-does-not-lose").sensitivity.flips


@pytest.mark.parametrize("gains", [{}, {"SGD_1": None}])
def test_of_one_value_nothing_is_said(gains):
    """Nothing varied, and one trial of the pair not run."""
    assert finding(stored(**gains)).sensitivity is None


def test_counts_depend_on_no_optimiser():
    assert finding(stored(SGD_1=0.002, Adam=-0.001), "spatial-50-halves-parameters").sensitivity is None


def test_one_field_is_called_by_its_name_and_the_studys_words_are_the_values(study_file):
    """The trials of sensitivity-cifar, which vary the weight decay alone; without runs of the table's own."""
    study = load_study(study_file("sensitivity-cifar"))
    own = {trial.name: trial for trial in load_study(study_file("cifar")).trials}
    evaluation = own["Baseline"].trial.evaluations[0]
    gains = {"0": 0.01, "0.0001": 0.01, "0.0005": -0.01}

    def run(name, config, accuracy):
        return attempt(name, config, 0, results={(evaluation.key, "accuracy"): accuracy})

    entries = [(t.name, t.trial.config, "cifar-paper", {}) for t in study.trials]
    runs = []
    for t in study.trials:
        decay = t.name.split()[-1]
        runs.append(run(t.name, t.trial.config, 0.93 + (gains[decay] if t.name.startswith("3FP") else 0)))
    varied = snapshot(entries, runs, study=study.name, seeds=(0,))
    planned = snapshot(
        [(n, own[n].trial.config, "cifar-paper", {}) for n in ("Baseline", "3FP, stride 2")], [], study="cifar"
    )
    record = EvaluationRecord(
        evaluation.key, evaluation.dataset, evaluation.split, evaluation.fingerprint, evaluation.condition
    )
    store = type(varied)(
        datasets=varied.datasets,
        trials={**varied.trials, **planned.trials},
        study_trials=(*varied.study_trials, *planned.study_trials),
        evaluations={evaluation.key: record},
        attempts=varied.attempts,
    )
    assert str(finding(store, "3fp-beats-vgg").sensitivity) == (
        "weight decay was varied, by too few seeds for a test (-0.01 with 0.0005 over 1 seed, 0.01 with 0 over 1 seed,"
        " 0.01 with 0.0001 over 1 seed)"
    )
