"""In what circumstances two attempts differ: the most telling first, and old records in what they know."""

from dataclasses import replace

import pytest

from harness.store.circumstances import changed, circumstances, in_words, may_change_bits
from harness.store.diff import diff_runs, diff_sides, store_side
from harness.store.queries import snapshot
from harness.store.writer import finish_attempt

OLD = {"device": "Some GPU", "driver": "13.0", "python": "3.11.2", "packages": {"numpy": "2.1", "scikit-learn": None}}
NEW = {
    "device": "Some GPU", "driver": "570.1", "cuda": {"runtime": "13.0"}, "python": "3.11.2", "libc": "glibc 2.36",
    "packages": {"numpy": "2.1", "pandas": "3.0"}, "installed": {"numpy": "2.1", "pandas": "3.0", "black": "1.0"},
    "study": {"commit": "a" * 40, "dirty": False},
}  # fmt: skip


def of(environment, **execution):
    return circumstances(environment, {"device": "cuda:0", "threads": 2, **execution}, "code")


def test_a_record_from_before_differs_in_nothing_that_it_does_not_know():
    assert changed(of(OLD), of(NEW)) == changed(of(NEW), of(OLD)) == {}
    assert changed(of(OLD), of({**NEW, "cuda": {"runtime": "13.1"}})) == {"cuda.runtime": ("13.0", "13.1")}
    assert changed(of(OLD), of({**NEW, "packages": {"numpy": "2.2"}})) == {"packages.numpy": ("2.1", "2.2")}


def test_what_only_one_of_two_new_records_has_is_a_difference():
    fewer = {name: fact for name, fact in NEW.items() if name != "libc"} | {"packages": {"numpy": "2.1"}}
    assert changed(of(NEW), of(fewer)) == {"libc": ("glibc 2.36", None), "packages.pandas": ("3.0", None)}


def test_what_the_same_bits_are_promised_for_comes_first():
    other = {
        **NEW, "device": "Other GPU", "host": "x", "python": "3.12.0", "packages": {"numpy": "2.2", "pandas": "3.1"},
        "study": {"commit": "b" * 40, "dirty": True}, "installed": {"numpy": "2.2"},
    }  # fmt: skip
    names = list(changed(of(NEW), of(other, threads=4, device="cuda:1", jobs=2)))
    bits = ["device", "execution.threads", "python", "packages.numpy", "packages.pandas"]
    assert names[: len(bits)] == bits
    assert [name for name in names if may_change_bits(name)] == bits
    assert {"study.commit", "study.dirty", "installed", "execution.device", "execution.jobs", "host"} == set(names[5:])


@pytest.mark.parametrize(
    ("fact", "words"), [("a" * 40, "a" * 10), ("b" * 64, "b" * 10), ("glibc 2.36", "glibc 2.36"), (None, "–"), (2, "2")]
)
def test_commits_and_checksums_are_shown_by_their_first_digits(fact, words):
    assert in_words(fact) == words


def test_two_runs_differ_in_what_was_installed_by_its_names(lab):
    for uid, installed in (("u1", NEW["installed"]), ("u2", {"numpy": "2.1", "pandas": "3.1", "black": "1.1"})):
        lab.start(uid, seed=int(uid[1]))
        environment = {**NEW, "installed": installed, "packages": {"pandas": installed["pandas"]}}
        assert finish_attempt(lab.store, replace(lab.result(uid), environment=environment))
    found = snapshot(lab.store)
    pairs = diff_runs(lab.store, found, *found.attempts).environment
    assert pairs == {"seed": (1, 2), "packages.pandas": ("3.0", "3.1"), "installed.black": ("1.0", "1.1")}
    side = store_side(lab.store, found)
    assert diff_sides(side, side).environment == {}
