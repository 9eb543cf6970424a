"""Runs that other tools have recorded, from tables and MLflow's file store: they get tables and statistics."""

import json
from contextlib import chdir

import pytest
from click.testing import CliRunner

from harness.cli import main
from harness.interchange.mlflow import read_mlruns
from harness.interchange.outside import setting_of
from harness.interchange.table import read_table
from harness.store.connection import open_reader
from harness.store.queries import curve, snapshot

TABLE = """\
lr,width,seed,accuracy,loss
0.1,8,0,0.91,0.3
0.1,8,1,0.92,0.29
0.01,8,0,0.81,nan
0.01,8,1,0.82,0.52
"""
METRICS = ["--metric", "accuracy:maximize", "--metric", "loss:minimize"]
WANDB = """\
Name,State,Notes,User,Tags,Created,Runtime,Sweep,lr,seed,val_acc
brave-sun-1,finished,,me,,2024-01-31T12:00:00.000Z,90,,0.1,3,0.5
shy-moon-2,crashed,,me,,2024-01-31T13:00:00.000Z,10,,0.1,4,
"""


@pytest.fixture
def call(tmp_path):
    def run(*words, code=0):
        with chdir(tmp_path):
            done = CliRunner().invoke(main, [*map(str, words)])
        assert done.exit_code == code, done.output
        return done

    return run


def run_of_mlflow(folder, run, *, width=4, seed=0, status=3, start=1_700_000_000_000, stage="active"):
    """Write a run as MLflow 3.7 does."""
    where = folder / run
    (where / "params").mkdir(parents=True)
    (where / "metrics" / "val").mkdir(parents=True)
    lines = [f"artifact_uri: file:///x/{run}/artifacts", "end_time: null" if status == 1 else f"end_time: {start + 5}"]
    lines += [f"lifecycle_stage: {stage}", f"run_id: {run}", "source_name: ''", f"start_time: {start}"]
    (where / "meta.yaml").write_text("\n".join([*lines, f"status: {status}", "tags: []", ""]))
    (where / "params" / "width").write_text(str(width))
    (where / "params" / "seed").write_text(str(seed))
    (where / "metrics" / "val" / "acc").write_text("".join(f"{start + t} {0.5 + t / 100} {t}\n" for t in range(3)))


@pytest.fixture
def mlruns(tmp_path):
    experiment = tmp_path / "mlruns" / "596969771209557608"
    for number, (width, seed) in enumerate([(4, 0), (4, 1), (8, 0), (8, 1)]):
        run_of_mlflow(experiment, f"{number:032x}", width=width, seed=seed, start=1_700_000_000_000 + number)
    run_of_mlflow(experiment, "f" * 32, status=4)
    run_of_mlflow(experiment, "e" * 32, stage="deleted")
    (experiment / "meta.yaml").write_text("experiment_id: '596969771209557608'\nname: resnets\n")
    (tmp_path / "mlruns" / "0").mkdir()
    (tmp_path / "mlruns" / "0" / "meta.yaml").write_text("experiment_id: '0'\nname: Default\n")
    return tmp_path / "mlruns"


def test_a_table_becomes_a_study_with_statistics(call, tmp_path):
    (tmp_path / "runs.csv").write_text(TABLE)
    words = ["results", "import", "runs.csv", "--study", "sweep", *METRICS]
    assert call(*words).stdout == "runs.csv: 4 runs taken in: 2 trials, seeds 0, 1\n  lr 0.1\n  lr 0.01\n"
    assert call(*words).stdout.startswith("runs.csv: 0 runs taken in, 4 known: ")
    cells = json.loads(call("report", "tables", "--study", "sweep", "--format", "json").stdout)
    found = {(cell["row"], cell["column"]): cell["values"] for cell in cells if cell["column"] in {"accuracy", "loss"}}
    assert found["lr 0.1", "accuracy"] == [0.91, 0.92]
    assert found["lr 0.01", "accuracy"] == [0.81, 0.82]
    assert found["lr 0.1", "loss"] == [0.3, 0.29]
    verified = call("results", "verify").stdout
    assert verified == "ok   2 trials, 4 attempts, 0 artifacts\n", "whole, and of nobody's code"
    shown = call("report", "tables", "--study", "sweep")
    assert "Run on elsewhere (runs.csv), an unknown number of threads." in shown.stdout
    assert shown.stderr == ""


def test_runs_without_seeds_are_numbered_and_settings_chosen(call, tmp_path):
    (tmp_path / "runs.csv").write_text("id,lr,acc\na,0.1,1\nb,0.1,2\nc,0.2,3\n")
    said = call(
        "results", "import", "runs.csv", "--study", "s", "--metric", "acc:maximize:dB", "--setting", "lr"
    ).stdout
    assert said == "runs.csv: 3 runs taken in: 2 trials, seeds 0, 1\n  lr 0.1\n  lr 0.2\n"
    assert "acc [dB]" in call("report", "tables", "--study", "s").stdout


def test_the_export_of_weights_and_biases(call, tmp_path):
    (tmp_path / "wandb.csv").write_text(WANDB)
    done = call("results", "import", "wandb.csv", "--study", "w", "--metric", "val_acc:maximize")
    assert done.stdout == "wandb.csv: 1 runs taken in: 1 trials, seeds 3\n  imported\n"
    assert done.stderr == "1 runs left out: not finished (crashed), or without the primary metric\n"
    (run,) = [run for run in read_table(tmp_path / "wandb.csv", ["val_acc"], None) if run.state is None]
    assert (run.settings, run.seed) == ({"lr": 0.1}, 3)
    assert (run.started, run.ended) == ("2024-01-31T12:00:00.000+00:00", "2024-01-31T12:01:30.000+00:00")


def test_mlflow_s_file_store_with_its_curves(call, mlruns, tmp_path):
    done = call("results", "import", "mlruns", "--study", "ml", "--metric", "val/acc:maximize")
    assert done.stdout == "mlruns: 4 runs taken in: 2 trials, seeds 0, 1\n  width 4\n  width 8\n"
    assert done.stderr == "1 runs left out: not finished (failed), or without the primary metric\n"
    with open_reader(tmp_path / "results" / "harness.db") as store:
        attempts = snapshot(store).attempts
        points = curve(store, attempts[0].uid)
    assert attempts[0].started == "2023-11-14T22:13:20.000+00:00"
    assert [(point.name, point.step, point.value) for point in points] == [
        ("val/acc", 0, 0.5), ("val/acc", 1, 0.51), ("val/acc", 2, 0.52),
    ]  # fmt: skip
    assert len(read_mlruns(mlruns, "resnets", settings=("width",))) == 5


@pytest.mark.parametrize(
    ("text", "words", "said"),
    [
        (TABLE, "--metric acc:maximize", "runs.csv:1: there is no column 'acc'"),
        (TABLE, "--metric accuracy", "--metric accuracy: say which way is better, as in accuracy:maximize or"),
        (TABLE, "--metric accuracy:up", "'accuracy' is to maximize or to minimize, not 'up'"),
        (TABLE, "--metric accuracy:maximize --setting width", "runs.csv:4: the same settings and seed 0 as runs.csv:2"),
        (TABLE, "--metric accuracy:maximize --seed lr", "runs.csv:2: lr must be a whole number from 0, not '0.1'"),
        (TABLE, "--metric accuracy:maximize --experiment x", "--experiment goes with MLflow's file store"),
        (
            TABLE.replace("0.91", "high"),
            "--metric accuracy:maximize",
            "runs.csv:2: accuracy must be a number, not 'high'",
        ),
        ("a,b\n1\n", "--metric a:maximize", "runs.csv:2: 1 cells, and the first line names 2 columns"),
        ("a,a\n1,2\n", "--metric a:maximize", "runs.csv:1: two columns are called 'a'"),
        ("", "--metric a:maximize", "runs.csv:1: a table begins with the names of its columns; this line is empty"),
        ("a,b\n,2\n", "--metric a:maximize", "runs.csv: no run that ended well has the metric 'a'"),
        ('a,b\n"1,2\n', "--metric a:maximize", "runs.csv: cannot be read as CSV in UTF-8"),
    ],
)
def test_what_cannot_be_imported_is_said_in_a_line_and_nothing_is_stored(call, tmp_path, text, words, said):
    (tmp_path / "runs.csv").write_text(text)
    done = call("results", "import", "runs.csv", "--study", "s", *words.split(), code=2)
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "results" / "harness.db").exists()


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("meta.yaml", "status: [", "meta.yaml: cannot be read"),
        ("meta.yaml", "- 1", "meta.yaml: not a mapping"),
        ("meta.yaml", "status: 3\nstart_time: soon\n", "start_time must be milliseconds since 1970, not 'soon'"),
        ("metrics/val/acc", "now 0.5 0\n", "acc:1: not TIMESTAMP VALUE STEP: 'now 0.5 0'"),
        ("params/seed", "first", "seed must be a whole number from 0, not 'first'"),
    ],
)
def test_damaged_files_of_mlflow_are_named(call, mlruns, file, text, said):
    (mlruns / "596969771209557608" / f"{1:032x}" / file).write_text(text)
    done = call("results", "import", "mlruns", "--study", "s", "--metric", "val/acc:maximize", code=2)
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_no_study_of_ours_is_mixed_with_imported_runs(call, tmp_path):
    (tmp_path / "runs.csv").write_text(TABLE)
    (tmp_path / "own.py").write_text("def run(context):\n    return {'accuracy': 1.0}\n")
    text = (
        "study: s\ntask: function\ntarget: own.py:run\nmetrics: {accuracy: maximize}\nseeds: [0]\ntrials: [{name: x}]\n"
    )
    (tmp_path / "s.yml").write_text(text)
    call("run", "grid", "s.yml", "--executor", "in-process")
    done = call("results", "import", "runs.csv", "--study", "s", "--metric", "accuracy:maximize", code=2)
    assert "--study: 's' is a study of the harness; choose another name" in done.stderr


def test_settings_are_numbers_and_truths_where_they_look_so():
    texts = ["1", "1e-3", "true", "None", "", "sgd", "nan", "inf", " 2 ", "1_000"]
    assert [setting_of(text) for text in texts] == [1, 0.001, True, None, None, "sgd", "nan", "inf", 2, "1_000"]
