"""The study file that a search writes: its front, trained on the whole training set, to meet the test set."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from harness.search.file import Search
from harness.search.front import Candidate
from harness.spec.files import atomic_write
from harness.spec.resolve import named


def write_front(path: Path, search: Search, front: Sequence[Candidate], members: int) -> None:
    """Write the study of a front. `members`: how many placements the search has."""
    parts = {name: named(value) for name, value in search.space.parts.items()}
    parts["protocol"] = {**parts["protocol"], "train_on": "all"}
    seeds = ", ".join(map(str, search.seeds))
    how = f"{members} placements, sampler {search.sampler}, objectives {', '.join(search.objectives)}"
    lines = [
        f"# The front of the search '{search.name}' ({search.file}), written by `harness search placement`.",
        f"# {how}; accuracy on the validation split, seeds {seeds}.",
        "# Found without test data; this study trains on the whole training set and meets the test set.",
        f"study: {search.front_name}",
        f"description: {_flow(f'The front of the search {search.name}: accuracy on the test set.')}",
        *(f"{name}: {_flow(value)}" for name, value in parts.items()),
        f"seeds: {_flow(list(search.front_seeds))}",
        *_execution(search),
        "trials:",
    ]
    for candidate in front:
        lines += _entry(search, candidate)
    atomic_write(path, "\n".join(lines) + "\n")


def _entry(search: Search, candidate: Candidate) -> list[str]:
    compressors = search.space.compressors(candidate.placement)
    values = ", ".join(f"seed {seed}: {value:.4f}" for seed, value in candidate.values.items())
    return [
        f"  # trial {candidate.key}, attempts {', '.join(candidate.attempts)}; {values}",
        f"  - name: {_flow(candidate.words)}",
        *([f"    compressors: {_flow(compressors)}"] if compressors else []),
    ]


def _execution(search: Search) -> list[str]:
    said = search.execution.model_dump(exclude_defaults=True)
    return [f"execution: {_flow(said)}"] if said else []


def _flow(value: Any) -> str:
    """Return a value as YAML on one line."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = True
    yaml.width = 10_000
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    text = io.StringIO()
    yaml.dump(value, text)
    return text.getvalue().removesuffix("\n").removesuffix("\n...")
