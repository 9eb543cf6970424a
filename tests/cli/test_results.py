"""`harness results`: what differs, curves, questions, exports, verification, the browser's view; shells."""

import csv
import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.base.keys import evaluation_key
from harness.cli import main
from harness.cli.results.curve import bars

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = ROOT / "results" / "published" / "mnist.jsonl"
FROM = ("--from", PUBLISHED)


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARNESS_DB", raising=False)

    def invoke(*arguments, **how):
        return CliRunner().invoke(main, [str(argument) for argument in arguments], **how)

    return invoke


def test_two_runs_differ_in_their_seed_alone(call):
    names = ("mnist:Baseline:0", "mnist:Baseline:1")
    found = json.loads(call("results", "diff", *names, *FROM, "--format", "json").stdout)
    assert found["kind"] == "run"
    assert found["configuration"] == {}
    assert found["environment"] == {"seed": {"a": 0, "b": 1}}
    accuracy = found["metrics"]["mnist/test accuracy"]
    assert accuracy["difference"] == accuracy["b"] - accuracy["a"] != 0
    assert 0 < found["images"]["mnist/test correct"]["differing"] < 10_000
    assert found["same_bits"] is False
    text = call("results", "diff", *names, *FROM).stdout
    assert "configuration: the same" in text
    assert "points differ, the first " in text


def test_a_trial_beside_another_differs_in_its_compressor(call):
    text = call("results", "diff", "mnist:Feature pooling (top-k), 50%:0", "mnist:Baseline:0", *FROM).stdout
    assert "compressors.conv2.kind" in text


def test_a_store_beside_itself_differs_in_nothing(call):
    found = json.loads(call("results", "diff", PUBLISHED, PUBLISHED.parent, "--format", "json").stdout)
    assert found["kind"] == "store"
    assert found["only_a"] == []
    assert any(name.startswith("cifar-small") for name in found["only_b"])
    assert found["runs"]["common"] == 14
    assert found["runs"]["differing"] == []
    text = call("results", "diff", "mnist", "mnist", *FROM).stdout
    assert "runs of both: 14, 14 of them with the same metrics" in text


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        ("mnist", "mnist:Baseline:0", "'mnist' is a study and 'mnist:Baseline:0' is none"),
        (PUBLISHED, "mnist", "is a file and 'mnist' is none"),
        ("mnist:Baselin:0", "mnist:Baseline:0", "has no trial 'Baselin'; did you mean 'Baseline'"),
        ("zzzz", "mnist:Baseline:0", "no attempt begins with 'zzzz'"),
    ],
)
def test_what_cannot_be_compared_is_one_line(call, a, b, words):
    result = call("results", "diff", a, b, *FROM)
    assert result.exit_code == 2
    (line,) = result.stderr.strip().splitlines()
    assert words in line


def test_curves_in_three_forms(call):
    arguments = ("results", "curve", "mnist:Baseline:0", "--split", "test", *FROM)
    text = call(*arguments).stdout
    assert "600–3000" in text
    assert "▁" in text
    assert "█" in text
    points = json.loads(call(*arguments, "--format", "json").stdout)
    assert [p["step"] for p in points if p["metric"] == "accuracy"] == [600, 1200, 1800, 2400, 3000]
    rows = list(csv.DictReader(io.StringIO(call(*arguments, "--format", "csv").stdout)))
    assert [float(row["value"]) for row in rows] == [p["value"] for p in points]
    none = call("results", "curve", "mnist:Baseline:0", "--metric", "accurracy", *FROM)
    assert none.exit_code == 2
    assert "no such points are stored" in none.stderr
    assert "; there are: accuracy (test), " in none.stderr
    assert "loss (train)" in none.stderr


@pytest.mark.parametrize(
    ("values", "width", "shown"),
    [
        ([0, 1, 2, 3, 4, 5, 6, 7], 8, "▁▂▃▄▅▆▇█"),
        ([0, 0, 7, 7], 2, "▁█"),
        ([3, 3], 8, "▁▁"),
        ([0, float("nan"), 7], 3, "▁·█"),
        ([float("inf")], 3, "·"),
        ([0, float("nan"), 7, 7], 2, "▁█"),
    ],
)
def test_bars_are_means_and_dots_are_no_numbers(values, width, shown):
    assert bars(values, width) == shown


def test_a_question_in_three_forms_and_a_change_refused(call):
    sql = "SELECT seed, value FROM v_run WHERE name = 'accuracy' ORDER BY value DESC LIMIT 2"
    rows = json.loads(call("results", "query", sql, *FROM, "--format", "json").stdout)
    assert [set(row) for row in rows] == [{"seed", "value"}] * 2
    assert call("results", "query", sql, *FROM, "--format", "csv").stdout.startswith("seed,value\n")
    assert f"{rows[0]['value']:g}" in call("results", "query", sql, *FROM).stdout
    packed = call("results", "query", "SELECT x'00ff' AS packed, 9e999 AS much", *FROM, "--format", "json").stdout
    assert json.loads(packed) == [{"packed": "00ff", "much": "inf"}]
    refused = call("results", "query", "DELETE FROM trial", *FROM)
    assert refused.exit_code == 2
    assert refused.stderr == ("Error: a query may only read (not authorized): results change by run and merge alone\n")


def test_a_table_changes_no_value(call):
    sql = """SELECT '2.10' AS version, 1.0 / 3 AS third, '3e5' AS uid, '007' AS agent, 12.0 AS whole, NULL AS none
        UNION ALL SELECT '10.9', 0.5, '81f2', '1', 0.25, NULL"""
    assert call("results", "query", sql, *FROM).stdout.splitlines() == [
        "  version               third  uid      agent    whole  none",
        "---------  ------------------  -----  -------  -------  ------",
        "     2.10  0.3333333333333333  3e5        007    12",
        "    10.9   0.5                 81f2         1     0.25",
    ]


def test_a_study_goes_before_a_folder_of_its_name(call, tmp_path):
    (tmp_path / "mnist").mkdir()
    studies = ("--from", PUBLISHED, "--from", PUBLISHED.with_name("claims-mnist.jsonl"), "--format", "json")
    for folder in (None, "claims-mnist"):
        if folder is not None:
            (tmp_path / folder).mkdir()
        found = call("results", "diff", "mnist", "claims-mnist", *studies)
        assert found.exit_code == 0, found.output
        assert json.loads(found.stdout)["kind"] == "study"
    refused = call("results", "diff", "./mnist", "claims-mnist", *studies)
    assert "'./mnist' is a file and 'claims-mnist' is none" in refused.stderr
    for folder in ("mnist", "claims-mnist"):
        shutil.copy(PUBLISHED, tmp_path / folder)
    assert json.loads(call("results", "diff", "mnist", "claims-mnist", "--format", "json").stdout)["kind"] == "store"


def test_a_device_that_cannot_be_is_told_once_and_nothing_is_drawn(call):
    result = call("results", "verify", "--rerun", "3", "--device", "gpu", *FROM)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "Error: --device takes auto, cpu, cuda or cuda:N, not 'gpu'\n"


def test_exports_by_the_ending_of_the_file(call, tmp_path):
    assert call("results", "merge", PUBLISHED, "--db", "h.db").exit_code == 0
    attempts = len(PUBLISHED.read_text().splitlines())
    for name, said in (("a.csv", "28 rows of results"), ("b.jsonl", f"{attempts} attempts")):
        assert said in call("results", "export", "--out", name, "--db", "h.db").stdout
    assert (tmp_path / "b.jsonl").read_bytes() == PUBLISHED.read_bytes()
    assert (tmp_path / "a.csv").read_text().count("\n") == 29
    wrong = call("results", "export", "--out", "c.jsonl", "--rows", "runs", "--db", "h.db")
    assert (wrong.exit_code, (tmp_path / "c.jsonl").exists()) == (2, False)


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("h.db", "--out takes a file *.jsonl, *.csv or *.parquet, not 'h.db'"),
        ("out.json", "--out takes a file *.jsonl, *.csv or *.parquet, not 'out.json'"),
        ("link.jsonl", "--out link.jsonl is what is to be read"),
    ],
)
def test_an_export_never_writes_over_the_store_nor_what_it_does_not_know(call, tmp_path, out, words):
    call("results", "merge", PUBLISHED, "--db", "h.db")
    (tmp_path / "link.jsonl").symlink_to("h.db")
    before = (tmp_path / "h.db").read_bytes()
    refused = call("results", "export", "--out", out, "--db", "h.db")
    assert (refused.exit_code, refused.stderr) == (2, f"Error: {words}\n")
    assert (tmp_path / "h.db").read_bytes() == before
    assert not (tmp_path / "out.json").exists()


@pytest.fixture
def evaluated_later(tmp_path):
    """A run of mnist, and an evaluation of its weights on digits and on noisy digits, published."""
    line = next(line for line in map(json.loads, PUBLISHED.open()) if line["kind"] == "train")
    digits = {"name": "digits", "split": "test", "fingerprint": "d" * 64, "images": 355, "bytes": 278_320}
    conditions = ({"kind": "clean"}, {"kind": "noise", "sigma": 25})
    evaluations = [
        {"key": evaluation_key("d" * 64, condition), "fingerprint": "d" * 64, "condition": condition}
        for condition in conditions
    ]
    later = {
        **line, "uid": "e" * 32, "kind": "evaluate", "weights_from": line["uid"],
        "datasets": [*line["datasets"], digits],
        "evaluations": evaluations, "samples": [], "artifacts": [], "curve": [], "measures": [],
        "results": [[e["key"], "accuracy", value, "ok"] for e, value in zip(evaluations, (0.5, 0.11), strict=True)],
    }  # fmt: skip
    file = tmp_path / "later.jsonl"
    file.write_text("".join(f"{json.dumps(each)}\n" for each in (line, later)))
    ((_, _, accuracy, _),) = (result for result in line["results"] if result[1] == "accuracy")
    return file, line["uid"], accuracy


def test_several_accuracies_are_told_apart_and_later_ones_shown(call, evaluated_later):
    file, uid, accuracy = evaluated_later
    assert call("results", "merge", file, "--db", "h.db").exit_code == 0
    words = {
        "mnist/test accuracy": accuracy, "digits/test accuracy": 0.5,
        "digits/test accuracy (kind noise, sigma 25)": 0.11,
    }  # fmt: skip
    (row,) = json.loads(call("results", "list", "--db", "h.db", "--format", "json").stdout)
    assert {name: value for name, value in row["values"].items() if "accuracy" in name} == words
    assert "loss" in row["values"]
    shown = json.loads(call("results", "show", uid, "--db", "h.db", "--format", "json").stdout)["results"]
    assert shown == {**words, "mnist/test loss": row["values"]["loss"]}
    rows = json.loads(call("results", "list", "--all", "--db", "h.db", "--format", "json").stdout)
    assert [row["kind"] for row in rows] == ["train", "evaluate"]
    assert f"mnist/test accuracy {accuracy:.4g}, " in call("results", "list", "--db", "h.db").stdout


def test_a_single_accuracy_has_its_short_name(call):
    call("results", "merge", PUBLISHED, "--db", "h.db")
    rows = json.loads(call("results", "list", "--db", "h.db", "--format", "json").stdout)
    assert all("accuracy" in row["values"] for row in rows if row["kind"] == "train")


@pytest.mark.parametrize(
    "arguments",
    [
        ("list",), ("show", "mnist:Baseline:0"), ("diff", "mnist:Baseline:0", "mnist:Baseline:1"),
        ("curve", "mnist:Baseline:0"), ("query", "SELECT 1"), ("verify",), ("export", "--out", "rows.csv"),
    ],
    ids=lambda arguments: arguments[0],
)  # fmt: skip
def test_what_only_reads_takes_published_files_as_a_store_by_either_name(call, arguments):
    assert {call("results", *arguments, option, PUBLISHED).exit_code for option in ("--db", "--from")} == {0}


def test_maps_are_written_beside_the_lines_unless_they_are_not_wanted(call, tmp_path):
    call("results", "merge", PUBLISHED, "--db", "h.db")
    line = next(line for line in map(json.loads, PUBLISHED.open()) if line["kind"] == "train")
    (sha,) = (artifact["sha256"] for artifact in line["artifacts"] if artifact["kind"] == "maps")
    for folder in (tmp_path / "artifacts").iterdir():
        if folder.name != line["uid"]:
            shutil.rmtree(folder)
    for folder, more in (("with", ()), ("without", ("--no-maps",))):
        assert call("results", "export", "--out", f"{folder}/a.jsonl", "--db", "h.db", *more).exit_code == 0
        assert (tmp_path / folder / "a.jsonl").read_bytes() == PUBLISHED.read_bytes()
    assert [path.name for path in (tmp_path / "with" / "artifacts").iterdir()] == [f"{sha}.npz"]
    assert not (tmp_path / "without" / "artifacts").exists()


def test_what_is_published_is_whole(call):
    result = call("results", "verify", "--from", PUBLISHED.parent, "--format", "json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["faults"] == []
    assert found["files"] > 0


def test_a_fault_is_a_line_and_exit_code_1(call, tmp_path):
    copy = tmp_path / "broken.jsonl"
    copy.write_text(PUBLISHED.read_text().replace('"epochs":5', '"epochs":6', 1))
    result = call("results", "verify", "--from", copy)
    assert result.exit_code == 1
    bad = [line for line in result.stdout.splitlines() if line.startswith("BAD")]
    assert len(bad) == 1
    assert "broken.jsonl:1: " in bad[0]
    assert call("results", "verify", "--from", "none.db").exit_code == 2


def test_a_store_in_the_browser_without_a_server(call):
    pytest.importorskip("datasette")
    arguments = [sys.executable, "-c", "import sys; from harness.cli import main; main()", "results", "serve"]

    def ask(path):
        return subprocess.run(
            [*arguments, "--from", str(PUBLISHED), "--get", path], capture_output=True, text=True, check=False
        )

    def get(path):
        done = ask(path)
        assert done.returncode == 0, done.stderr
        return done.stdout

    page = get("/harness/v_run?_facet=name")
    assert "Runs with their accepted attempt" in page
    assert "The seed of all of the run" in page
    rows = json.loads(get("/harness/results_by_trial.json?_shape=array"))
    assert {row["study"] for row in rows} == {"mnist"}
    assert all(row["least"] <= row["mean"] <= row["greatest"] for row in rows)
    missing = ask("/nothing.json")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert missing.stderr == "Error: nothing is at '/nothing.json'; /harness.json lists what there is\n"


@pytest.mark.parametrize(("module", "arguments"), [("datasette", []), ("optuna_dashboard", ["--search", "SEARCH"])])
def test_without_the_extra_one_line_says_what_to_install(call, monkeypatch, module, arguments):
    monkeypatch.setitem(sys.modules, module, None)
    search = ROOT / "ablations" / "cifar-search.yml"
    result = call("results", "serve", *[search if a == "SEARCH" else a for a in arguments], *FROM)
    assert result.exit_code == 2
    (line,) = result.stderr.strip().splitlines()
    assert "pip install 'ablation-harness[dash]'" in line


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed_for_each_shell(call, shell):
    result = call("completion", shell)
    assert result.exit_code == 0
    assert "_HARNESS_COMPLETE" in result.stdout


def test_bash_takes_the_completion(call):
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash here")
    script = call("completion", "bash").stdout + "\ncomplete -p harness\n"
    done = subprocess.run([bash, "--norc", "-c", script], capture_output=True, text=True, check=False)
    assert "_harness_completion harness" in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("words", "completed"),
    [("harness resu", "results"), ("harness results ver", "verify"), ("harness results verify --re", "--rerun")],
)
def test_commands_and_options_are_completed(call, words, completed):
    environment = {
        "_HARNESS_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)
    }  # fmt: skip
    result = call(prog_name="harness", env=environment)
    assert f"plain,{completed}" in result.stdout.splitlines()


def test_a_long_list_has_the_newest_runs_and_says_how_many_more_there_are(call, monkeypatch):
    def listed(*arguments):
        return call("results", "list", *arguments, *FROM)

    whole = json.loads(listed("--format", "json").stdout)
    monkeypatch.setattr("harness.cli.results.look._LINES", 3)
    assert re.search(r"\d+ more runs were tried earlier: --last N", listed().stdout)
    for words in (("--all",), ("--study", "mnist"), ("--last", 10_000)):
        assert "more runs" not in listed(*words).stdout
    newest = json.loads(listed("--last", 1, "--format", "json").stdout)
    assert newest
    assert all(row in whole for row in newest)
    assert "--last goes without" in listed("--last", 1, "--all").stderr
