"""What is known of a dataset without its data: a name, a shape, and each split by a fingerprint of its contents."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class DatasetSplit:
    """A split of a dataset by name and contents."""

    name: str
    split: str
    fingerprint: str
    images: int
    bytes: int  # of the pixels, uncompressed


@dataclass(frozen=True)
class DatasetDeclaration:
    """A dataset by name. `validation` is the first part of `train` in canonical order."""

    name: str
    description: str
    input_shape: tuple[int, int, int]  # C, H, W; H and W are 0 if the images have several sizes
    classes: int  # 0 if the images have no labels
    splits: Mapping[str, DatasetSplit]  # train, validation, test; some sets have a test split alone
    code: str  # module:function, returns the two splits (harness.data.dataset.read_splits)
    stand_in_for: str | None = None
    source: Mapping[str, Any] | None = None  # where a person's own data lie and how they are read; None for ours
    normalization: tuple[tuple[float, ...], tuple[float, ...]] | None = None  # mean and deviation of train, 0 to 1
    class_names: tuple[str, ...] | None = None  # by label; None for ours
    part_of: str | None = None  # the named set whose first images these are, resized if `input_shape` is another

    @property
    def files_of(self) -> str:
        """The named set whose files these are: its own, or that of which it is a part."""
        return self.part_of or self.name

    @property
    def has_labels(self) -> bool:
        """Whether its images belong to classes; photographs do not."""
        return self.classes > 0

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Self:
        """Invert `dataclasses.asdict`, also after a way through JSON."""
        shape: tuple[int, int, int] = tuple(raw["input_shape"])
        splits = {name: DatasetSplit(**split) for name, split in raw["splits"].items()}
        given = raw.get("normalization")
        normalization = None if given is None else (tuple(given[0]), tuple(given[1]))
        names = raw.get("class_names")
        class_names = None if names is None else tuple(names)
        return cls(
            **{
                **raw,
                "input_shape": shape,
                "splits": splits,
                "normalization": normalization,
                "class_names": class_names,
            }
        )
