"""Python's collector of circular garbage, put off while much is made that stays.

It looks at all that there is again and again as that grows: a third of the time in which a large store is read.
What was made is then taken for old, unseen: otherwise the collector would go through all of it three times afterwards,
as it comes of age.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collection_put_off() -> Iterator[None]:
    """Let nothing be collected during the block; one within another changes nothing."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            if not gc.get_freeze_count():  # by somebody else, who means it
                gc.freeze()
                gc.unfreeze()  # into the oldest generation, where all was put that is frozen
            gc.enable()
