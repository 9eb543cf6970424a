"""A classifier behind a denoiser that another study trained: refused until that is done, then known by its run."""

import json

import pytest

from harness.base.sealed import sha256_of

DENOISERS = """\
study: denoisers
task: {{kind: denoising, sigma: 20}}
dataset: digits
model: {{kind: dncnn, channels: 1, depth: 3, width: 4, norm: none}}
protocol: {{kind: denoise-tuned, epochs: {epochs}, batch_size: {batch}}}
seeds: [0]
execution: {{threads: 1}}
trials: [{{name: "DnCNN, σ {{task.sigma}}", grid: {{task.sigma: [20]}}}}]
"""
ATTACKS = """\
study: attacks
task: classification
dataset: digits
model: mnist_cnn
protocol: {{kind: digits-quick, epochs: {epochs}, batch_size: {batch}}}
seeds: [0]
evaluate:
  - take: 20
    attack: [none, {{kind: fgsm, epsilon: 2}}]
    denoiser: [none, {{run: "denoisers:DnCNN, σ 20:0"}}]
    knowledge: aware
execution: {{threads: 1}}
trials: [{{name: CNN, at: conv2, compressor: {{kind: width, stride: 32}}}}]
"""
TABLE = """\
table: attacked
caption: Behind denoisers.
match: by trial
expect: {task: classification, dataset: "digits[:20]", seeds: [0]}
columns:
  - key: aware
    label: Aware
    source: result
    metric: accuracy
    evaluation: {condition: {kind: fgsm, epsilon: 2, knowledge: aware}}
    unit: fraction
    format: {style: fixed, digits: 2}
    better: higher
rows:
  - {label: none, trial: &it {study: attacks, name: CNN}}
  - {label: DnCNN, trial: *it, denoiser: {run: "denoisers:DnCNN, σ 20:0"}}
"""
RUNS = "attempt a JOIN run r ON r.id = a.run_id JOIN trial t ON t.id = r.trial_id"


@pytest.fixture
def studies(lab):
    lab.study("denoisers.yml", text=DENOISERS)
    lab.study("attacks.yml", text=ATTACKS)
    (lab.folder / "table.yml").write_text(TABLE)
    return lab


def test_a_run_is_found_in_the_store_by_its_name(studies):
    refused = studies.grid(study="attacks.yml")
    assert refused.code == 2
    assert refused.err.startswith(
        "Error: the denoiser 'denoisers:DnCNN, σ 20:0' is not trained, or its weights are not"
    )
    assert refused.err.endswith("run its study first, e.g. harness run grid ablations/denoisers.yml\n")
    assert studies.grid(study="denoisers.yml").code == 0
    ended = studies.grid(study="attacks.yml")
    assert ended.code == 0, ended.err
    assert "nothing to do" in studies.grid(study="attacks.yml").out

    (trained,) = studies.query(f"SELECT a.uid, t.key FROM {RUNS} WHERE t.config_json LIKE '%dncnn%'")  # noqa: S608
    uid, trial = trained
    file = studies.artifacts / uid / "weights.pt"
    stored = [json.loads(row[0]) for row in studies.query("SELECT condition_json FROM evaluation")]
    named = {"kind": "run", "seed": 0, "trial": trial, "weights": sha256_of(file)}
    assert {"kind": "clean", "denoiser": named} in stored
    assert {"kind": "fgsm", "epsilon": 2.0, "knowledge": "aware", "denoiser": named} in stored

    shown = json.loads(studies.here("report", "tables", "--file", "table.yml", "--format", "json").out)
    by_condition = studies.query(
        """SELECT e.condition_json, r.value FROM result r JOIN evaluation e ON e.id = r.evaluation_id
        WHERE r.name = 'accuracy'"""
    )
    known = {condition: value for condition, value in by_condition if "fgsm" in condition}
    assert {cell["row"]: cell["ours"] for cell in shown} == {
        "DnCNN" if "denoiser" in condition else "none": value for condition, value in known.items()
    }

    of_study = studies.here("report", "tables", "--study", "attacks.yml").out
    words = "digits[:20] test, denoiser denoisers: DnCNN, σ 20, seed 0, epsilon 2, fgsm, knowledge aware"
    assert f"accuracy ({words})" in of_study

    file.unlink()
    again = studies.grid(study="attacks.yml")
    assert (again.code, "its weights are not here" in again.err) == (2, True)


def test_a_run_that_was_merged_with_its_weights_is_a_denoiser_too(studies, new_lab):
    assert studies.grid(study="denoisers.yml").code == 0
    away = new_lab()
    lines = away.folder / "published" / "denoisers.jsonl"
    assert studies.here("results", "export", "--out", lines, "--weights").code == 0
    away.study("attacks.yml", text=ATTACKS)
    assert away.here("results", "merge", lines).code == 0
    ended = away.grid(study="attacks.yml")
    assert ended.code == 0, ended.err
    (weights,) = away.artifacts.glob("*/trial.json")
    weights.unlink()
    away.study("attacks.yml", text=ATTACKS.replace("epsilon: 2", "epsilon: 4"))
    assert (
        "neither request.json nor trial.json beside it says of what these weights are"
        in away.grid(study="attacks.yml").err
    )
