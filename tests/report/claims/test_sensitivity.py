"""Whether a claim depends on a setting: on small stores in which the setting turns it, leaves it, or is half there."""

import pytest
from records import attempt, changed, entry, snapshot, table1, train

from harness.report.claims.document import depends_on, findings_markdown
from harness.report.claims.findings import findings
from harness.report.claims.load import load_claims
from harness.report.html import on_the_page
from harness.report.tables.expected import expected_configs
from harness.spec.study import load_study
from harness.store.records import EvaluationRecord

CONFIGS = expected_configs(table1())
SPATIAL = "Feature pooling (spatial pooling), 50%"
ID = "spatial-50-beats-baseline"


def optimiser(label, words, **options):
    """A trial of sensitivity-mnist: its name there and its configuration."""
    name = f"{'Baseline' if label == 'Baseline' else 'spatial, 50%'}, {words}"
    return name, changed(CONFIGS[label], optimizer=options)


def stored(**gains):
    """Both trials at two seeds, and once under each optimiser: the gain of spatial pooling by the optimiser's words."""
    plain = [train(f"b-{seed}", CONFIGS["Baseline"], seed, 0.98) for seed in (0, 1)]
    pooled = [train(f"s-{seed}", CONFIGS[SPATIAL], seed, 0.981) for seed in (0, 1)]
    own = snapshot([entry("Baseline"), entry(SPATIAL)], [*plain, *pooled])
    entries, runs = [], []
    for number, (words, gain) in enumerate(gains.items()):
        options = {"kind": "sgd", "learning_rate": 0.01 * (number + 3)} if "SGD" in words else {"kind": "adam"}
        for label, accuracy in (("Baseline", 0.97), (SPATIAL, None if gain is None else 0.97 + gain)):
            name, config = optimiser(label, words.replace("_", " "), **options)
            entries.append((name, config, "mnist-paper", {}))
            if accuracy is not None:
                runs.append(train(f"v{number}{label[:1]}", config, 0, accuracy))
    varied = snapshot(entries, runs, study="sensitivity-mnist", seeds=(0,))
    return type(own)(
        datasets=own.datasets,
        trials={**own.trials, **varied.trials},
        study_trials=(*own.study_trials, *varied.study_trials),
        evaluations=own.evaluations,
        attempts=(*own.attempts, *varied.attempts),
    )


def finding(store, name=ID):
    return next(f for f in findings(store, load_claims()) if f.id == name)


def test_a_claim_that_another_optimiser_turns_depends_on_it():
    found = finding(stored(SGD_1=0.002, SGD_2=-0.003, Adam=-0.001))
    assert str(found.sensitivity) == (
        "depends on: optimiser (holds under SGD 1, sgd, learning_rate 0.02, reversed under SGD 2, Adam;"
        " 1 to 2 seeds each, no test)"
    )
    assert found.sensitivity.seeds == (1, 2, 1, 1)
    text = findings_markdown([found], [])
    assert "1 of them depend on a setting that the paper does not state." in text
    assert "- **undecided (depends on optimiser)**: Spatial pooling at 50% is more accurate" in text
    assert "depends on: optimiser (holds under" in text
    assert on_the_page([found], [])[0].verdict == "undecided (depends on optimiser)"


def test_a_claim_that_no_optimiser_turns_says_so_and_depends_on_nothing():
    found = finding(stored(SGD_1=0.002, Adam=0.001))
    assert depends_on(found) is None
    assert str(found.sensitivity).startswith("the same way under every optimiser tried (holds under SGD 1, Adam, sgd")


def test_no_loss_within_the_margin_is_no_reversal():
    """-0.0005 turns the sign of "is more accurate" but not "does not lose 0.001"."""
    store = stored(SGD_1=-0.0005)
    assert finding(store).sensitivity.flips
    assert not finding(store, "spatial-50-does-not-lose").sensitivity.flips


@pytest.mark.parametrize("gains", [{}, {"SGD_1": None}, {"SGD_1": 0.0}])
def test_of_one_value_nothing_is_said(gains):
    """Nothing varied, one trial of the pair not run, and no difference at all, which points no way."""
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
        "depends on: weight decay (holds under 0, 0.0001, reversed under 0.0005; 1 seed each, no test)"
    )
