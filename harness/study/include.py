"""A study file together with the files that it includes: one set of defaults and one list of entries.

Each file is read once, after those that it includes. What comes later overrides what came before, key by key at the top
level, so that the study itself has the last word; the entries follow one another. Everything remembers the file in
which it was said.
"""

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from harness.base.checks import FieldError, validate
from harness.base.errors import SpecError
from harness.base.keys import text_sha
from harness.base.source import Source, YamlPath, parse_source, read_source, read_text
from harness.study.ablate import with_ablation
from harness.study.from_mapping import given_source
from harness.study.study_file import Defaults, ExecutionOptions, IncludedFile, StudyFile

GIVEN = "study"
"""What a mapping is called in place of a file's name."""

_SHORTHAND = frozenset({"at", "compressor"})
_LONG = frozenset({"compressors"})
_TAKEN_OVER = (*Defaults.model_fields, "execution")


class Said(NamedTuple):
    """A value, and the place in a file where it is said."""

    value: Any
    source: Source
    path: YamlPath

    def error(self, inside: YamlPath, message: str) -> SpecError:
        """Return an error about `inside`, a path within the value."""
        return self.source.error((*self.path, *inside), message)


@dataclass(frozen=True)
class WrittenEntry:
    """An entry of `trials` as it stands in a file."""

    source: Source
    number: int

    @property
    def data(self) -> Mapping[str, Any]:
        """The entry's keys and values."""
        entry: Mapping[str, Any] = self.source.data["trials"][self.number]
        return entry

    def has(self, inside: YamlPath) -> bool:
        """Return whether the file holds a path within the entry."""
        return self.source.has(("trials", self.number, *inside))

    def parts(self, defaults: Mapping[str, Said]) -> dict[str, Said]:
        """Return what the entry says of a trial, and for the rest what the defaults say; `protocol: null` says none."""
        own = _said(self.source, ("trials", self.number), self.data, tuple(Defaults.model_fields))
        null = {key for key, value in self.data.items() if value is None}
        rest = {key: said for key, said in defaults.items() if key in Defaults.model_fields and key not in null}
        return _overridden(rest, own)

    def error(self, inside: YamlPath, message: str) -> SpecError:
        """Return an error about `inside`, a path within the entry."""
        return self.source.error(("trials", self.number, *inside), message)


@dataclass(frozen=True)
class WrittenStudy:
    """A study as it is written, checked for its form, with what it includes."""

    source: Source
    defaults: Mapping[str, Said]
    entries: tuple[WrittenEntry, ...]
    folders: tuple[str, ...]  # its own, then those of what it includes
    text: str  # its own; if it includes files, followed by theirs

    @property
    def name(self) -> str:
        """The study's name in the store."""
        return str(self.source.data["study"])

    @property
    def sha(self) -> str:
        """The SHA-256 of the text."""
        return text_sha(self.text)

    @property
    def execution(self) -> ExecutionOptions:
        """The wishes for how it is carried out."""
        said = self.defaults.get("execution")
        return ExecutionOptions.model_validate(said.value if said else {})


@dataclass
class _Reading:
    """What was read so far: files by where they are, after what they include; folders in the order of reading."""

    files: dict[Path, tuple[str, Source]] = field(default_factory=dict)  # name seen from the study's folder, contents
    folders: dict[str, None] = field(default_factory=dict)

    def add(self, path: Path, name: str, source: Source, above: tuple[Path, ...]) -> None:
        """Take in a file after what it includes. `above` are the files by which it came to be included."""
        place = path.resolve()
        self.folders[str(place.parent)] = None
        for where, item in _includes(source):
            target = path.parent / item
            try:
                text = read_text(target)
            except SpecError as error:
                raise source.error(where, f"cannot include '{item}': {error.message}") from None
            circle = (*above, place)
            if target.resolve() in circle:
                names = [file.name for file in (*circle[circle.index(target.resolve()) :], target)]
                raise source.error(where, f"cannot include '{item}': it goes in a circle, {' → '.join(names)}")
            if target.resolve() not in self.files:
                included = _checked(parse_source(text, str(target)), IncludedFile)
                self.add(target, posixpath.normpath(posixpath.join(posixpath.dirname(name), item)), included, circle)
        self.files[place] = (name, source)


def read_study(study: Path | str | Mapping[str, Any]) -> WrittenStudy:
    """Read a study file, or a mapping as one, and what it includes; of a mapping, paths lead from the current folder.

    Raises SpecError with file and line for the first thing that is wrong.
    """
    if isinstance(study, Mapping):
        source, path = given_source(study, GIVEN), Path(f"<{GIVEN}>")
    else:
        source, path = read_source(study), Path(study)
    source = _checked(source, StudyFile)
    reading = _Reading()
    reading.add(path, path.name, source, ())
    defaults: dict[str, Said] = {}
    for _, one in reading.files.values():
        defaults = _overridden(defaults, _said(one, (), one.data, _TAKEN_OVER))
    sources = [one for _, one in reading.files.values()]
    entries = tuple(WrittenEntry(one, number) for one in sources for number in range(len(one.data.get("trials", ()))))
    if not entries:
        missing = "'trials' is missing" if len(sources) == 1 else "there are no 'trials', here or in what is included"
        raise source.error(("include",), missing)
    return WrittenStudy(source, defaults, entries, tuple(reading.folders), _whole_text(list(reading.files.values())))


def _checked(source: Source, form: type[IncludedFile]) -> Source:
    """Return a file whose form is right."""
    try:
        validate(form, source.data)
    except FieldError as error:
        raise source.error(error.path, error.message) from None
    return with_ablation(source)


def _includes(source: Source) -> Iterator[tuple[YamlPath, str]]:
    """Yield what a file includes, each with where it says so."""
    wanted = source.data.get("include")
    if "include" not in source.data:
        return
    items = [wanted] if isinstance(wanted, str) else wanted
    if not isinstance(items, list) or not items or not all(isinstance(item, str) and item for item in items):
        raise source.error(("include",), f"'include' must be a path or a list of paths, not {wanted!r}")
    for number, item in enumerate(items):
        yield ("include", number) if isinstance(wanted, list) else ("include",), item


def _said(source: Source, place: YamlPath, data: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Said]:
    return {key: Said(data[key], source, (*place, key)) for key in keys if data.get(key) is not None}


def _overridden(defaults: Mapping[str, Said], own: Mapping[str, Said]) -> dict[str, Said]:
    """Return the defaults with `own` put over them; its own way of saying what is where replaces the other way."""
    result = {**defaults, **own}
    for one, other in ((_SHORTHAND, _LONG), (_LONG, _SHORTHAND)):
        if own.keys() & one:
            result = {key: said for key, said in result.items() if key not in other - own.keys()}
    return result


def _whole_text(files: list[tuple[str, Source]]) -> str:
    """Return the study's own text, the last of `files`, followed by what it includes as further documents."""
    *included, (_, own) = files
    if not included:
        return own.text
    texts = [own.text, *(f"---\n# included: {name}\n{source.text}" for name, source in included)]
    return "".join(text if text.endswith("\n") else f"{text}\n" for text in texts)
