"""A model that is never trained, from another's file: killed and stopped between images, evaluated on more later."""

import os
import shutil
import signal

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from harness.attempt.items import ITEMS_FILE, read_items
from harness.base.errors import DamagedError

MODEL = """\
import time
from pathlib import Path

from torch import nn

from harness.trial.models import ModelDeclaration


class Half(nn.Module):
    declaration = ModelDeclaration(
        name="half", input_shape=(3, 32, 32), classes=0, sites={}, code="half.py:Half", any_size=True, trains=False
    )
    one_by_one = True

    def __init__(self, compressors, options):
        super().__init__()

    def forward(self, noisy, sigma):
        if Path("slow").exists():
            time.sleep(0.4)
        return (noisy + noisy.mean((2, 3), keepdim=True)) / 2
"""

STUDY = """\
study: half
task: denoising
dataset: {{kind: photographs, path: crops}}
seeds: [0]
evaluate: [{{sigma: {sigma}}}]
execution: {{threads: 1}}
trials:
  - {{name: Half, model: "half.py:Half"}}
"""
IMAGES = 6


@pytest.fixture
def half(lab, tmp_path):
    """A lab with a study of a method that takes its time while there is a file `slow`."""
    (lab.folder / "crops").mkdir()
    photo = load_sample_images().images[0]
    for number in range(IMAGES):
        Image.fromarray(np.ascontiguousarray(photo[40 * number :][:16, 100:120])).save(
            lab.folder / "crops" / f"{number}.png"
        )
    (lab.folder / "half.py").write_text(MODEL)
    lab.environment["HARNESS_DATA"] = str(tmp_path / "data")
    return lab


def ask(lab, sigma="25"):
    (lab.folder / "study.yml").write_text(STUDY.format(sigma=sigma))


def images_done(lab):
    """Return how many images the newest attempt has kept."""
    done = 0
    for file in lab.artifacts.glob(f"*/{ITEMS_FILE}"):
        try:
            items = read_items(file)
        except DamagedError:
            continue
        done = max(done, items.done if items else 0)
    return done


def values(lab):
    return lab.query(
        """SELECT r.name, r.value, s.packed FROM result r JOIN attempt a ON a.id = r.attempt_id
        JOIN evaluation e ON e.id = r.evaluation_id
        LEFT JOIN sample s ON s.attempt_id = a.id AND s.name = r.name AND s.evaluation_id = r.evaluation_id
        WHERE a.state = 'done' ORDER BY e.key, r.name"""
    )


def test_killed_and_stopped_it_resumes_and_ends_with_the_same_bits(half, wait_until):
    ask(half)
    assert half.grid().code == 0
    undisturbed = values(half)
    assert len(undisturbed) == 2
    shutil.rmtree(half.folder / "results")

    (half.folder / "slow").touch()
    process = half.start("run", "grid", "study.yml")
    wait_until(lambda: images_done(half) >= 2)
    os.killpg(process.pid, signal.SIGKILL)
    half.finish(process)
    killed_at = images_done(half)
    assert 2 <= killed_at < IMAGES

    process = half.start("run", "grid", "study.yml")
    wait_until(lambda: images_done(half) > killed_at)
    process.send_signal(signal.SIGINT)
    stopped = half.finish(process)
    assert (stopped.code, half.states()) == (130, ["lost", "interrupted"])
    assert "resumes" in stopped.err

    (half.folder / "slow").unlink()
    ended = half.grid()
    assert "resumes" in ended.err
    assert (ended.code, half.states()) == (0, ["lost", "interrupted", "done"])
    assert values(half) == undisturbed
    assert not list(half.artifacts.glob(f"*/{ITEMS_FILE}"))  # also those of the attempts that it resumed from


def test_more_levels_are_evaluated_later_without_doing_the_first_again(half):
    ask(half)
    assert half.grid().code == 0
    ask(half, sigma="[25, 50]")
    shown = half.here("run", "grid", "study.yml", "--dry-run")
    assert shown.code == 0, shown.err
    assert half.grid().code == 0
    assert half.query("SELECT kind, state FROM attempt ORDER BY started") == [("train", "done"), ("evaluate", "done")]
    assert len(values(half)) == 4
    assert "1 done, 0 left" in half.grid().out


def test_its_commands_say_that_nothing_was_trained(half):
    ask(half)
    half.grid()
    assert half.here("run", "timing", "study.yml").code == 0
    listed = half.here("results", "list")
    assert "not trained" in listed.out
    assert "test_s_per_image" in listed.out
    assert "train_s_per_epoch" not in listed.out
    costs = half.here("cost", "study.yml")
    assert costs.code == 0, costs.err
    assert costs.out.splitlines()[-1].split()[:3] == ["Half", "0", "0"]
    tables = half.here("report", "tables", "--study", "half")
    assert tables.code == 0, tables.err
    assert "not trained" in tables.out
