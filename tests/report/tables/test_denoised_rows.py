"""Rows that differ by the denoiser before the classifier, and the family of McNemar tests that a table writes down."""

from dataclasses import replace

import pytest
from records import attempt, snapshot

from harness.attempt.messages import Sample
from harness.base.errors import SpecError
from harness.report.tables.table_document import table_document
from harness.report.tables.table_file import load_our_table, load_table
from harness.store.records import EvaluationRecord
from harness.trial.resolve import resolve_trial

TABLE = """
table: attacked
caption: Behind denoisers.
match: by trial
expect: {task: classification, dataset: mnist, seeds: [0, 1]}
select: mean
baseline: "none"
columns:
  - {key: clean, label: Clean, evaluation: {}, COMMON}
  - {key: unaware, label: Unaware, evaluation: {condition: {kind: fgsm, epsilon: 8}}, COMMON}
  - {key: aware, label: Aware, evaluation: {condition: {kind: fgsm, epsilon: 8, knowledge: aware}}, COMMON}
rows:
  - {label: none, trial: &it {study: attacks, name: CNN}}
  - {label: blur, trial: *it, denoiser: {kind: blur, size: 3}}
  - {label: DnCNN, trial: *it, against: blur, denoiser: {run: "denoisers:DnCNN, σ 5:0"}}
family:
  question: Does the denoiser do more than a blur?
  row: DnCNN
  columns: [clean, unaware, aware]
  entered: "2026-11-30"
""".replace(
    "COMMON",
    "source: result, metric: accuracy, unit: percent, format: {style: fixed, digits: 1}, better: higher",
)
DENOISER = resolve_trial(
    task={"kind": "denoising", "sigma": 5}, dataset="bsd432", model="dncnn", protocol="dncnn", evaluate=["cbsd68"]
)
CLASSIFIER = resolve_trial(
    task="classification",
    dataset="mnist",
    model="mnist_cnn",
    protocol="mnist-paper",
    evaluate=[
        {
            "attack": ["none", {"kind": "fgsm", "epsilon": 8}],
            "denoiser": ["none", {"kind": "blur", "size": 3}],
            "knowledge": ["unaware", "aware"],
        }
    ],
)
RUN = {"kind": "run", "trial": DENOISER.key, "seed": 0, "weights": "5" * 64}
IMAGES = 10_000
RIGHT = {  # of the first images, by denoiser and column: those that are right of 16
    ("none", "clean"): 0b1111_1111_1111_1111,
    ("blur", "clean"): 0b1111_1111_1111_0000,
    ("run", "clean"): 0b1111_1111_1111_0001,
    ("none", "unaware"): 0b0000_0000_0000_0000,
    ("blur", "unaware"): 0b0000_0000_0000_0011,
    ("run", "unaware"): 0b1111_1111_1111_0011,
    ("blur", "aware"): 0b1111_1111_0000_0000,
    ("run", "aware"): 0b0000_0000_0000_0000,
}


@pytest.fixture
def table(tmp_path):
    file = tmp_path / "attacked.yml"
    file.write_text(TABLE, encoding="utf-8")
    return load_table(file)


def evaluations():
    """Return the evaluations of the classifier by denoiser and column."""
    found = {}
    for spec in CLASSIFIER.evaluations:
        denoiser = spec.condition.get("denoiser", {"kind": "none"})["kind"]
        column = "clean" if spec.condition["kind"] == "clean" else spec.condition.get("knowledge", "unaware")
        found[denoiser, column] = EvaluationRecord(
            spec.key, spec.dataset, spec.split, spec.fingerprint, dict(spec.condition)
        )
        if denoiser == "blur":  # a run stands in the same conditions; its key is the store's business
            condition = {**spec.condition, "denoiser": RUN}
            found["run", column] = replace(found[denoiser, column], key=f"run {column}", condition=condition)
    return found


def stored(seeds=(0, 1), right=RIGHT):
    found, known = [], evaluations()
    for seed in seeds:
        results = {(known[place].key, "accuracy"): bits.bit_count() / 16 for place, bits in right.items()}
        found.append(attempt(f"run {seed}", CLASSIFIER.config, seed, results=results))
    whole = snapshot([("CNN", CLASSIFIER.config, "mnist-paper", {})], found, study="attacks")
    other = snapshot([("DnCNN, σ 5", DENOISER.config, "dncnn", {})], [], study="denoisers")
    return replace(
        whole,
        study_trials=(*whole.study_trials, *other.study_trials),
        evaluations={record.key: record for record in known.values()},
    )


def samples(uid):
    """Return which images are right; at the second seed the run is right on one image less, if it is on any."""
    known, made = evaluations(), []
    for (denoiser, column), bits in RIGHT.items():
        one_less = bits & (bits - 1) if denoiser == "run" and uid.endswith("1") else bits
        packed = one_less.to_bytes(2) + bytes(IMAGES // 8 - 2)
        made.append(Sample(known[denoiser, column].key, "correct", IMAGES, "bits", packed))
    return made


def shown(document):
    return {row.label: [cell.text for cell in row.cells] for row in document.rows}


def made(table, found):
    return table_document(found, table, {}, samples=samples)


def test_a_row_is_its_trial_behind_its_denoiser_and_a_run_is_known_by_name(table):
    assert shown(made(table, stored((0, 1)))) == {
        "none": ["100.0", "0.0", "0.0"],  # nothing to know: the attack that is aware is the same
        "blur": ["75.0", "12.5", "50.0"],
        "DnCNN": ["81.3", "87.5", "0.0"],
    }


def test_a_run_of_another_name_or_seed_fills_nothing(table):
    rows = tuple(
        row.model_copy(update={"denoiser": {"run": run}})
        for row, run in zip(table.rows[2:] * 2, ["denoisers:DnCNN, σ 50:0", "denoisers:DnCNN, σ 5:1"], strict=True)
    )
    for row in rows:
        other = table.model_copy(update={"rows": (*table.rows[:2], row)})
        assert shown(made(other, stored()))["DnCNN"] == ["–", "–", "–"]


def test_a_rows_condition_goes_into_that_of_each_column(table):
    row = table.rows[0].model_copy(update={"label": "attacked", "condition": {"kind": "fgsm", "epsilon": 8}})
    other = table.model_copy(update={"rows": (*table.rows, row)})
    assert shown(made(other, stored()))["attacked"] == ["0.0", "0.0", "0.0"]


def test_the_family_counts_images_on_which_just_one_is_right(table):
    (note,) = [note for note in made(table, stored()).notes if note.text.startswith("Does the denoiser")]
    assert note.text == (
        "Does the denoiser do more than a blur? Written down on 2026-11-30, before any of these results: DnCNN against"
        " blur, by exact two-sided McNemar tests on the same images, with Holm's correction over all 3. Of the networks"
        " of several seeds the largest p counts, 1 if they point both ways. DnCNN is right more often in 1 (Unaware),"
        " blur in 1 (Aware)."
    )
    assert note.lines == (
        "Clean: 1/0, 0/0; p 1 (1)",
        "Unaware: 12/0, 12/1; p 0.0034 (0.01)",
        "Aware: 0/8, 0/8; p 0.0078 (0.016)",
    )


def test_what_is_not_stored_counts_for_the_correction(table):
    found = stored(right={place: bits for place, bits in RIGHT.items() if place[1] != "aware"})
    (note,) = [note for note in made(table, found).notes if note.text.startswith("Does the denoiser")]
    assert note.lines[1:] == ("Unaware: 12/0, 12/1; p 0.0034 (0.01)", "Aware: nothing stored")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{kind: blur, size: 3}", "{kind: blurr}", "under 'clean': .*'blurr'"),
        ("{kind: blur, size: 3}", "{run: here}", "under 'clean': 'run' must be STUDY:TRIAL:SEED, not 'here'"),
        ("epsilon: 8}", "epsilom: 8}", "under 'unaware': unknown key 'epsilom'; did you mean 'epsilon'?"),
        ("{label: none,", "{label: none, condition: {clipp: true},", "under 'clean': unknown key 'clipp'"),
        ("kind: fgsm", "kind: fgsn", "'classification' has no condition 'fgsn'; did you mean 'fgsm'?"),
        ("row: DnCNN", "row: DnCN", "'DnCN' is not a row"),
        ("row: DnCNN", "row: blur", "'blur' has no 'against'"),
        ("[clean, unaware, aware]", "[clean, unawake]", "'unawake' is not a column of results"),
    ],
)
def test_what_no_evaluation_can_have_is_refused(tmp_path, old, new, message):
    file = tmp_path / "attacked.yml"
    file.write_text(TABLE.replace(old, new), encoding="utf-8")
    with pytest.raises(SpecError, match=message):
        load_table(file)


def test_the_papers_two_figures_stand_in_a_table_of_their_own():
    table = load_our_table("adversarial")
    printed = {row.label: value.text for row in table.rows for value in row.paper.values()}
    assert printed == {"ResNet-101": "27.18%", "ResNet-101, denoised": "36.05%"}
