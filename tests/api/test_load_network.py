"""`harness.load_network`: the trained network judges each image as the stored run did, from a store and from a file."""

import re

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import harness
from harness.base.errors import HarnessError
from harness.cli import main
from harness.data import digits

STUDY = {
    "study": "nets",
    "task": "classification",
    "dataset": "digits",
    "model": "mnist_cnn",
    "protocol": {"kind": "digits-quick", "epochs": 1},
    "seeds": [0],
    "trials": [{"name": "pooled", "at": "conv2", "compressor": {"kind": "spatial", "stride": 4}}],
}


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    path = tmp_path_factory.mktemp("nets") / "harness.db"
    harness.run(STUDY, db=path, executor="in-process", threads=1, progress=False)
    return path


def call(*words):
    done = CliRunner().invoke(main, ["results", *map(str, words)])
    assert done.exit_code == 0, done.output
    return done.stdout


def judged(network, images, labels):
    with torch.no_grad():
        return (network(images).argmax(1) == labels).numpy()


def test_the_network_judges_as_it_did(db, tmp_path):
    results = harness.load(db)
    scale = results.runs().config[0]["protocol"]["normalization"]
    arrays = digits.load(tmp_path)["test"]
    images = torch.from_numpy(arrays.images).float() / 255
    images = (images - torch.tensor(scale["mean"])[0]) / torch.tensor(scale["deviation"])[0]
    stored = results.items().query("metric == 'correct'").value.to_numpy(dtype=bool)
    labels = torch.from_numpy(np.asarray(arrays.labels))
    network = harness.load_network("nets:pooled:0", db)
    assert not network.training
    assert (judged(network, images, labels) == stored).all()
    call("export", "--db", db, "--out", tmp_path / "nets.jsonl", "--weights")
    elsewhere = harness.load_network(results.runs().attempt[0], tmp_path)
    assert (judged(elsewhere, images, labels) == stored).all()


def test_show_says_where_the_weights_lie(db):
    (path,) = re.findall(r"^weights: (.*)", call("show", "nets:pooled:0", "--db", db), flags=re.MULTILINE)
    uid = harness.load(db).runs().attempt[0]
    assert path == str(db.parent / "artifacts" / uid / "weights.pt")


def test_what_has_no_network_is_a_line(db, tmp_path):
    call("export", "--db", db, "--out", tmp_path / "nets.jsonl")
    with pytest.raises(HarnessError, match="'nets:pooled:0': the weights of this attempt are not here"):
        harness.load_network("nets:pooled:0", tmp_path)
    with pytest.raises(HarnessError, match="a run is written STUDY:TRIAL:SEED, not 'nets:pooled'"):
        harness.load_network("nets:pooled", db)
    weights = next(db.parent.glob("artifacts/*/weights.pt"))
    kept = weights.read_bytes()
    weights.write_bytes(kept[:-1] + b"?")
    with pytest.raises(HarnessError, match=r"weights\.pt is not what attempt .* left: its SHA-256 differs"):
        harness.load_network("nets:pooled:0", db)
    weights.write_bytes(kept)
