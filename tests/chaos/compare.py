"""What a store holds that counts, and how far it is from what an undisturbed one holds."""

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaos.lab import Lab

Run = tuple[str, int]  # a trial's key, a seed

_COUNTING = """
SELECT a.id, a.uid, t.key, r.seed FROM attempt a JOIN run r ON r.id = a.run_id JOIN trial t ON t.id = r.trial_id
WHERE a.state IN ('done', 'nan') AND a.kind = 'train'
    AND a.uid NOT IN (SELECT supersedes FROM attempt WHERE supersedes IS NOT NULL AND state IN ('done', 'nan'))
"""
_RESULTS = """
SELECT a.uid, coalesce(a.weights_from, a.uid), e.key, x.name, x.value, x.flag FROM result x
JOIN attempt a ON a.id = x.attempt_id JOIN evaluation e ON e.id = x.evaluation_id
WHERE a.state IN ('done', 'nan') AND a.kind IN ('train', 'evaluate')
"""
_SAMPLES = """
SELECT a.uid, coalesce(a.weights_from, a.uid), e.key, s.name, s.packed, s.encoding FROM sample s
JOIN attempt a ON a.id = s.attempt_id JOIN evaluation e ON e.id = s.evaluation_id
WHERE a.state IN ('done', 'nan') AND a.kind IN ('train', 'evaluate')
"""


@dataclass
class Found:
    """What counts of one run: each value under a name of its own, and how often it is there."""

    attempts: list[str] = field(default_factory=list)
    values: defaultdict[tuple[Any, ...], list[Any]] = field(default_factory=lambda: defaultdict(list))


@dataclass
class Difference:
    """What is not as it was without a fault: one line each."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)


def found(lab: Lab) -> dict[Run, Found]:
    """Return all that counts in a lab's store, and the files beside it."""
    runs: dict[Run, Found] = {}
    run_of: dict[str, Found] = {}
    for number, uid, key, seed in lab.query(_COUNTING):
        run = runs.setdefault((key, seed), Found())
        run.attempts.append(uid)
        run_of[uid] = run
        for split, name, step, value, flag in lab.query(
            f"SELECT split, name, step, value, flag FROM metric WHERE attempt_id = {number}"  # noqa: S608 - a number
        ):
            run.values["curve", split, name, step].append((value, flag))
        for kind, path, sha, _ in lab.query(
            f"SELECT kind, path, sha256, bytes FROM artifact WHERE attempt_id = {number}"  # noqa: S608 - a number
        ):
            run.values["file", kind, path].append(_contents(lab.artifacts / uid / path, sha))
    for table, sql in (("result", _RESULTS), ("samples", _SAMPLES)):
        for _, accepted, evaluation, name, value, more in lab.query(sql):
            if accepted in run_of:
                run_of[accepted].values[table, evaluation, name].append((value, more))
    return runs


def difference(expected: dict[Run, Found], lab: Lab) -> Difference:
    """Compare a lab with what an undisturbed one held."""
    result, here = Difference(), found(lab)
    for run, wanted in expected.items():
        name = f"run {run[0][:8]}, seed {run[1]}"
        if run not in here:
            result.lost.append(name)
            continue
        if len(here[run].attempts) > 1:
            result.doubled.append(f"{name} counts {len(here[run].attempts)} times")
        _compare(name, wanted, here[run], result, lab)
    result.doubled += [f"run {run[0][:8]}, seed {run[1]} was never asked for" for run in here.keys() - expected.keys()]
    for (uid,) in lab.query("SELECT uid FROM attempt WHERE state = 'running'"):
        result.lost.append(f"attempt {uid[:8]} is still 'running' in the store")
    for path, times in lab.query("SELECT path, count(*) FROM artifact GROUP BY attempt_id, path HAVING count(*) > 1"):
        result.doubled.append(f"{path} is {times} artifacts of one attempt")
    return result


def _compare(name: str, wanted: Found, run: Found, result: Difference, lab: Lab) -> None:
    for what, values in wanted.values.items():
        words = f"{name}: {' '.join(map(str, what))}"
        have = run.values.get(what, [])
        if not have:
            result.lost.append(words)
        elif len(have) > 1 and len(run.attempts) == 1:
            result.doubled.append(words)
        elif what[0] == "file" and have[0] is None:
            if not lab.folder_was_removed:
                result.lost.append(f"{words} is not on the disk")
        elif have[0] != values[0]:
            result.differing.append(f"{words}: {_short(have[0])} for {_short(values[0])}")
    result.doubled += [f"{name}: {' '.join(map(str, w))} is new" for w in run.values.keys() - wanted.values.keys()]


def _short(value: Any) -> str:
    return repr(value) if len(repr(value)) < 40 else f"{repr(value)[:37]}…"


def _contents(path: Path, sha: str) -> object:
    """Return what can be compared of a file: its tensors, else its bytes; None where it is not there."""
    if not path.is_file():
        return None
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != sha:
        return "bytes that are not those of its checksum"
    if path.suffix != ".pt":
        return sha
    import torch  # two saves of the same tensors need not give the same bytes

    state = torch.load(path, weights_only=True)
    return hashlib.sha256(b"".join(n.encode() + t.contiguous().numpy().tobytes() for n, t in state.items())).hexdigest()
