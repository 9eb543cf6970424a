"""An attempt of kind `train` (and `check`, its repetition): train, evaluate, keep weights and maps."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness.attempt.messages import CHECKPOINT_FILE, WEIGHTS_FILE, Artifact, AttemptRequest, State
from harness.base.errors import DamagedError
from harness.base.files import atomic_open
from harness.training.checkpoint import Checkpoint, Progress, compatible, load_checkpoint, save_checkpoint
from harness.training.curve import Curve
from harness.training.evaluate import evaluations
from harness.training.loop import Training
from harness.training.observe import Bystander, Observer
from harness.training.outcome import Outcome, artifact, measure
from harness.training.process import StopFlag
from harness.training.ranks import ALONE, Ranks
from harness.training.setup import Setup, set_up, training

MAPS_FILE = "maps.npz"


def run(request: AttemptRequest, device: torch.device, stop: StopFlag, ranks: Ranks = ALONE) -> Outcome:
    """Train to the end or to a stop, from a checkpoint if the request names one that fits.

    Of several processes the first observes, evaluates and writes; the others bring back no more than their state.
    """
    folder = Path(request.folder)
    setup = set_up(request, device)
    wanted = compatible(request, device)
    checkpoint, notes = _usable_checkpoint(request, wanted, ranks)
    progress = Progress() if checkpoint is None else checkpoint.progress
    session = training(setup, request, progress, ranks)
    if checkpoint is not None:
        _restore(session, checkpoint)
    if not ranks.first:
        return Outcome(state=_trained_along(session, stop))
    curve = Curve(folder, () if checkpoint is None else checkpoint.curve)

    def save() -> None:
        save_checkpoint(folder / CHECKPOINT_FILE, _checkpoint(session, curve, wanted))

    if checkpoint is not None:
        save()  # from here on this attempt is the one to go on from
    before = progress.train_seconds, progress.images
    state = session.run(
        observer=Observer(setup.task, curve),
        stop=stop,
        checkpoint=save,
        checkpoint_every_s=request.execution.checkpoint_every_s,
        folder=folder,
    )
    curve.sync()
    seconds, images = progress.train_seconds - before[0], progress.images - before[1]
    outcome = Outcome(
        state=state,
        resumed_from=request.resume_from if checkpoint is not None else None,
        curve=tuple(curve.points),
        measures=(
            measure("train_seconds", progress.train_seconds),
            *([measure("images_per_s", images / seconds)] if images else []),
        ),
        notes=notes,
    )
    return outcome if state == "interrupted" else _finished(outcome, setup, request, folder)


def _finished(outcome: Outcome, setup: Setup, request: AttemptRequest, folder: Path) -> Outcome:
    """Evaluate the trained network, keep its weights and what a report shows of it."""
    model = setup.model.eval()
    results, samples = evaluations(setup.task, model, request.evaluations)
    with atomic_open(folder / WEIGHTS_FILE) as file:
        torch.save(model.state_dict(), file)
    artifacts: list[Artifact] = [artifact("weights", folder / WEIGHTS_FILE, folder)]
    if kept := setup.task.keepsakes(model):
        with atomic_open(folder / MAPS_FILE) as file:
            np.savez_compressed(file, **kept)  # type: ignore[arg-type]
        artifacts.append(artifact("maps", folder / MAPS_FILE, folder))
    return replace(outcome, results=results, samples=samples, artifacts=tuple(artifacts))


def _trained_along(session: Training, stop: StopFlag) -> State:
    """Train as the first of several processes does."""
    return session.run(
        observer=Bystander(), stop=stop, checkpoint=lambda: None, checkpoint_every_s=math.inf, folder=None
    )


def _usable_checkpoint(
    request: AttemptRequest, wanted: dict[str, Any], ranks: Ranks
) -> tuple[Checkpoint | None, tuple[str, ...]]:
    """Return the checkpoint to resume from, or None, and what is to be said of one that is damaged.

    Of several processes the first decides whether it fits.
    """
    if request.resume_folder is None:
        return None, ()
    file = Path(request.resume_folder) / CHECKPOINT_FILE
    if not ranks.first:
        return load_checkpoint(file) if ranks.agreed(False) else None, ()
    found: Checkpoint | None = None
    notes: tuple[str, ...] = ()
    try:
        found = load_checkpoint(file, wanted)
    except DamagedError as error:
        notes = (f"the checkpoint is damaged ({error}): it started afresh",)
    ranks.agreed(found is not None)
    return found, notes


def _checkpoint(session: Training, curve: Curve, wanted: dict[str, Any]) -> Checkpoint:
    cuda = session.task.device.type == "cuda"
    return Checkpoint(
        progress=replace(session.progress, loss_sum=session.loss_sum()),
        curve=tuple(curve.points),
        model=session.model.state_dict(),
        optimizer=session.optimizer.state_dict(),
        torch_rng=torch.get_rng_state(),
        cuda_rng=torch.cuda.get_rng_state() if cuda else None,
        compatible=wanted,
    )


def _restore(session: Training, checkpoint: Checkpoint) -> None:
    session.model.load_state_dict(checkpoint.model)
    session.optimizer.load_state_dict(dict(checkpoint.optimizer))
    torch.set_rng_state(checkpoint.torch_rng)
    if checkpoint.cuda_rng is not None:
        torch.cuda.set_rng_state(checkpoint.cuda_rng)
