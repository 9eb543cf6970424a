"""A test split taken out of one set: of each class the first part in canonical order, the same wherever it is done."""

from fractions import Fraction

from harness.base.checks import FieldError
from harness.data.dataset import Hashed


def take_test(images: Hashed, part: float, classes: tuple[str, ...]) -> dict[str, Hashed]:
    """Return `train` and `test`: of each class's n images the first ⌊n·part⌋ in canonical order are the test split.

    `part` is taken as the decimal number that it is written as. Raises FieldError where a class would have none there.
    """
    ordered = images.in_order()
    labels = ordered.arrays.labels.tolist()
    members: list[list[int]] = [[] for _ in classes]
    for place, label in enumerate(labels):
        members[label].append(place)
    test: set[int] = set()
    for name, places in zip(classes, members, strict=True):
        count = int(len(places) * Fraction(str(part)))
        if places and not count:
            raise FieldError(("test",), f"test: {part} takes none of the {len(places)} images of the class '{name}'")
        test.update(places[:count])
    rest = [place for place in range(len(labels)) if place not in test]
    return {"train": ordered.part(rest), "test": ordered.part(sorted(test))}
