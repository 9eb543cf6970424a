"""`harness report tables`: which tables it makes, by number, by name and all, and what it says beside them."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.base.keys import trial_key
from harness.cli import main
from harness.store.connection import open_store
from harness.trial import attempt_digest

OURS = [
    "adversarial", "adversarial-cifar", "cifar-small", "denoise-any", "denoise-small", "imagenet", "imagenette",
    "preparations", "rivals",
]  # fmt: skip
COUNTS = {"parameters", "flops"}  # of a network: they need no run
PUBLISHED = Path(__file__).resolve().parents[2] / "results" / "published" / "mnist.jsonl"


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARNESS_DB", raising=False)
    return lambda *words: CliRunner().invoke(main, ["report", "tables", *map(str, words)])


@pytest.mark.parametrize("kind", ["md", "latex", "csv", "json"])
@pytest.mark.parametrize("number", range(1, 9))
def test_every_table_of_the_paper_is_shown_of_an_empty_store(call, tmp_path, number, kind):
    open_store(tmp_path / "empty.db").close()
    result = call("--table", number, "--from", "empty.db", "--format", kind)
    assert result.exit_code == 0, result.output
    assert result.stdout
    if kind == "json":
        cells = json.loads(result.stdout)
        assert (
            len(cells) == {1: 35, 2: 30, 3: 30, 4: 15, 5: 24, 6: 90, 7: 12, 8: 10}[number]
        )  # 40 of Table 6 on parts of the sets
        assert sum(cell["paper"] is None for cell in cells) == {6: 40, 7: 3, 8: 2}.get(number, 0)
        counts = [cell for cell in cells if number in {1, 2, 3, 5} and cell["column"] in COUNTS]
        match = "other-recipe" if number == 5 else "exact"  # of a reconstruction none is exact
        assert all(cell["ours"] is not None and cell["match"] == match for cell in counts)
        assert number != 5 or all(cell["ours"] == cell["paper"] for cell in counts)
        assert {(cell["ours"], cell["match"]) for cell in cells if cell not in counts} == {(None, None)}


@pytest.mark.parametrize("number", [2, 3])
def test_a_paper_table_of_which_nothing_is_stored_shows_the_papers_values(call, number):
    cells = json.loads(call("--table", number, "--from", PUBLISHED, "--format", "json").stdout)
    assert len(cells) == 30
    assert all(cell["paper"] is not None and (cell["ours"] is not None) == (cell["column"] in COUNTS) for cell in cells)
    assert {cell["statistics"] for cell in cells} == {None}


def test_all_writes_those_of_which_something_is_stored(call, tmp_path):
    result = call("--table", "all", "--from", PUBLISHED, "--out", "reports")
    assert result.exit_code == 0, result.output
    assert [file.name for file in (tmp_path / "reports").iterdir()] == ["table1.md"]


def test_all_of_an_empty_store_says_so(call, tmp_path):
    open_store(tmp_path / "empty.db").close()
    result = call("--table", "all", "--from", "empty.db")
    assert (result.exit_code, result.stdout) == (0, "")
    names = ", ".join(f"table{n}" for n in range(1, 9))
    assert result.stderr == f"nothing is stored of the tables {names}, {', '.join(OURS)}\n"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("rival", "--table takes a number or all, not 'rival'; did you mean 'rivals'?"),
        ("nonsense", f"known: {', '.join(sorted((*OURS, 'all')))}"),
        ("rivals", "table rivals: no run of study 'cifar-rivals' is stored"),
    ],
)
def test_what_cannot_be_shown_is_one_line(call, name, words):
    result = call("--table", name, "--from", PUBLISHED)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert words in line


def test_mcnemar_is_of_the_stored_values_by_image(call):
    cells = json.loads(call("--table", 1, "--from", PUBLISHED, "--format", "json").stdout)
    for cell in cells:
        if cell["column"] != "accuracy" or cell["statistics"]["against"] is None:
            continue
        base = next(c for c in cells if c["column"] == "accuracy")
        for pair, ours, theirs in zip(
            cell["statistics"]["mcnemar_by_seed"], cell["values"], base["values"], strict=True
        ):
            assert pair["only_this"] - pair["only_against"] == round(10_000 * (ours - theirs))


def test_code_that_has_changed_is_said_on_stderr_alone(call, monkeypatch):
    lines = sorted(map(json.loads, PUBLISHED.read_text().splitlines()), key=lambda line: line["started"])
    digests = {(line["kind"], line["trial"]["key"]): line["code_digest"] for line in lines}

    def unchanged(config, data, kind, device):
        assert ([declared.name for declared in data], device) == (["mnist"], "cpu")
        return digests[kind, trial_key(config)]

    monkeypatch.setattr(attempt_digest, "attempt_digest", unchanged)
    before = call("--table", 1, "--from", PUBLISHED)
    assert before.stderr == ""
    monkeypatch.setattr(attempt_digest, "attempt_digest", lambda *_: "today")
    after = call("--table", 1, "--from", PUBLISHED)
    assert after.stdout == before.stdout
    timing, train = after.stderr.splitlines()
    assert timing.startswith("Note: the timing attempts behind table1 were made by code that has changed since (digest")
    assert "`harness run timing FILE`" in timing
    assert "the train attempts" in train
    assert "`harness run grid FILE --retry stale`" in train
    assert "the train attempts behind mnist" in call("--study", "mnist", "--from", PUBLISHED).stderr
