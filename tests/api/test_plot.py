"""`harness.plot`: one call per plot, from stored results and from frames; the command draws the same."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import harness
from harness.base.errors import HarnessError
from harness.cli import main
from harness.cli.report.figures import figures as command
from harness.report.figures.kinds import KINDS
from harness.report.figures.style import FORMATS

ROOT = Path(__file__).resolve().parents[2]
CODE = """\
def run(context, *, rate, momentum=0.5):
    x = 2.0
    for step in range(6):
        x -= rate * x * (1 + momentum) * context.rng("noise").uniform(0.9, 1.1)
        context.report(step, loss=x * x)
    return {"loss": x * x, "size": 10 * (1 + momentum)}
"""
STUDY = {
    "study": "slopes",
    "task": "function",
    "target": "slope.py:run",
    "metrics": {"loss": "minimize"},
    "seeds": [0, 1],
    "baseline": "0.1 0.5",
    "trials": [{"name": "{arguments.rate} {arguments.momentum}",
                "grid": {"arguments.rate": [0.1, 0.2], "arguments.momentum": [0.0, 0.5]}}],
}  # fmt: skip


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slopes")
    (folder / "slope.py").write_text(CODE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        harness.run(STUDY, db="h.db", executor="in-process", progress=False)
    return folder / "h.db"


def call(*words):
    return CliRunner().invoke(main, ["report", "figures", *map(str, words)])


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_and_python_draw_the_same(kind, db, tmp_path):
    form = FORMATS[list(KINDS).index(kind) % len(FORMATS)]
    words = {"pareto": ["--cost", "size"], "curves": ["--by", "rate"], "intervals": ["--against", "0.1 0.5"]}
    options = {"pareto": {"cost": "size"}, "curves": {"by": "rate"}, "intervals": {"against": "0.1 0.5"}}
    said = call(
        "--db", db, "--study", "slopes", "--kind", kind, "--format", form, "--out", tmp_path, *words.get(kind, ())
    )
    assert said.exit_code == 0, said.output
    (path,) = tmp_path.iterdir()
    assert said.output == f"{path}\n"
    drawn = getattr(harness.plot, kind)(harness.load(db), **options.get(kind, {}))
    assert path.read_bytes() == drawn.save(tmp_path / "again" / f"same.{form}").read_bytes()
    assert drawn._repr_png_().startswith(b"\x89PNG")
    assert "slopes" in drawn.title


def test_a_frame_that_was_cut_down_is_drawn(db):
    results = harness.load(db)
    runs = results.tidy()
    few = runs[runs["arguments.rate"] == 0.1]
    assert harness.plot.intervals(few).figure.axes[0].get_yticklabels()[1].get_text() == "0.1 0.5"
    assert len(harness.plot.intervals(few).figure.axes[0].get_yticklabels()) == 2
    with pytest.raises(HarnessError, match="a heat map needs two fields"):
        harness.plot.heatmap(few)
    nullable = runs.convert_dtypes()
    nullable.loc[0, "loss"] = None
    assert "1 of 8 runs" in harness.plot.heatmap(nullable, metric="loss").caption
    curves = results.curves().merge(runs[["attempt", "arguments.momentum"]])
    labels = [text.get_text() for text in harness.plot.curves(curves, by="arguments.momentum").figure.legends[0].texts]
    assert labels == ["0 (n = 4)", "0.5 (n = 4)"]


def test_what_cannot_be_drawn_is_a_line(db, tmp_path):
    results = harness.load(db)
    with pytest.raises(HarnessError, match=r"intervals: the frame is none of results\.tidy\(\)"):
        harness.plot.intervals(results.curves())
    with pytest.raises(HarnessError, match=r"curves: the frame is none of results\.curves\(\)"):
        harness.plot.curves(results.tidy())
    with pytest.raises(HarnessError, match="no study 'slope' is stored; did you mean 'slopes'"):
        harness.plot.heatmap(results, study="slope")
    with pytest.raises(HarnessError, match=r"a figure is saved as \*\.svg, \*\.pdf or \*\.png, not as 'x\.jpg'"):
        harness.plot.heatmap(results).save("x.jpg")
    for words, said in {
        ("--kind", "curves"): "--kind draws a study: name it with --study",
        ("--study", "slopes", "--by", "rate"): "--by goes with --kind",
        ("--study", "slopes", "--kind", "pareto", "-x", "rate"): "'x' goes with heatmap, not with pareto",
        (
            "--study",
            "slopes",
            "--kind",
            "curves",
            "--by",
            "rat",
        ): "curves of study slopes: no field 'rat'; did",
    }.items():
        done = call("--db", db, "--out", tmp_path, *words)
        assert (done.exit_code, said in done.stderr) == (2, True), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_study_of_functions_has_a_page_of_plots(db, tmp_path):
    done = call("--db", db, "--study", "slopes", "--out", tmp_path / "all")
    assert done.stderr == ""
    assert {path.name.split("-")[0] for path in (tmp_path / "all").iterdir()} == set(KINDS)
    assert "Analysis of variance of a whole grid of 4 trials × 2 seeds" in (tmp_path / "all.md").read_text()


def test_without_matplotlib_it_says_what_to_install(db, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(HarnessError, match=r"this needs matplotlib: pip install 'ablation-harness\[figures\]'"):
        harness.plot.curves(harness.load(db))


def test_plots_are_there_without_being_imported_first():
    code = (
        "import sys, harness; f = harness.plot.curves; sys.exit('matplotlib' in sys.modules or 'torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_document_shows_what_happens(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("results").symlink_to(ROOT / "results")
    text = (ROOT / "docs" / "plots.md").read_text(encoding="utf-8")
    (console,) = re.findall(r"```console\n(.*?)```", text, flags=re.DOTALL)
    for call_and_output in console.removeprefix("$ harness ").split("$ harness "):
        line, _, output = call_and_output.replace("\\\n", "").partition("\n")
        done = CliRunner().invoke(main, shlex.split(line))
        assert done.output == output
    (cell,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    names = {}
    exec(compile(cell, "docs/plots.md", "exec"), names)  # noqa: S102
    assert Path("map.pdf").read_bytes().startswith(b"%PDF")
    assert len(names["figure"].axes) == 1


def test_the_document_has_every_kind_with_its_options():
    text = (ROOT / "docs" / "plots.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)\(.*?\)` \|.*\| (.*) \|$", text, flags=re.MULTILINE)
    assert [kind for kind, _, _ in rows] == [kind for _, kind, _ in rows] == list(KINDS)
    assert sorted(harness.plot.__all__) == sorted(KINDS)
    (option,) = [each for each in command.params if each.name == "kinds"]
    assert list(option.type.choices) == list(KINDS)
    shown = {"x": "-x", "y": "-y", "fields": "--field"}
    for kind, _, options in rows:
        own = [option for option in KINDS[kind].options if option != "metric"]
        assert re.findall(r"`(.*?)`", options) == [shown.get(option, f"--{option}") for option in own]
