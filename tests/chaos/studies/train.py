"""A training without a framework, with all that a resume must bring back: a curve, checkpoints, saved files, children.

It is slow on purpose, so that there is a middle in which to be killed.
"""

import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np

EARLY = 4  # the step after which a file is saved, so that most faults come later


def run(context, *, width, steps=14, pause_s=0.05):
    weights, speed, losses, done = np.zeros(width), np.zeros(width), [], 0
    if folder := context.resume():
        with np.load(folder / "state.npz") as state:
            weights, speed, done = state["weights"], state["speed"], int(state["done"])
        losses = json.loads((folder / "losses.json").read_text())[:done]
    with children() as square, tempfile.TemporaryDirectory() as scratch:
        for step in range(done, steps):
            gradient = weights - context.rng("data", step).normal(size=width)
            speed = 0.9 * speed + gradient
            weights = weights - 0.05 * speed
            losses.append(float(np.sqrt(square(gradient).sum())))
            context.report(step, loss=losses[-1], norm=float(np.abs(weights).max()))
            if step == EARLY:
                context.save("early", written(Path(scratch) / "early.npy", weights))
            with context.checkpoint("losses.json") as file:
                file.write(json.dumps(losses).encode())
            with context.checkpoint("state.npz") as file:
                np.savez(file, weights=weights, speed=speed, done=step + 1)
            if context.should_stop():
                return None
            time.sleep(pause_s)
        context.save("weights", written(Path(scratch) / "last.npy", np.stack([weights, speed])))
    return {"loss": losses[-1], "sum": sum(losses)}


def written(path, array):
    np.save(path, array)
    return path


@contextmanager
def children():
    """Start a program that would run for ten minutes and, if a worker may have one, a pool; yield what squares."""
    program = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
    try:
        pool = multiprocessing.get_context("fork").Pool(1)
    except AssertionError:  # "daemonic processes are not allowed to have children"
        pool = None
    try:
        yield np.square if pool is None else lambda values: pool.apply(np.square, (values,))
    finally:
        if pool is not None:
            pool.terminate()
            pool.join()
        program.kill()
        program.wait()
