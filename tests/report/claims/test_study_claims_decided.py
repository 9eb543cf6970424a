"""Claims of studies from the first run to the verdict, by the commands: frozen, decided, edited, withdrawn, moved."""

import json
import re
from contextlib import chdir
from pathlib import Path

import pytest
from click.testing import CliRunner
from own_runs import store_runs

from harness.cli import main
from harness.report.claims.study_claims import check, study_findings
from harness.store.connection import open_store
from harness.store.merge import open_results
from harness.store.queries import snapshot
from harness.study.grid import Override

GAINS = [4, 6, 5, 7, 3, 5, 6, 4]


def values(seed, kind="base", size=0):
    gain = {"base": 0, "good": -GAINS[seed % 8], "same": (-1) ** seed}[kind]
    return {"loss": 100 + 10 * seed + gain + size}


STUDY = """study: own
task: function
target: train.py:run
metrics: {loss: minimize}
seeds: [0, 1, 2, 3, 4, 5, 6, 7]
trials:
  - {name: "{arguments.kind}", grid: {arguments.kind: [base, good, same]}}
claims:
"""
BETTER = "  - {id: good, a: good, b: base, metric: loss, says: better, by: 2, why: two units are a day's work}\n"
SAME = "  - {id: same, a: same, b: base, metric: loss, says: equal, by: 2}\n"
WRONG = "  - {id: wrong, a: good, b: base, metric: loss, says: worse, by: 1, family: other}\n"


@pytest.fixture
def lab(tmp_path):
    (tmp_path / "train.py").write_text("def run(context, *, kind='base'):\n    return {}\n")
    with chdir(tmp_path):
        yield tmp_path


def call(*arguments):
    return CliRunner().invoke(main, list(arguments), catch_exceptions=False)


def run(claims, study=STUDY, **how):
    Path("own.yml").write_text(study + claims if claims else study.replace("claims:\n", ""))
    store_runs("own.yml", values, **how)


def found(path="results/harness.db"):
    with open_store(path) as store:
        return {(f.id, f.withdrawn is None): f for f in study_findings(snapshot(store))}


def test_verdicts_p_of_the_family_and_over_all_and_the_exit_code(lab):
    run(BETTER + SAME + WRONG)
    good, same, wrong = (found()[name, True] for name in ("good", "same", "wrong"))
    assert (good.verdict, same.verdict, wrong.verdict) == ("supported", "supported", "contradicted")
    assert good.effect == -5
    assert (good.p, good.p_all, good.tests, good.tests_all) == (2 / 2**8, 3 / 2**8, 2, 3)
    assert wrong.p_against == 1 / 2**8
    assert not good.exploratory
    printed = call("report", "findings", "--study", "own.yml", "--check")
    assert printed.exit_code == 1
    claim = "- **supported**: good is better than base in loss, by at least 2 (good)"
    assert f"{claim}: −5.0 [" in printed.stdout
    assert "before any result" not in printed.stdout
    whole = call("report", "findings", "--study", "own.yml", "--long").stdout
    assert f"{claim}\n  " in whole
    assert "before any result" in whole
    assert json.loads(call("report", "findings", "--format", "json").stdout)["study_claims"][0]["p"] == 2 / 2**8
    assert "Claims. 3 claims: 2 supported, 1 contradicted." in call("report", "tables", "--study", "own").stdout


def test_it_is_decided_only_when_all_its_seeds_have_run(lab):
    run(BETTER, limit=14)
    good = found()["good", True]
    assert (good.verdict, good.p) == ("undecided", None)
    assert re.search(r"\d of its 8 seeds have run", good.why)
    assert call("report", "findings", "--study", "own", "--check").exit_code == 3
    run(BETTER)
    assert found()["good", True].verdict == "supported"
    assert call("report", "findings", "--study", "own", "--check").exit_code == 0


def test_an_edit_is_a_new_claim_and_both_are_shown(lab):
    run(BETTER)
    run(BETTER.replace("by: 2", "by: 3"))
    new, old = found()["good", True], found()["good", False]
    assert (new.by, new.exploratory, new.known) == (3, True, tuple(range(8)))
    assert (old.verdict, old.earlier, old.replaced, old.known_then) == ("withdrawn", "supported", True, tuple(range(8)))
    printed = call("report", "findings", "--study", "own").stdout
    assert "**supported (exploratory)**" in printed
    assert "**withdrawn (was supported)**" in printed


def test_a_reason_a_name_and_an_order_are_no_edit(lab):
    run(BETTER + SAME)
    before = found()["good", True].entered
    run(SAME + BETTER.replace("id: good", "id: better").replace("two units", "2 units"))
    assert [name for name, _ in found()] == ["same", "better"]
    assert (found()["better", True].entered, found()["better", True].exploratory) == (before, False)


def test_a_dropped_claim_counts_for_holm_unless_nothing_was_known(lab):
    run(BETTER + SAME, limit=1)
    run(BETTER)
    assert (found()["good", True].tests, found()["same", False].known_then) == (1, ())
    run(BETTER + WRONG.replace(", family: other", ""))
    run(BETTER)
    wrong = found()["wrong", False]
    assert (wrong.earlier, wrong.exploratory) == ("contradicted", True)
    assert (found()["good", True].tests, found()["good", True].tests_all) == (1, 2)


def test_seeds_that_are_added_make_another_claim(lab):
    run(BETTER)
    run(BETTER, study=STUDY.replace("6, 7]", "6, 7, 8]"))
    assert found()["good", True].exploratory
    run(
        BETTER.replace("says", "seeds: [9, 10, 11, 12, 13], says"),
        study=STUDY.replace("6, 7]", "6, 7, 9, 10, 11, 12, 13]"),
    )
    fresh = found()["good", True]
    assert (fresh.verdict, fresh.exploratory, fresh.seeds) == ("supported", False, (9, 10, 11, 12, 13))


def test_what_set_makes_of_a_study_is_no_test_of_its_claims(lab):
    run(BETTER)
    before = stored()
    run(BETTER, overrides=[Override("arguments.kind", "base"), Override("seeds", [0])])
    assert stored() == before


def test_published_lines_carry_claims_and_merging_is_idempotent(lab):
    run(BETTER)
    run(BETTER.replace("by: 2", "by: 3"))
    assert call("results", "export", "--out", "all.jsonl").exit_code == 0
    with open_results([lab / "all.jsonl"]) as store:
        assert snapshot(store).claims == stored()
    assert call("results", "merge", "all.jsonl").exit_code == 0
    with open_results([lab / "all.jsonl"]) as store:
        assert snapshot(store).claims == stored()
    line = json.loads((lab / "all.jsonl").read_text().splitlines()[0])
    line["studies"][0]["claims"][0]["content"]["by"] = 0.5
    (lab / "edited.jsonl").write_text(json.dumps(line) + "\n")
    refused = call("results", "merge", "edited.jsonl", "--db", "other.db")
    assert (refused.exit_code, "is not the one that its SHA-256 names" in refused.stderr) == (2, True)


def stored():
    with open_store("results/harness.db") as store:
        return snapshot(store).claims


def test_a_claim_that_was_edited_in_the_store_is_found(lab):
    run(BETTER)
    assert call("results", "verify").exit_code == 0
    with open_store("results/harness.db") as store, store.writing() as conn:
        conn.execute("UPDATE claim SET content_json = replace(content_json, '\"by\":2.0', '\"by\":1.0')")
    verified = call("results", "verify")
    assert (verified.exit_code, "the claim 'good' is not the one that its SHA-256 names" in verified.stdout) == (
        1,
        True,
    )


def test_a_study_without_claims_says_so(lab):
    run("")
    refused = call("report", "findings", "--study", "own")
    assert (refused.exit_code, "study 'own' has no claims" in refused.stderr) == (2, True)


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ([], 0),
        (["supported", "withdrawn"], 0),
        (["supported", "undecided"], 3),
        (["not run"], 3),
        (["undecided", "too small"], 1),
        (["contradicted"], 1),
    ],
)
def test_the_exit_code(verdicts, code):
    assert check(verdicts) == code


def test_a_group_of_which_one_pair_has_run_is_known(lab):
    grid = STUDY.replace("[base, good, same]}", "[base, good], arguments.size: [1, 2]}").replace(
        '"{arguments.kind}"', '"{arguments.kind} {arguments.size}"'
    )
    Path("train.py").write_text("def run(context, *, kind='base', size=0):\n    return {}\n")
    group = "  - {id: good, a: {arguments.kind: good}, b: {arguments.kind: base}, metric: loss, says: better, by: 2}\n"
    Path("own.yml").write_text(grid.replace("claims:\n", ""))
    store_runs("own.yml", values, limit=24)  # base 1, base 2, good 1
    Path("own.yml").write_text(grid + group)
    store_runs("own.yml", values)
    good = found()["good", True]
    assert (good.verdict, good.exploratory, len(good.pairs), good.effect) == ("supported", True, 2, -5)


DENOISING = """study: own
task: denoising
dataset: sample-photos
seeds: [0, 1, 2, 3, 4, 5, 6, 7]
evaluate: [{sigma: 25}]
trials:
  - {name: BM3D, model: bm3d}
  - {name: NLM, model: nlm}
  - name: CNN
    task: {kind: denoising, sigma: 25}
    dataset: cifar10
    model: dncnn
    protocol: denoise-tuned
    evaluate: [{dataset: sample-photos, sigma: 25}]
claims:
"""
GAIN = "  - {id: gain, a: CNN, b: BM3D, metric: psnr_db, says: better, by: 0.1}\n"
LATER = "  - {id: later, a: [CNN, CNN], b: [BM3D, NLM], metric: psnr_db, says: better, by: 1, seeds: [4, 5, 6, 7, 8]}\n"


def psnr(seed, model):
    return {"psnr_db": {"bm3d": 30, "nlm": 29}.get(model, 30.4 + 0.1 * (seed % 3))}


def test_the_one_value_of_what_draws_no_random_numbers_counts_at_each_seed_of_the_other(lab):
    Path("own.yml").write_text(DENOISING + GAIN + LATER)
    (line,) = [x for x in call("claims", "plan", "own.yml", "--sd", "0.1").stdout.splitlines() if x.startswith("gain:")]
    assert line.startswith("gain: 8 seeds show a difference of")
    store_runs("own.yml", psnr, limit=6)
    assert found()["gain", True].verdict == "undecided"
    store_runs("own.yml", psnr)
    gain, later = found()["gain", True], found()["later", True]
    assert (gain.verdict, gain.seeds, gain.p, gain.exploratory) == ("supported", tuple(range(8)), 2 / 2**8, False)
    assert not gain.paired_unlike  # nothing of its seeds is paired
    assert later.seeds == (4, 5, 6, 7)
    assert later.effect == pytest.approx(1.0, abs=0.02)
    assert "Run on " in call("report", "tables", "--study", "own").stdout  # BM3D is not trained
    (planned, _) = json.loads(call("claims", "plan", "own.yml", "--format", "json").stdout)
    assert (planned["seeds"], planned["stored"]) == (8, 8)
    assert "claim gain: 8 seeds show" in call("run", "grid", "own.yml", "--dry-run").stdout


def test_two_trials_without_random_numbers_have_one_seed(lab):
    Path("own.yml").write_text(DENOISING + GAIN.replace("CNN", "NLM"))
    store_runs("own.yml", psnr)
    assert found()["gain", True].seeds == (0,)


def test_what_it_says_survives_the_published_form(lab):
    Path("own.yml").write_text(DENOISING + GAIN)
    store_runs("own.yml", psnr)
    assert call("results", "export", "--out", "out.jsonl").exit_code == 0
    with open_results((Path("out.jsonl"),)) as store:
        (claim,) = study_findings(snapshot(store))
    assert (claim.verdict, len(claim.seeds)) == ("supported", 8)
