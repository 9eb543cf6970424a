"""Format 1 of a published line: one attempt that counts, with all that is needed to rebuild its rows.

The models state the format once, for those who write it (`export`) and those who read it (`merge`). They are
strict and know no other fields; whether a line's keys are those of its contents is checked here too, because
a line may come from anyone.
"""

import base64
import json
from collections.abc import Hashable, Iterable
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    NonNegativeInt,
    ValidationError,
    model_validator,
)

from harness.attempt.messages import ENDED_WELL, Flag, Kind, State
from harness.attempt.metrics import Better
from harness.base.errors import name_fault, printable_line, shortened
from harness.base.keys import KEY_SCHEME, evaluation_key, text_sha, trial_key
from harness.store.acceptance import said_fault
from harness.store.claims import claim_fault, claim_sha
from harness.store.trusted import (
    LARGEST,
    LARGEST_SEED,
    config_fault,
    end_fault,
    is_absolute,
    is_study_name,
    is_time,
    stays_in_its_folder,
)

FORMAT = 1

Value = float | None  # None if the flag says what it was
Count = Annotated[NonNegativeInt, Field(le=LARGEST)]
Seed = Annotated[NonNegativeInt, Field(le=LARGEST_SEED)]
Json = dict[str, JsonValue]


def _is_time(text: str) -> str:
    """Refuse what is not a time: attempts and studies are ordered by these texts."""
    if not is_time(text):
        raise ValueError(f"{shortened(text)!r} is not a time of the form 2026-01-31T12:00:00.000+00:00")
    return text


Time = Annotated[str, AfterValidator(_is_time)]


def _is_name(text: str) -> str:
    """Refuse what cannot be a metric's name, or a split's."""
    if (fault := name_fault(text)) is not None:
        raise ValueError(f"'{printable_line(shortened(text))}' cannot be a name: {fault}")
    return text


Name = Annotated[str, AfterValidator(_is_name)]


def _is_unit(text: str) -> str:
    """Refuse what is not a unit; a bare number has the empty one."""
    return text and _is_name(text)


class _Part(BaseModel):
    """What all parts share: nothing is coerced, nothing unknown is skipped, no NaN."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class MetricPart(_Part):
    """What one of a trial's final metrics is."""

    name: Name
    unit: Annotated[str, Field(max_length=20), AfterValidator(_is_unit)] = ""
    better: Better
    by_item: Name | None = None


class TrialPart(_Part):
    """What was trained. The key is that of the configuration."""

    key: str
    key_scheme: int
    config: Json
    costs: dict[Name, float]
    metrics: list[MetricPart] = []  # the primary first; left out of lines of earlier versions

    @model_validator(mode="after")
    def _key_is_right(self) -> Self:
        _check_once("metric", (metric.name for metric in self.metrics))
        if (fault := config_fault(self.config)) is not None:
            raise ValueError(f"the configuration {fault}")
        if self.key_scheme != KEY_SCHEME:
            raise ValueError(f"key scheme {self.key_scheme}; this harness has {KEY_SCHEME}")
        if trial_key(self.config) != self.key:
            raise ValueError(f"the key {self.key} is not that of the configuration, {trial_key(self.config)}")
        return self


class ClaimPart(_Part):
    """A claim of the study that the trial has part in. The SHA-256 is that of what it says."""

    sha: str
    name: Name
    content: Json
    why: str = ""
    position: Count
    entered: Time
    commit: str | None = None
    dirty: bool | None = None
    known: list[Seed] = []
    stands: bool
    changed: Time
    changed_known: list[Seed] = []

    @model_validator(mode="after")
    def _sha_is_right(self) -> Self:
        if (fault := claim_fault(self.content)) is not None:
            raise ValueError(f"the claim '{self.name}' {fault}")
        if claim_sha(self.content) != self.sha:
            raise ValueError(f"the claim '{self.name}' is not the one that its SHA-256 names")
        return self


class StudyPart(_Part):
    """The trial's place in a study. `added`: when it last stood there.

    Earlier versions took any name of a trial: one that it cannot have is taken in, and named by `results verify`.
    """

    name: str
    spec_yaml: str
    spec_sha: str
    created: Time
    trial_name: str
    position: Count
    seeds: list[Seed]
    protocol_name: str
    added: Time
    overrides: str | None = None  # left out of a study's own trial
    evaluations: list[str] | None = None  # keys of those that the study asks for; left out if nobody knows
    claims: list[ClaimPart] = []  # in which the trial has part; left out if there are none

    @model_validator(mode="after")
    def _name_and_sha_are_right(self) -> Self:
        if not is_study_name(self.name):
            raise ValueError(f"{shortened(self.name)!r} cannot be a study's name")
        if text_sha(self.spec_yaml) != self.spec_sha:
            raise ValueError(f"the text of study '{self.name}' is not the one that spec_sha names")
        return self


class DatasetPart(_Part):
    """A split that the attempt used."""

    name: str
    split: str
    fingerprint: str
    images: Count
    bytes: Count


class EvaluationPart(_Part):
    """A split under a condition. The key is that of both."""

    key: str
    fingerprint: str
    condition: Json

    @model_validator(mode="after")
    def _key_is_right(self) -> Self:
        right = evaluation_key(self.fingerprint, self.condition)
        if right != self.key:
            raise ValueError(f"the key {self.key} is not that of the evaluation, {right}")
        return self


def _unpacked(text: object) -> object:
    """Decode base64 strictly: a damaged text is refused, never skipped over."""
    return base64.b64decode(text, validate=True) if isinstance(text, str) else text


class SamplePart(_Part):
    """One value per image: `count` bits or 32-bit numbers."""

    evaluation: str
    name: Name
    count: Count
    encoding: str
    packed: Annotated[bytes, BeforeValidator(_unpacked)]

    @model_validator(mode="after")
    def _has_its_length(self) -> Self:
        right = {"bits": (self.count + 7) // 8, "float32": 4 * self.count}.get(self.encoding)
        if right is not None and len(self.packed) != right:
            raise ValueError(f"{self.count} values as {self.encoding} are {right} bytes, not {len(self.packed)}")
        return self


class ArtifactPart(_Part):
    """A file, by its path within the attempt's folder."""

    kind: Name
    path: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    bytes: Count

    @model_validator(mode="after")
    def _stays_in_its_folder(self) -> Self:
        if not stays_in_its_folder(self.path):
            raise ValueError(f"the artifact {shortened(self.path)!r} does not lie in its attempt's folder")
        return self


CurvePoint = tuple[Name, Name, Count, Value, Flag]  # split, name, step, value, flag


class AcceptedPart(_Part):
    """A trial for which the results of another, `old_key`, count by a person's word, and its place in studies."""

    old_key: str
    trial: TrialPart
    studies: list[StudyPart]
    author: str
    reason: str
    accepted: Time

    @model_validator(mode="after")
    def _is_said_in_a_line(self) -> Self:
        for name, text in (("author", self.author), ("reason", self.reason)):
            if (fault := said_fault(name, text)) is not None:
                raise ValueError(f"the {name} {fault}")
        return self


class PublishedLine(_Part):
    """One attempt that counts."""

    format: Literal[1]
    uid: Annotated[str, Field(pattern=r"^\w[\w.-]*$", max_length=100)]
    kind: Kind
    state: State
    trial: TrialPart
    studies: list[StudyPart]
    datasets: list[DatasetPart]
    evaluations: list[EvaluationPart]
    seed: Seed
    weights_from: str | None
    resumed_from: str | None
    supersedes: str | None
    device: str
    threads: Count
    exclusive: bool
    execution: Json
    environment: Json
    code_digest: str | None
    started: Time
    ended: Time
    ordered: Time | None = None  # only if `started` does not order the attempt after those before it
    error_kind: str | None
    error: str | None
    curve: list[CurvePoint]
    results: list[tuple[str, Name, Value, Flag]]  # evaluation key, name, value, flag
    measures: list[tuple[Name, Value, Flag]]
    samples: list[SamplePart]
    artifacts: list[ArtifactPart]
    accepted_for: list[AcceptedPart] = []  # in an order in which each `old_key` is known before; left out if empty

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        if self.state not in ENDED_WELL:
            raise ValueError(f"an attempt that ended {self.state} does not count")
        found_none = not self.results
        if (fault := end_fault(self.kind, self.state, self.started, self.ended, found_none=found_none)) is not None:
            raise ValueError(fault)
        _check_each_once(self)
        _check_curve(self.curve)
        known = {e.key for e in self.evaluations}
        used = {r[0] for r in self.results} | {s.evaluation for s in self.samples}
        if used - known:
            raise ValueError(f"evaluation {min(used - known)} has values but is not in the line")
        missing = {e.fingerprint for e in self.evaluations} - {d.fingerprint for d in self.datasets}
        if missing:
            raise ValueError(f"data {min(missing)} were evaluated but are not in the line")
        _check_patch(self.environment.get("study"))
        for value, flag in (pair[-2:] for rows in (self.curve, self.results, self.measures) for pair in rows):
            if (value is None) == (flag == "ok"):
                raise ValueError(f"the value {value} does not go with the flag {flag}")
        return self


def _check_once(what: str, names: Iterable[Hashable]) -> None:
    """Raise ValueError if something that is known by its name occurs twice: which of the two would count?"""
    seen: set[Hashable] = set()
    for name in names:
        if name in seen:
            said = name if isinstance(name, str) else ", ".join(map(str, name)) if isinstance(name, tuple) else name
            raise ValueError(f"the {what} '{printable_line(shortened(str(said)))}' occurs twice")
        seen.add(name)


def _check_each_once(line: PublishedLine) -> None:
    """Raise ValueError if the line has two of something of which the store has one."""
    _check_once("study", (study.name for study in line.studies))
    _check_once("data", (data.fingerprint for data in line.datasets))
    _check_once("evaluation", (evaluation.key for evaluation in line.evaluations))
    _check_once("result", (result[:2] for result in line.results))
    _check_once("measure", (measure[0] for measure in line.measures))
    _check_once("values", ((sample.evaluation, sample.name) for sample in line.samples))
    _check_once("artifact", (artifact.path for artifact in line.artifacts))


def _check_curve(curve: list[CurvePoint]) -> None:
    """Raise ValueError if a curve has two values of one metric at one step. In the order of an export it has not."""
    if all(one[:3] < other[:3] for one, other in pairwise(curve)):
        return
    values: dict[tuple[str, str, int], tuple[Value, Flag]] = {}
    for split, name, step, value, flag in curve:
        if values.setdefault((split, name, step), (value, flag)) != (value, flag):
            raise ValueError(f"the curve has two values of '{name}' on '{split}' at step {step}")


def _check_patch(study: JsonValue) -> None:
    """Raise ValueError if a repository's difference is not the one that the environment names."""
    patch = study.get("patch") if isinstance(study, dict) else None
    if (
        isinstance(study, dict)
        and patch is not None
        and not (isinstance(patch, str) and text_sha(patch) == study.get("diff"))
    ):
        raise ValueError("the difference of the study's repository is not the one that its SHA-256 names")


def parse_line(text: str | bytes) -> PublishedLine:
    """Return the line that `text` holds, checked.

    Raises ValueError, with one line of words, if it cannot be used.
    """
    try:
        return PublishedLine.model_validate_json(text)
    except ValidationError as error:
        raise ValueError(_in_words(error)) from None
    except RecursionError:  # a configuration whose JSON pydantic has read and Python cannot write
        raise ValueError("it is nested too deeply") from None


def _in_words(error: ValidationError) -> str:
    """Return what is wrong with a line, the first fault of it, in one line."""
    first = error.errors(include_url=False, include_input=True)[0]
    place, kind = ".".join(map(str, first["loc"])), first["type"]
    if kind == "json_invalid":
        return f"not JSON ({first['ctx']['error']})"
    if kind == "model_type" and not place:
        return "not a published attempt"
    if place == "format":
        found = None if kind == "missing" else first["input"]
        return f"format {shortened(json.dumps(found))} is not known to this harness, which reads {FORMAT}"
    words = shortened(str(first.get("ctx", {}).get("error", first["msg"])))
    return f"{shortened(place)}: {words}" if place else words


_PRIVATE = frozenset({"host", "platform"})


def without_private(value: Any) -> Any:
    """Return a JSON value without what tells of the machine's owner: its name, its kernel's build, absolute paths."""
    if isinstance(value, dict):
        return {name: without_private(v) for name, v in value.items() if name not in _PRIVATE and not _is_path(v)}
    if isinstance(value, list | tuple):
        return [without_private(v) for v in value if not _is_path(v)]
    return value


def _is_path(value: object) -> bool:
    return isinstance(value, str) and is_absolute(value)
