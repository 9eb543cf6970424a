"""What a metric is: declared once, by the task or by the study of a function, and never guessed from its name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

Better = Literal["higher", "lower"]
Direction = Literal["maximize", "minimize"]
_DIGITS = {"dB": 2}
_USUAL_DIGITS = 4


@dataclass(frozen=True)
class Metric:
    """A final metric of an evaluation."""

    name: str
    unit: str = ""
    """"fraction", "dB", "s" …; "" of a bare number."""
    better: Better = "higher"
    by_item: str | None = None
    """The name of its one value per item, if it has one: "correct", "psnr_db"."""

    @property
    def direction(self) -> Direction:
        """Which way it is optimised, as searches and studies of functions write it."""
        return "maximize" if self.better == "higher" else "minimize"

    @property
    def label(self) -> str:
        """The name with its unit: "psnr_db [dB]". Fractions and bare numbers have the name alone."""
        return self.name if self.unit in {"", "fraction"} else f"{self.name} [{self.unit}]"

    @property
    def title(self) -> str:
        """The label as a heading begins with it: "Accuracy", "psnr_db [dB]"."""
        return self.label[:1].upper() + self.label[1:] if self.name.isalpha() else self.label

    @property
    def digits(self) -> int:
        """How many decimal places are shown at least."""
        return _DIGITS.get(self.unit, _USUAL_DIGITS)

    @property
    def counts_items(self) -> bool:
        """Whether it is the fraction of the items of which something holds, so that its error is binomial."""
        return self.unit == "fraction" and self.by_item is not None

    def to_dict(self) -> dict[str, Any]:
        """Return it as it is stored, without what is at its default."""
        more = {"unit": self.unit} if self.unit else {}
        return {"name": self.name, **more, "better": self.better, **({"by_item": self.by_item} if self.by_item else {})}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Self:
        """Invert `to_dict`."""
        return cls(**raw)
