"""A trial: what is trained, resolved, whatever its task."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from harness.attempt.data import DatasetDeclaration, DatasetSplit
from harness.attempt.messages import EvaluationSpec
from harness.attempt.metrics import Direction, Metric
from harness.base.keys import trial_key

if TYPE_CHECKING:
    from harness.trial.protocol import ResolvedProtocol  # whose forms take a tenth of a second, which no function needs


FUNCTION = "function"
"""The one task without a network: a person's own function (`harness.trial.function`)."""
COMMAND = "command"
"""What a study calls a function that is a command (`harness.trial.command`)."""


def what_runs(config: Mapping[str, Any]) -> str:
    """Return what a function's configuration calls: `train.py:run`, or a command."""
    task = config["task"]
    return str(task.get("target") or task["command"])


def is_of_function(config: Mapping[str, Any]) -> bool:
    """Return whether a trial's configuration is of a person's own function, so that it names no network and no data."""
    return bool(config["task"]["kind"] == FUNCTION)


NOT_TRAINED = "not trained"
"""What is in place of a protocol's name for a model that is only evaluated."""


def is_trained(config: Mapping[str, Any]) -> bool:
    """Return whether a trial's configuration is of a network that is trained.

    It is not if the model is evaluated as it is (a classical method, published weights), nor of a function.
    """
    return "protocol" in config


@dataclass(frozen=True)
class Trial:
    """What is trained, resolved: its configuration is all that its key is made of."""

    config: Mapping[str, Any]
    data: tuple[DatasetDeclaration, ...]  # what is trained on first, then what else is evaluated on; none of a function
    protocol: "ResolvedProtocol | None"  # None for a function, and for a model that is not trained
    evaluations: tuple[EvaluationSpec, ...]  # what its runs are tested on, each once; not part of the key
    metrics: tuple[Metric, ...]  # what its evaluations find, the primary first; not part of the key
    files: Mapping[str, str] = field(default_factory=dict)  # where files lie that `config` names by their digest
    seeded: bool = True  # False: no run of it depends on its seed

    @cached_property
    def key(self) -> str:
        """The hash of the configuration."""
        return trial_key(self.config)

    @property
    def directions(self) -> Mapping[str, Direction]:
        """Which way each of its metrics is optimised, the primary first."""
        return {metric.name: metric.direction for metric in self.metrics}

    @property
    def is_function(self) -> bool:
        """Whether a person's own function is what runs, so that the harness knows neither its data nor its network."""
        return is_of_function(self.config)

    @property
    def is_untrained(self) -> bool:
        """Whether its model is evaluated as it is, such as a classical method: no training data, no protocol."""
        return not (self.is_function or is_trained(self.config))

    @property
    def protocol_name(self) -> str:
        """The protocol's name; for a function, that of the function."""
        if self.is_function:
            return what_runs(self.config)
        return NOT_TRAINED if self.protocol is None else self.protocol.name

    @property
    def precision(self) -> str:
        """The numeric precision: fp32, tf32 or bf16."""
        if self.protocol is None:
            return str(self.config["task"].get("precision", "fp32"))
        return self.protocol.settings.precision

    @property
    def datasets(self) -> tuple[DatasetSplit, ...]:
        """The splits that the trial is trained and evaluated on, or keeps out of training, each once, `train` first."""
        evaluated = [DatasetSplit(e.dataset, e.split, e.fingerprint, e.images, e.bytes) for e in self.evaluations]
        if not is_trained(self.config):
            return tuple(evaluated)
        own = self.data[0].splits
        kept_out = () if self.trains_on_all else (own["validation"],)
        return tuple(dict.fromkeys((own["train"], *kept_out, *evaluated)))

    @property
    def trains_on_all(self) -> bool:
        """Whether the validation split is trained on too, so that the test set is what may be looked at."""
        return self.protocol is None or self.protocol.settings.train_on == "all"
