"""Real photographs: imagenette's folders, train and val."""

import numpy as np
import pytest

from harness.data.dataset import load_dataset
from harness.data.locations import data_root

FOLDER = data_root() / "imagenette"  # as it stands before the tests name another data root


@pytest.mark.skipif(not (FOLDER / "train").is_dir(), reason="imagenette is not under $HARNESS_DATA")
def test_imagenette(declare, data):
    found = declare(path=str(FOLDER), size=32)
    assert (found.input_shape, found.classes, found.class_names[0]) == ((3, 32, 32), 10, "n01440764")
    splits = load_dataset(found, data)
    for split in ("train", "test"):
        folder = FOLDER / ("val" if split == "test" else split)
        counts = [len(list(one.iterdir())) for one in sorted(folder.iterdir())]
        assert np.bincount(splits[split].labels).tolist() == counts
    assert [round(mean, 1) for mean in found.normalization[0]] == [0.5, 0.5, 0.4]  # of natural photographs
    assert declare(path=str(FOLDER), size=32) == found
