"""docs/notebook.ipynb: its cells run, and show what the notebook says."""

import pytest
import run_notebook

NOTEBOOK = run_notebook.read()
CELLS = run_notebook.code_cells(NOTEBOOK)


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    pytest.importorskip("pandas")
    pytest.importorskip("matplotlib")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("HARNESS_DB", raising=False)
        return run_notebook.run(NOTEBOOK, tmp_path_factory.mktemp("notebook"))


def said(outputs):
    """Return what people read: not pictures, whose bytes follow matplotlib, nor frames as HTML, which pandas writes."""
    texts = []
    for output in outputs:
        data = output.get("data", {})
        ours = {"text/plain", "text/markdown"} | ({"text/html"} if "image/png" not in data else set())
        texts += ["".join(output.get("text", []))]
        texts += ["".join(text) for form, text in data.items() if form in ours and "dataframe" not in "".join(text)]
    return texts


@pytest.mark.parametrize("number", range(len(CELLS)))
def test_a_cell_shows_what_the_notebook_says(number, shown):
    assert said(shown[number]) == said(CELLS[number]["outputs"])
    pictures = [{form for form in output.get("data", {}) if form == "image/png"} for output in shown[number]]
    assert pictures == [
        {form for form in output.get("data", {}) if form == "image/png"} for output in CELLS[number]["outputs"]
    ]


def test_every_plot_is_in_it():
    code = "".join("".join(cell["source"]) for cell in CELLS)
    import harness

    assert all(f"harness.plot.{kind}(" in code for kind in harness.plot.__all__)


def test_cells_are_in_order_as_run():
    assert [cell["execution_count"] for cell in CELLS] == list(range(1, len(CELLS) + 1))
