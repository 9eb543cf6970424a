"""MLflow's file store (`mlruns/`): a folder per experiment, in it a folder per run with params and metrics as files.

    mlruns/EXPERIMENT/meta.yaml             name
    mlruns/EXPERIMENT/RUN/meta.yaml         status, start_time and end_time (milliseconds since 1970), lifecycle_stage
    mlruns/EXPERIMENT/RUN/params/NAME       the value, as text
    mlruns/EXPERIMENT/RUN/metrics/NAME      a line per value: TIMESTAMP VALUE STEP

Read and written without the package. Names may have slashes, which are folders.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from harness.base.clock import as_text
from harness.base.errors import HarnessError, did_you_mean
from harness.interchange.outside import OutsideRun, setting_of
from harness.interchange.table import seed_of

_META = "meta.yaml"
_FINISHED = 3
_STATES = {1: "running", 2: "scheduled", 4: "failed", 5: "killed"}
_SEEDS = ("seed", "random_seed")


def is_mlruns(folder: Path) -> bool:
    """Return whether a folder is a file store of MLflow, or an experiment of one."""
    return folder.is_dir() and bool(_experiments(folder))


def read_mlruns(
    folder: Path, experiment: str | None = None, seed: str | None = None, settings: Sequence[str] = ()
) -> list[OutsideRun]:
    """Return the runs of an experiment, oldest first, with their curves; deleted ones are left out.

    Args:
        folder: `mlruns`, or the folder of an experiment in it.
        experiment: by name or number; needed if there are several with runs.
        seed: the param with the seed; None: the one that is called so, if there is one.
        settings: the params that make a trial; none: all but the seed.

    Raises:
        HarnessError: in one line, what cannot be read, and where.
    """
    found = {path: _experiment_name(path) for path in _experiments(folder) if _runs(path)}
    if experiment is not None:
        found = {path: name for path, name in found.items() if experiment in {name, path.name}}
        if not found:
            known = sorted(_experiment_name(path) for path in _experiments(folder))
            raise HarnessError(f"{folder}: no experiment '{experiment}' with runs{did_you_mean(experiment, known)}")
    if not found:
        raise HarnessError(f"{folder}: no experiment of MLflow with runs is there")
    if len(found) > 1:
        raise HarnessError(f"{folder} has several experiments: name one with --experiment {' | '.join(found.values())}")
    (path,) = found
    there = {run: _meta(run) for run in _runs(path)}
    runs = [_run(run, meta, seed) for run, meta in there.items() if meta.get("lifecycle_stage") != "deleted"]
    if settings:
        known = sorted({name for run in runs for name in run.settings})
        for name in settings:
            if name not in known:
                raise HarnessError(f"{path}: no run has a param '{name}'{did_you_mean(name, known)}")
        runs = [replace(r, settings={n: v for n, v in r.settings.items() if n in settings}) for r in runs]
    return sorted(runs, key=lambda run: (run.started, run.where))


def _experiments(folder: Path) -> list[Path]:
    """Return the folders of experiments: those with a `meta.yaml` that is not a run's."""
    places = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    return [place for place in places if (place / _META).is_file() and not (place / "metrics").is_dir()]


def _runs(experiment: Path) -> list[Path]:
    return sorted(path for path in experiment.iterdir() if (path / _META).is_file())


def _experiment_name(experiment: Path) -> str:
    return str(_meta(experiment).get("name", experiment.name))


def _meta(folder: Path) -> Mapping[str, Any]:
    file = folder / _META
    try:
        content = YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise HarnessError(f"{file}: cannot be read ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict):
        raise HarnessError(f"{file}: not a mapping")
    return content


def _run(folder: Path, meta: Mapping[str, Any], seed: str | None) -> OutsideRun:
    params = {name: _text(file) for name, file in _files(folder / "params")}
    named = seed or next((name for name in params if name.lower() in _SEEDS), None)
    if seed is not None and seed not in params:
        raise HarnessError(f"{folder}: there is no param '{seed}'{did_you_mean(seed, params)}")
    curves = {name: _curve(file) for name, file in _files(folder / "metrics")}
    began, status = meta.get("start_time"), meta.get("status")
    return OutsideRun(
        str(folder),
        {n: value for n, text in params.items() if n != named and (value := setting_of(text)) is not None},
        {name: points[-1][1] for name, points in curves.items() if points},
        None if named is None else seed_of(params[named], named, str(folder)),
        _moment(began, folder),
        _moment(meta.get("end_time") or began, folder),
        [(name, step, value) for name, points in curves.items() if len(points) > 1 for step, value in points],
        None
        if status in {_FINISHED, "FINISHED"}
        else _STATES.get(status, str(status).lower())
        if isinstance(status, int)
        else str(status).lower(),
    )


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield what a folder of params or metrics has, by name."""
    for file in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if file.is_file():
            yield file.relative_to(folder).as_posix(), file


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise HarnessError(f"{file}: cannot be read ({error})") from error


def _curve(file: Path) -> list[tuple[int, float]]:
    """Return the steps and values of a metric, by step, then by time."""
    points = []
    for number, line in enumerate(_text(file).splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        try:
            moment, value, step = int(words[0]), float(words[1]), int(words[2]) if len(words) > 2 else 0
        except (ValueError, IndexError):
            raise HarnessError(f"{file}:{number}: not TIMESTAMP VALUE STEP: {line[:80]!r}") from None
        points.append((max(step, 0), moment, value))
    return [(step, value) for step, _, value in sorted(points, key=lambda point: point[:2])]


def _moment(milliseconds: object, folder: Path) -> str:
    if not isinstance(milliseconds, int):
        raise HarnessError(f"{folder / _META}: start_time must be milliseconds since 1970, not {milliseconds!r}")
    try:
        return as_text(datetime.fromtimestamp(milliseconds / 1000, UTC))
    except (OverflowError, ValueError, OSError):
        raise HarnessError(f"{folder / _META}: {milliseconds} is no time") from None
