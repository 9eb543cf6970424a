"""The example of docs/search.md: a search of the arguments of docs/own.md's function, as both stand."""

import re
from pathlib import Path

from harness.search.file import load_search

ROOT = Path(__file__).resolve().parents[2]


def block(document, name):
    """Return the code that a document shows for a file."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.search(rf"`{re.escape(name)}`:\n\n```\w+\n(.*?)```", text, flags=re.DOTALL)[1]


def test_the_example_searches_that_function(tmp_path):
    (tmp_path / "train.py").write_text(block("docs/own.md", "train.py"))
    file = tmp_path / "own-search.yml"
    file.write_text(block("docs/search.md", file.name))
    assert f"harness search arguments {file.name} --trials 40" in (ROOT / "docs/search.md").read_text(encoding="utf-8")
    search = load_search(file)  # with its arguments checked against the function
    assert (search.space.size, search.objectives, search.directions) == (3 * 61, ("accuracy",), ("maximize",))
    trial = search.space.trial(search.space.placement({"compressor": "topk", "steps": 80}))
    assert trial.config["arguments"] == {"compressor": "topk", "steps": 80}
