"""The kinds that a study may name for one part of a trial: ours, those of other packages, and `module:object`.

A part is written `NAME` or `{kind: NAME, option: value}`. NAME is a kind of ours, a name that another package gives in
its entry points, or a plug-in, `module:object`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from harness.base.checks import FieldError
from harness.base.errors import did_you_mean
from harness.plugins import plugin

Declared = TypeVar("Declared")


@dataclass(frozen=True)
class PluginKind:
    """A kind that is a plug-in, whatever a study calls it."""

    reference: str
    """`module:object`, as `harness.plugins.plugin.load_plugin` takes it."""


class Kinds(dict[str, Declared]):
    """What is declared of our kinds of one part of a trial, by name; it finds the kinds of others too.

    Args:
        what: the part, as a study calls it: "compressor".
        declared: our kinds.
        group: the entry points by which other packages add kinds; None if they cannot.
        direct: whether a study may name a plug-in itself, as `module:object`.
        also: names that mean something else than a declaration of ours.
        form: how the part is written, for the message that refuses another form.
        hint: what else could be meant, at the end of the message about an unknown kind.
    """

    def __init__(
        self,
        what: str,
        declared: Mapping[str, Declared],
        *,
        group: str | None = None,
        direct: bool = True,
        also: Iterable[str] = (),
        form: str = "NAME or {kind: NAME, option: value}",
        hint: str = "",
    ) -> None:
        super().__init__(declared)
        self.what, self.form, self.hint, self.also = what, form, hint, tuple(also)
        self.group, self.direct = group, direct and group is not None

    @property
    def others(self) -> Mapping[str, str]:
        """What other packages add: `module:object` by name."""
        return {} if self.group is None else plugin.entry_points(self.group)

    def split(self, written: Any) -> tuple[Any, dict[str, Any]]:
        """Return the kind and the options of `NAME` or `{kind: NAME, option: value}`.

        Raises FieldError if there is nothing, or another form; whether there is such a kind is not asked.
        """
        if written is None:
            raise FieldError((), f"'{self.what}' is missing{did_you_mean('', [*self, *self.also])}")
        written = named(written)
        if not isinstance(written, Mapping) or "kind" not in written:
            path = ("kind",) if isinstance(written, Mapping) else ()
            raise FieldError(path, f"a {self.what} is written {self.form}, not {written!r}")
        return written["kind"], {name: value for name, value in written.items() if name != "kind"}

    def resolve(self, kind: object, known: Iterable[str] = ()) -> Declared | PluginKind:
        """Return what is declared of a kind of ours, or the plug-in that is meant.

        Raises FieldError at `kind` for an unknown one, with the nearest of all names, further ones in `known` included.
        """
        if isinstance(kind, str) and kind in self:
            return self[kind]
        reference = kind if self.direct and plugin.is_plugin(kind) else self.others.get(str(kind))
        if isinstance(reference, str):
            return PluginKind(reference)
        near = did_you_mean(kind, {*self, *self.also, *known, *self.others})
        raise FieldError(("kind",), f"unknown {self.what} '{kind}'{near}{self.hint}")


def named(value: Any) -> Any:
    """Return `{kind: NAME}` for a bare name, anything else as it is."""
    return {"kind": value} if isinstance(value, str) else value
