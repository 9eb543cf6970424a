"""A study of denoisers built by hand: what a store and the files next to it would give, without either."""

from dataclasses import replace

import numpy as np

from harness.attempt.messages import Sample
from harness.attempt.metrics import Metric
from harness.report.figures.results import Results
from harness.store.records import AttemptRecord, EvaluationRecord, Snapshot, StudyTrialRecord, TrialRecord

PSNR = Metric("psnr_db", "dB", "higher", by_item="psnr_db")
SIGMAS = (15.0, 25.0, 50.0)
_THEN = "2020-01-01T00:00:00Z"


class ByHand(Results):
    """Results without a store: `kept` and `samples` by an attempt's uid."""

    def __init__(self, snapshot, kept=None, samples=None, store=None):
        super().__init__(store=store, sources=(), found=snapshot)
        self._kept, self._samples = kept or {}, samples or {}

    def kept(self, attempt):
        return self._kept.get(attempt.uid, {})

    def samples(self, uid):
        return self._samples.get(uid, ())


def kept(error=3, *, crops=2, channels=3, base=100, size=(16, 12)):
    """Crops of one grey value; the estimate is wrong by `error` everywhere, the noisy ones by 20."""
    clean = np.full((crops, channels, *size), base, dtype=np.uint8)
    return {"clean": clean, "noisy": clean + np.uint8(20), "estimate": clean + np.uint8(error)}


def values(numbers, evaluation="sigma-25", name="psnr_db"):
    """One number per image, as an attempt stores them."""
    return Sample(evaluation, name, len(numbers), "float32", np.asarray(numbers, dtype="<f4").tobytes())


def run(trial, seed=0, results=None, **changes):
    """The accepted attempt of a run, with the uid TRIAL-SEED. `results`: PSNR by σ."""
    found = {(f"sigma-{sigma:g}", "psnr_db"): value for sigma, value in (results or {}).items()}
    made = AttemptRecord(
        uid=f"{trial}-{seed}",
        kind="train",
        state="done",
        trial_key=trial,
        seed=seed,
        device="cpu",
        threads=1,
        exclusive=False,
        execution={},
        environment={"device": "Test CPU"},
        code_digest="c0de",
        started=_THEN,
        ended=_THEN,
        accepted=True,
        results=found,
    )
    return replace(made, **changes)


def study(attempts, trials=("a", "b", "c"), metrics=(PSNR,), task="denoising", name="denoise"):
    """A snapshot of one study. The trials' names are their keys."""
    evaluations = [
        EvaluationRecord(f"sigma-{s:g}", "photos", "test", "f" * 64, {"kind": "gaussian", "sigma": s}) for s in SIGMAS
    ]
    config = {"task": {"kind": task}, "model": {"kind": "dncnn"}, "protocol": {}}
    return Snapshot(
        datasets={},
        trials={trial: TrialRecord(trial, 1, config, metrics=tuple(metrics)) for trial in trials},
        study_trials=tuple(
            StudyTrialRecord(name, trial, i, trial, (0, 1), "dncnn", "", "sha", _THEN, _THEN)
            for i, trial in enumerate(trials)
        ),
        evaluations={each.key: each for each in evaluations},
        attempts=tuple(attempts),
    )
