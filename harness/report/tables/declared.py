"""Which way a metric is better: as a study of functions declares it in its stored text, else as its name says.

A function's trials have no network and no data that the harness knows: what their table shows is what they declare.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from harness.stats.comparison import Better

_BETTER: Mapping[str, Better] = {"maximize": "higher", "minimize": "lower"}
_LOWER = ("loss", "error", "mse", "mae", "rmse")


def better_of(metric: str, spec_yaml: str) -> Better:
    """Return which way a metric of a study is better: as the study's text declares, else as its name says."""
    by_name: Better = "lower" if metric.removesuffix("_db").endswith(_LOWER) else "higher"
    return declared_metrics(spec_yaml).get(metric, by_name)


@lru_cache(maxsize=64)
def declared_metrics(spec_yaml: str) -> Mapping[str, Better]:
    """Return the better direction of each metric that a study's text declares, in its order; none where it does not.

    What the study itself says comes before what it includes, what holds for all before what single entries add.
    """
    try:
        documents = list(YAML(typ="safe", pure=True).load_all(spec_yaml))
    except YAMLError:
        return {}
    found: dict[str, Better] = {}
    for document in documents:
        if not isinstance(document, Mapping):
            continue
        trials = document.get("trials")
        for part in (document, *(trials if isinstance(trials, list) else ())):
            for name, direction in _metrics(part).items():
                if direction in _BETTER:
                    found.setdefault(str(name), _BETTER[direction])
    return found


def _metrics(part: Any) -> Mapping[str, Any]:
    metrics = part.get("metrics") if isinstance(part, Mapping) else None
    return metrics if isinstance(metrics, Mapping) else {}
