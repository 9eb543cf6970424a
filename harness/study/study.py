"""A study file as a Study: checked, expanded, with every trial resolved.

    study: mnist                      # its name in the store
    task: classification              # defaults, which an entry may override
    dataset: mnist
    model: mnist_cnn
    protocol: mnist-paper             # each a name, or {kind: NAME, option: …}
    seeds: [0, 1]
    trials:
      - name: "Feature pooling, {reduction}"
        at: conv2
        compressor: {kind: spatial}
        grid: {compressor.stride: [2, 4]}

Expansion is deterministic: what is included first, then the entries in order, and within an entry the steps of its zip,
and for each the product of its grid, the last path fastest, without what it excludes.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NoReturn

from harness.base.checks import FieldError, MisfitError, validate
from harness.base.collection import collection_put_off
from harness.base.errors import HarnessError, SpecError, did_you_mean, name_fault, printable_line
from harness.base.keys import text_sha
from harness.base.source import Source
from harness.study.claims import StudyClaim, check_looks, resolve_claims
from harness.study.exclude import View, left
from harness.study.grid import Override, Point, apply, count, normalise, points, size, taken
from harness.study.include import Said, WrittenEntry, WrittenStudy, read_study
from harness.study.locate_errors import locate_errors
from harness.study.names import render_name
from harness.study.study_file import ClaimEntry, ExecutionOptions, ExecutorChoice, UntilDecided, executor_choice
from harness.trial.own_data import looking_once
from harness.trial.resolve import OF_A_FUNCTION, Trial, resolve_trial

__all__ = ["ExecutionOptions", "Study", "StudyTrial", "load_study"]


@dataclass(frozen=True)
class StudyTrial:
    """A trial's place in a study."""

    name: str
    position: int
    trial: Trial
    seeds: tuple[int, ...]
    overrides: str | None = None  # by which `--set` made another trial of the one that the file has
    executor: ExecutorChoice | None = field(default=None, compare=False)  # None: the study's
    view: View = field(default=View({}, {}), compare=False, repr=False)  # what the file sets, for conditions on trials


@dataclass(frozen=True)
class Study:
    """A study, expanded. `spec_yaml` is the file's text; where it includes others, followed by theirs.

    `plugin_folders` is where its plug-ins are looked for first.
    """

    name: str
    description: str
    trials: tuple[StudyTrial, ...]
    execution: ExecutionOptions
    spec_yaml: str
    file: str
    plugin_folders: tuple[str, ...]
    only: str = "*"  # a pattern: what of it is asked for now; the study itself stays whole
    skipped: Mapping[str, str] = field(default_factory=dict)  # by name: trials that cannot be built, and why
    claims: tuple[StudyClaim, ...] | None = None  # None: not to be looked at, as of trials that `--set` makes
    until: UntilDecided | None = None  # when there are seeds enough, if the claims are to say it
    baseline: str | None = None  # the trial that the others are held against in the study's table

    @property
    def chosen(self) -> tuple[StudyTrial, ...]:
        """The trials whose names match `only`."""
        return tuple(item for item in self.trials if fnmatchcase(item.name, self.only))

    @property
    def spec_sha(self) -> str:
        """The SHA-256 of the text."""
        return text_sha(self.spec_yaml)


def load_study(
    path: Path | str | Mapping[str, Any], overrides: Sequence[Override] = (), *, skip_invalid: bool = False
) -> Study:
    """Read, check and expand a study file, or a mapping of the same form.

    With `skip_invalid` the study is left without the trials whose compressors cannot be at their sites, if any others
    are left. Raises SpecError with file and line for the first thing that is wrong.
    """
    written = read_study(path)
    skipped: dict[str, str] = {}
    with looking_once(), collection_put_off():
        trials = tuple(_unique(_expand(written, overrides, skipped if skip_invalid else None)))
    if not trials:
        name, reason = next(iter(skipped.items()))
        raise SpecError(f"--skip-invalid leaves no trial: '{name}': {reason}", file=written.source.file)
    try:
        check_processes(written.execution, [item.trial for item in trials])
    except FieldError as error:
        raise written.defaults["execution"].error(error.path[1:], error.message) from None
    source, until = written.source, _until_decided(written, overrides)
    baseline, claims = (None, None) if overrides else _comparisons(source, trials, skipped, until)
    if until is not None:
        try:
            check_looks(until, claims or ())
        except FieldError as error:
            raise written.defaults["seeds"].error(error.path, error.message) from None
    return Study(
        name=written.name,
        description=source.data.get("description", ""),
        trials=trials,
        execution=written.execution,
        spec_yaml=written.text,
        file=source.file,
        plugin_folders=written.folders,
        skipped=skipped,
        claims=claims,
        until=until,
        baseline=baseline,
    )


def _until_decided(written: WrittenStudy, overrides: Sequence[Override]) -> UntilDecided | None:
    """Return when there are seeds enough, None if a list says it.

    Raises SpecError for trials that `--set` makes, of which no claim is, unless it says the seeds as well.
    """
    said = written.defaults.get("seeds")
    if said is None or not isinstance(said.value, Mapping):
        return None
    if not overrides:
        return UntilDecided.model_validate(said.value)
    if all(override.path != "seeds" for override in overrides):
        raise said.error((), "--set makes trials that no claim is about: say how many seeds, --set 'seeds=[0]'")
    return None


def _comparisons(
    source: Source, trials: Sequence[StudyTrial], skipped: Mapping[str, str], until: UntilDecided | None
) -> tuple[str | None, tuple[StudyClaim, ...]]:
    """Return a study's baseline and claims. Raises SpecError for trials and metrics that it does not have."""
    if (baseline := source.data.get("baseline")) is not None and baseline not in skipped:
        names = [item.name for item in trials]
        if baseline not in names:
            raise source.error(("baseline",), f"no trial is called '{baseline}'{did_you_mean(baseline, names)}")
    entries = [ClaimEntry.model_validate(entry) for entry in source.data.get("claims") or ()]
    try:
        return baseline, resolve_claims(entries, trials, skipped, until)
    except FieldError as error:
        raise source.error(("claims", *error.path), error.message) from None


def check_processes(execution: ExecutionOptions, trials: Iterable[Trial]) -> None:
    """Raise FieldError if the processes that an execution asks for cannot train each of the trials together."""
    processes = execution.processes

    def refuse(why: str) -> NoReturn:
        raise FieldError(("execution", "processes"), f"'processes: {processes}' {why}")

    if processes > 1 and execution.compile:
        refuse("and 'compile: true' do not go together: leave one of them out")
    for trial in trials if processes > 1 else ():
        if trial.is_function:
            refuse(f"does not apply to the function '{trial.protocol_name}', which may start its own: leave it out")
        if trial.is_untrained:
            refuse(f"does not apply to the model '{trial.config['model']['kind']}', which is not trained: leave it out")
        batch = trial.config["protocol"]["batch_size"]
        if processes > batch:
            refuse(f"cannot share batches of {batch}: write at most {batch}, or a larger 'batch_size'")


def _expand(
    written: WrittenStudy, overrides: Sequence[Override], skipped: dict[str, str] | None
) -> Iterator[tuple[WrittenEntry, StudyTrial]]:
    """Yield each point of each entry that is not excluded, resolved, with the entry.

    A trial that cannot be built goes into `skipped`, if that is not None. Raises SpecError for an override that no
    trial takes.
    """
    _check_size(written)
    used: set[str] = set()
    runs = number = 0
    for entry in written.entries:
        parts = entry.parts(written.defaults)
        base = normalise({key: said.value for key, said in parts.items()})
        executor = executor_choice(entry.data.get("executor"))
        for point in _points(entry, parts, base):
            with locate_errors(entry, parts, point, overrides):
                own = taken(overrides, base, point)
                used |= {override.path for override in own}
                trial = _trial(entry.data["name"], base, point, own, written.folders, skipped, number, executor)
                if trial is not None and own:
                    trial = replace(trial, overrides=_made_by(trial, entry, base, point, own, written.folders))
            if trial is None:
                continue
            number += 1
            runs += len(trial.seeds)
            if runs > _MOST_RUNS:
                raise entry.error((), f"the study has more than {_MOST_RUNS:,} runs: {_SMALLER}")
            yield entry, trial
    for override in overrides:
        if override.path not in used:
            raise SpecError("no trial of the study has a compressor", file=f"--set {override.path}")


_OF_NO_TRIAL = frozenset({"seeds", "evaluate"})


def _made_by(
    made: StudyTrial,
    entry: WrittenEntry,
    base: Mapping[str, Any],
    point: Point,
    overrides: Sequence[Override],
    folders: Sequence[str],
) -> str | None:
    """Return the overrides without which this would be another trial, or none; None if it is the study's own."""
    rest = [override for override in overrides if override.path in _OF_NO_TRIAL]
    if len(rest) == len(overrides):
        return None
    try:
        own = _trial(entry.data["name"], base, point, rest, folders, {})
    except HarnessError:
        own = None
    if own is not None and own.trial.key == made.trial.key:
        return None
    return ", ".join(str(override) for override in overrides if override not in rest)


MOST_POINTS = 10_000  # a thousand are resolved in a second
_MOST_RUNS = 100_000
_MOST_THINGS = 2_000_000  # that are copied into the points of a study
_SMALLER = "split it into several studies"


def _check_size(written: WrittenStudy) -> None:
    """Refuse, before any is made, more points than a study can have. Raises SpecError."""
    total = things = 0
    for entry in written.entries:
        grid, zipped = entry.data.get("grid") or {}, entry.data.get("zip") or {}
        total += (here := count(grid, zipped))
        if total > MOST_POINTS:
            where = next((key for key in ("grid", "zip") if key in entry.data), "name")
            raise entry.error((where,), f"{total:,} points are more than the {MOST_POINTS:,} of a study: {_SMALLER}")
        said = sum(size(part.value) for part in entry.parts(written.defaults).values())
        things += here * (said + sum(max(map(size, values)) for values in (*grid.values(), *zipped.values())))
        if things > _MOST_THINGS:
            raise entry.error((), f"{here:,} points with such long values are more than a study can hold: {_SMALLER}")


def _points(entry: WrittenEntry, parts: Mapping[str, Said], base: Mapping[str, Any]) -> Sequence[Point]:
    """Return the points of an entry's grid and zip that it does not exclude."""
    with locate_errors(entry, parts):
        found = list(points(entry.data.get("grid") or {}, entry.data.get("zip")))
    conditions = entry.data.get("exclude")
    if conditions is None:
        return found
    views = []
    for point in found:
        with locate_errors(entry, parts, point):
            views.append(view := View(base, point))
            view.parts  # noqa: B018 - an error in them is of this point
    with locate_errors(entry, parts):
        return left(views, conditions)


def _trial(
    name: str,
    base: Mapping[str, Any],
    point: Point,
    overrides: Sequence[Override],
    folders: Sequence[str],
    skipped: dict[str, str] | None,
    position: int = 0,
    executor: ExecutorChoice | None = None,
) -> StudyTrial | None:
    """Return the trial of a point, None for one that is put into `skipped`.

    Raises FieldError, which names the trial where its compressors are to blame and it is one of several.
    """
    said = {override.path: override.value for override in overrides}
    written = {"evaluate": said.pop("evaluate")} if "evaluate" in said else {}  # no grid reaches what is evaluated
    parts = apply(base, point, said) | written
    seeds, evaluate = parts.pop("seeds", None), parts.pop("evaluate", None)
    if seeds is None:
        raise FieldError(("seeds",), "'seeds' is missing: a list of whole numbers from 0")
    if isinstance(seeds, Mapping):
        seeds = validate(UntilDecided, seeds, ("seeds",)).seeds
    if not isinstance(seeds, list) or not seeds or not all(type(s) is int and 0 <= s < 2**32 for s in seeds):
        raise FieldError(("seeds",), f"'seeds' must be a list of whole numbers from 0, not {seeds!r}")
    if len(set(seeds)) != len(seeds):
        raise FieldError(("seeds",), f"a seed occurs twice in {seeds}")
    rendered = render_name(name, parts)
    if (fault := name_fault(rendered)) is not None:
        raise FieldError(("name",), f"'{printable_line(rendered)}' cannot be a trial's name: {fault}")
    known = {
        key: parts.get(key) for key in ("task", "dataset", "model", "compressors", "protocol", "inputs", *OF_A_FUNCTION)
    }
    try:
        trial = resolve_trial(**known, evaluate=evaluate, plugin_folders=folders)
    except MisfitError as error:
        if skipped is not None:
            skipped[rendered] = error.message
            return None
        if not point:
            raise
        cure = f"trial '{rendered}', which --skip-invalid skips"
        raise MisfitError(error.path, f"{error.message} ({cure})") from error.__cause__
    given = tuple(seeds if trial.seeded else seeds[:1])
    return StudyTrial(rendered, position, trial, given, executor=executor, view=View(base, point))


def _unique(expanded: Iterator[tuple[WrittenEntry, StudyTrial]]) -> Iterator[StudyTrial]:
    """Number the trials, give one that occurs twice once, and refuse one name for two."""
    by_name: dict[str, StudyTrial] = {}
    by_key: dict[str, StudyTrial] = {}
    for entry, item in expanded:
        key = item.trial.key
        if item.name in by_name and by_name[item.name].trial.key != key:
            raise entry.error(
                ("name",),
                f"two trials would both be named '{item.name}': put what differs into the name, "
                "e.g. {compressor.stride}",
            )
        if key in by_key:
            by_key[key] = _both(by_key[key], item)
        else:  # some before it may have been there twice
            by_key[key] = item if item.position == len(by_key) else replace(item, position=len(by_key))
        by_name.setdefault(item.name, item)
    return iter(by_key.values())


def _both(first: StudyTrial, again: StudyTrial) -> StudyTrial:
    """Return a trial that occurs twice once, with seeds and evaluations of both; the file's own if either is."""
    evaluations = {one.key: one for one in (*first.trial.evaluations, *again.trial.evaluations)}
    return replace(
        first,
        trial=replace(first.trial, evaluations=tuple(evaluations.values())),
        seeds=tuple(dict.fromkeys((*first.seeds, *again.seeds))) if first.trial.seeded else first.seeds,
        overrides=None if again.overrides is None else first.overrides,
    )
