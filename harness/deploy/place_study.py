"""A study of all places of one's own network on one's own data: each is trained with feature pooling, beside none."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.base.errors import HarnessError
from harness.models.foreign import input_shape_of
from harness.models.site_costs import foreign_on_meta, site_costs
from harness.study.study import load_study
from harness.trial.models import is_undeclared


def place_study(
    model: str, dataset: Any, protocol: Any, seeds: Sequence[int], stride: int, *, most: int | None = None
) -> tuple[str, int]:
    """Return a study file of a network's places on some data as text, and how many places there are.

    Its first trial has no compressor; each other one has feature pooling at one place, in the order of a pass. `most`
    keeps those alone that save most multiply-accumulates. `dataset` and `protocol` are as a study has them.

    Raises HarnessError for what a study would refuse, and for a network without a place.
    """
    study: dict[str, Any] = {
        "study": "places",
        "task": "classification",
        "dataset": dataset,
        "model": model,
        "protocol": protocol,
        "seeds": list(seeds),
        "trials": [{"name": "no compressor"}],
    }
    config = load_study(study).trials[0].trial.config["model"]
    places = _places(config, stride)
    if most is not None:
        kept = sorted(places, key=lambda place: -place[1])[:most]
        places = [place for place in places if place in kept]
    if not places:
        raise HarnessError(f"feature pooling with stride {stride} can go nowhere in '{model}'")
    trials = [
        {"name": f"{path}, stride {stride}", "at": path, "compressor": {"kind": "spatial", "stride": stride}}
        for path, _ in places
    ]
    load_study({**study, "trials": [*study["trials"], *trials]})  # refuses what cannot run
    return _text({**study, "trials": [*study["trials"], *trials]}), len(places)


def _places(model: Mapping[str, Any], stride: int) -> list[tuple[str, int]]:
    """Return the path of each place and the multiply-accumulates that it saves."""
    if not is_undeclared(model):
        raise HarnessError(f"'{model['kind']}' declares its sites: 'harness model sites' prints them")
    found = site_costs(foreign_on_meta(model, ["."]), input_shape_of(model), stride)
    return [(place.site.path, place.site.saved.macs) for place in found.places()]


def _text(study: Mapping[str, Any]) -> str:
    """Return a study as YAML, of which JSON is a part: a line per key, and per trial."""
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in study.items() if key != "trials"]
    trials = [f"  - {json.dumps(trial, ensure_ascii=False)}" for trial in study["trials"]]
    return "\n".join([*lines, "trials:", *trials]) + "\n"


def write_new(file: Path, text: str) -> None:
    """Write a study to a file that is not there yet. Raises HarnessError if it is."""
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError as error:
        raise HarnessError(f"{file} is there already; give another name") from error
