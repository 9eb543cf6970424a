"""What a metric is: declared once, by the task or by the study of a function, and never guessed from its name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

Better = Literal["higher", "lower"]
Direction = Literal["maximize", "minimize"]


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

    def to_dict(self) -> dict[str, Any]:
        """Return it as it is stored, without what is at its default."""
        more = {"unit": self.unit} if self.unit else {}
        return {"name": self.name, **more, "better": self.better, **({"by_item": self.by_item} if self.by_item else {})}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Self:
        """Invert `to_dict`."""
        return cls(**raw)
