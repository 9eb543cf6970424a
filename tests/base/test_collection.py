"""The collector of circular garbage, put off: what was made meanwhile is old, and what is garbage is still found."""

import gc
import weakref

from harness.base.collection import collection_put_off


class Circle:
    def __init__(self):
        self.me = self


def young():
    return {id(thing) for generation in (0, 1) for thing in gc.get_objects(generation=generation)}


def test_what_was_made_meanwhile_is_not_gone_through_as_it_comes_of_age():
    with collection_put_off():
        made = [Circle() for _ in range(5_000)]
    assert not young() & set(map(id, made))
    assert gc.isenabled()


def test_garbage_of_before_and_of_meanwhile_is_found_later():
    before = Circle()
    with collection_put_off():
        meanwhile = Circle()
    gone = [weakref.ref(before), weakref.ref(meanwhile)]
    del before, meanwhile
    gc.collect()
    assert [reference() for reference in gone] == [None, None]


def test_one_within_another_changes_nothing():
    with collection_put_off():
        with collection_put_off():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_what_somebody_else_has_frozen_stays_frozen():
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        with collection_put_off():
            pass
        assert 0 < gc.get_freeze_count() <= frozen
    finally:
        gc.unfreeze()
