"""Tables by trial: which networks fill their cells, what stands in, and how their figures were measured."""

from dataclasses import replace

import numpy as np
import pytest
from records import attempt, snapshot

from harness.attempt.messages import EvaluationSpec, Sample
from harness.report.tables.cells import find
from harness.report.tables.compare import with_statistics
from harness.report.tables.declared import measured_notes
from harness.report.tables.expected import networks
from harness.report.tables.table import Row
from harness.report.tables.table_file import load_paper_table
from harness.store.records import EvaluationRecord
from harness.trial.resolve import resolve_trial

SPATIAL = {"kind": "spatial", "stride": 2}
TWO = {"fp1": SPATIAL, "fp2": SPATIAL}


def trial(sigma=20, model="denoiser", compressors=None, **parts):
    usual = {"dataset": "cifar10", "protocol": "denoise-paper"}
    return resolve_trial(
        task={"kind": "denoising", "sigma": sigma}, model=model, compressors=compressors, **{**usual, **parts}
    )


def on_photographs(sigma=20, **parts):
    protocol = {"kind": "denoise-paper", "augmentation": {"kind": "patches", "size": 64, "per_image": 1}}
    return trial(sigma, dataset="bsd432", protocol=protocol, evaluate=["cbsd68"], **parts)


def record(spec: EvaluationSpec) -> EvaluationRecord:
    return EvaluationRecord(spec.key, spec.dataset, spec.split, spec.fingerprint, spec.condition)


def stored(study, made, psnr=28.5):
    """A study's trials by name, each with a run of seed 0."""
    runs = [
        attempt(name, one.config, 0, results={(one.evaluations[0].key, "psnr_db"): psnr}) for name, one in made.items()
    ]
    found = snapshot([(name, one.config, "denoise-paper", {}) for name, one in made.items()], runs, study=study)
    evaluations = {one.evaluations[0].key: record(one.evaluations[0]) for one in made.values()}
    return replace(found, evaluations={**found.evaluations, **evaluations})


def cells(number, found):
    table = load_paper_table(number)
    return {(f.cell.row, f.cell.column): f.cell for f in find(found, table, networks(table))}


def test_the_network_of_a_row_fills_its_cells():
    cell = cells(5, stored("denoise-cifar", {"Baseline, 20": trial()}))["Baseline", "PSNR, σ=20"]
    assert (cell.ours, cell.paper, cell.match) == (28.5, 27.81, "other-recipe")
    assert "a reconstruction, not compared with the paper's configuration; trained on cifar10" in cell.note


@pytest.mark.parametrize(
    "other",
    [
        trial(model={"kind": "denoiser", "width": 0.25}),
        trial(model={"kind": "denoiser", "skips": True}),
        trial(compressors=TWO),
    ],
)
def test_another_network_of_the_same_name_does_not(other):
    found = cells(5, stored("denoise-cifar", {"Baseline, 20": other}))
    assert found["Baseline", "PSNR, σ=20"].ours is None


def test_counts_need_no_run():
    found = cells(5, stored("other", {"Baseline, 20": trial()}))
    counted = {row: (found[row, "parameters"].ours, found[row, "flops"].ours) for row, _ in found}
    assert counted == {
        "Baseline": (67.71, 1.42e8), "Baseline+2SP": (19.37, 4.06e7), "Baseline+2top-k": (19.37, 4.06e7),
    }  # fmt: skip


def test_a_set_that_stands_in_is_marked_and_has_no_value_of_the_papers():
    found = cells(4, stored("denoise", {"2FP, 20": on_photographs(compressors=TWO)}))
    cell = found["Baseline+2FP", "PSNR, σ=20"]
    assert (cell.ours, cell.paper, cell.match) == (28.5, None, "stand-in")
    assert "stand-in: tested on cbsd68, not bsd500" in cell.note


def test_how_it_was_measured_names_every_option_and_the_number_of_images():
    several = trial(evaluate=[{"dataset": "cbsd68", "sigma": [15, 25]}, {"clip": True}])
    found = stored("denoise-cifar", {"Baseline, 20": several})
    (note,) = measured_notes(found, list(found.trials), map(record, several.evaluations))
    assert note.startswith(
        "Tested on cbsd68 test, 68 images, sigma 15 25, clip false, round false, noise seed 0; cifar10 test, 10,000"
        " images, sigma 20, clip true, round false, noise seed 0. Noise is added to all channels"
    )


def test_nothing_is_said_of_tasks_that_say_nothing():
    classifier = resolve_trial(task="classification", dataset="cifar10", model="vgg16", protocol="cifar-fast")
    found = stored("cifar", {"Baseline": classifier})
    assert measured_notes(found, list(found.trials), []) == ()


def test_a_network_trained_on_a_range_stands_under_each_level_of_it():
    blind = on_photographs({"from": 0, "to": 60}, model="dncnn")
    (spec,) = blind.evaluations  # σ 25
    row = {"label": "blind", "trial": {"study": "denoise-any", "name": "blind"}}
    table = load_paper_table(7)
    columns = [column for column in table.columns if column.where["task.sigma"] in (15, 25)]
    ours = table.model_copy(update={"section": None, "columns": tuple(columns), "rows": (Row(**row),)})
    found = {f.cell.column: f.cell for f in find(stored("denoise-any", {"blind": blind}), ours, networks(ours))}
    assert spec.condition["sigma"] == 25
    assert (found["PSNR, σ=25"].ours, found["PSNR, σ=25"].match, found["PSNR, σ=15"].ours) == (28.5, "exact", None)
    narrow = stored("denoise-any", {"blind": on_photographs({"from": 30, "to": 60}, model="dncnn")})
    assert [f.cell.ours for f in find(narrow, ours, networks(ours))] == [None, None]


def test_rows_with_data_of_their_own_are_compared_image_by_image():
    """Table 6's rows on a part of BSD500: the values by image are those of the row's data, not of the table's."""

    def untrained(model):
        data = {"kind": "bsd500", "take": 20}
        return resolve_trial(task="denoising", dataset=data, model=model, evaluate=[{"sigma": 20}])

    made = {"BM3D": untrained("bm3d"), "K-SVD": untrained("k_svd")}
    found, table = stored("denoise-classical", made), load_paper_table(6)
    key = made["BM3D"].evaluations[0].key
    packed = {name: np.linspace(30, high, 20).astype("<f4").tobytes() for name, high in (("BM3D", 33), ("K-SVD", 32))}
    samples = {name: (Sample(key, "psnr_db", 20, "float32", each),) for name, each in packed.items()}
    traced = with_statistics(found, table, find(found, table, networks(table)), samples.get)
    (cell,) = [f.cell for f in traced if (f.row.label, f.column.key) == ("BSD500, first 20: K-SVD", "PSNR, σ=20")]
    items = cell.statistics.items
    assert (cell.statistics.against, items.items) == ("BSD500, first 20: BM3D", 20)
    assert items.mean == pytest.approx(-0.5)
    assert items.low_95 < -0.5 < items.high_95
