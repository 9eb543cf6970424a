"""The study that chose BM3D's constants: what it chose is the default, and none of its images is in Table 6."""

from pathlib import Path

import numpy as np
import pytest

import harness
from harness.classical import Bm3dOptions
from harness.data.locations import data_root, is_present
from harness.data.photographs import load_images
from harness.trial.datasets import DATASETS
from harness.trial.resolve import resolve_dataset

PUBLISHED = Path(__file__).parents[2] / "results" / "published" / "denoise-constants.jsonl"


def test_the_default_is_what_the_study_chose():
    results = harness.load(PUBLISHED)
    decibels = results.results().query("metric == 'psnr_db'").groupby("trial").value.mean()
    default = Bm3dOptions()
    name = "λ {}, variance {}, groups {} and {}"  # as the study names its trials
    chosen = name.format(default.threshold, default.wiener, default.group, default.wiener_group)
    assert (len(decibels), decibels.idxmax()) == (12, chosen)


def test_its_images_are_not_in_table_6():
    if not is_present("bsd500", data_root()):
        pytest.skip("the images of bsd500 are not here")
    chosen_on = {"kind": "photographs", "path": "BSDS500/train", "take": 4, "choose_seed": 1}
    ours = load_images(resolve_dataset(chosen_on, ()), data_root())
    table = load_images(resolve_dataset({"kind": "bsd500", "take": 20}, ()), data_root())["test"]
    tested = [*table, *load_images(DATASETS["cbsd68"], data_root())["test"]]
    assert not any(np.array_equal(image, other) for image in ours["train"] for other in tested)
