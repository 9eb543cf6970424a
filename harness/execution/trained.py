"""The trained network of a stored run, as a module of torch."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import torch
from torch import nn

from harness.base.errors import HarnessError, kind_of
from harness.models.build import build_model
from harness.store.artifacts import read_weights
from harness.store.find import find_attempt
from harness.store.merge import open_results
from harness.store.queries import artifacts, snapshot
from harness.training.recipe import set_batch_norm
from harness.trial.trial import is_trained

Network: TypeAlias = nn.Module


def load_network(run: str, sources: Sequence[Path]) -> Network:
    """Return the network of a run with its trained weights, on the CPU and in evaluation mode.

    Code of plug-ins is looked for in the current folder first, and must be what it was when the run was planned.

    Args:
        run: STUDY:TRIAL:SEED, or the first digits of an attempt's uid.
        sources: databases, published files, or folders of these; weights lie beside them.

    Raises:
        HarnessError: no such run, a run without a network or without training, or weights that are not here, have
            changed, or do not fit.
    """
    with open_results(sources) as store:
        found = snapshot(store)
        attempt = find_attempt(found, run)
        config = found.trials[attempt.trial_key].config
        if "model" not in config:
            saved = "'harness results show' names the files that it saved"
            raise HarnessError(f"'{run}' is a run of a function or a script, which has no network here; {saved}")
        if not is_trained(config):
            raise HarnessError(f"'{run}' was not trained, so no weights of it are stored")
        trained = attempt.weights_from or attempt.uid
        content = read_weights(sources, trained, artifacts(store, trained))
    if content is None:
        raise HarnessError(f"'{run}': the weights of this attempt are not here; run it again, or name another run")
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:
        raise HarnessError(f"'{run}': its weights cannot be read ({kind_of(error)})") from error
    with torch.random.fork_rng(devices=[]):
        network = build_model(config, ["."])
    set_batch_norm(network, config["protocol"].get("batch_norm"))
    try:
        network.load_state_dict(state)
    except (RuntimeError, TypeError) as error:
        raise HarnessError(f"'{run}': the weights do not fit the network ({' '.join(str(error).split())})") from error
    return network.eval()
