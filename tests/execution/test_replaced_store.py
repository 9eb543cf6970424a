"""A store that is removed under a running driver: one line, an exit code, and what ended is taken in afterwards."""

import sys

import pytest

OWN = """
from pathlib import Path


def run(context, *, how):
    if how == "b":
        for file in Path(context.checkpoints).parents[2].glob("harness.db*"):
            if not file.name.endswith(".lock"):
                file.unlink()
    return {"m": 1}
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps files that are open")
def test_a_grid_whose_store_is_removed_says_so_and_keeps_what_ended(own, lab):
    own("a", "b", "c")
    ended = lab.grid()
    assert (ended.code, ended.out) == (2, "")
    assert "results/harness.db was removed while it was in use: nothing more is written to it" in ended.err
    assert "Traceback" not in ended.err
    assert not lab.db.exists()
    assert lab.here("results", "recover").code == 0
    assert lab.states() == ["done", "done"]
    assert lab.grid().code == 0
    assert lab.states() == ["done"] * 3
