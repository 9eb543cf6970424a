"""A function that is edited while its study runs ends the call at once; the next one runs what it is then."""

import harness

CODE = """
from pathlib import Path

def run(context, *, x):
    file = Path(__file__)
    if "\\nedited" not in file.read_text():
        file.write_text(file.read_text() + "edited = True\\n")
    return {"y": x}
"""
STUDY = """\
study: s
task: function
target: own.py:run
metrics: {y: maximize}
seeds: [0]
execution: {threads: 1}
trials:
  - {name: "x {arguments.x}", grid: {arguments.x: [1, 2, 3, 4]}}
"""


def test_the_first_refusal_ends_the_call(lab):
    (lab.folder / "own.py").write_text(CODE)
    (lab.folder / "s.yml").write_text(STUDY)
    ended = lab.grid(study="s.yml")
    assert ended.err.count("was edited since this was planned") == 1
    assert "2 left, 1 held" in ended.out
    assert "stopped because the code changed during the run; repeat the command to use the new code" in ended.err
    assert "--retry" not in ended.err
    assert lab.grid(study="s.yml").code == 0


def test_from_python_it_says_the_same(lab, monkeypatch):
    monkeypatch.chdir(lab.folder)
    (lab.folder / "own.py").write_text(CODE)
    (lab.folder / "s.yml").write_text(STUDY)
    said = harness.run("s.yml", db="h.db", progress=False)
    assert (said.edited, said.left) == (True, 2)
    assert "repeat the call to use the new code" in str(said)
    assert "retry" not in str(said)
