"""Figures of a person's own function: what cannot be drawn says why, and the paper's are left out."""

from click.testing import CliRunner

import harness
from harness.cli import main


def test_a_function_has_no_costs_to_draw(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARNESS_DB", raising=False)
    (tmp_path / "f.py").write_text("def run(context, *, x):\n    return {'accuracy': x / 10}\n")
    trials = [{"name": "x {arguments.x}", "grid": {"arguments.x": [1, 2]}}]
    study = {"study": "s", "task": "function", "target": "f.py:run", "seeds": [0], "trials": trials}
    harness.run({**study, "metrics": {"accuracy": "maximize"}}, executor="in-process", progress=False)
    said = CliRunner().invoke(main, ["report", "figures", "--out", "figures"]).stderr
    assert "study s: a function has no network: its parameters and MACs are not counted" in said
    assert "no accuracy" not in said
    assert "Fig" not in said
