"""Run docs/notebook.ipynb without Jupyter: its cells one after another, in this process, and what each shows.

python tests/api/run_notebook.py      # writes what the cells show into the notebook
"""

import ast
import base64
import contextlib
import io
import json
import os
import tempfile
from pathlib import Path

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "notebook.ipynb"
_FORMS = {"text/html": "_repr_html_", "text/markdown": "_repr_markdown_", "image/png": "_repr_png_"}
_WRITE = "%%writefile "


def read():
    return json.loads(NOTEBOOK.read_text(encoding="utf-8"))


def code_cells(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def run(notebook, folder):
    """Run the cells of code in a folder, and return the outputs of each as a notebook has them."""
    names = {}
    with contextlib.chdir(folder):
        return [_outputs("".join(cell["source"]), number, names) for number, cell in enumerate(code_cells(notebook), 1)]


def _outputs(source, number, names):
    if source.startswith(_WRITE):
        name, _, text = source.removeprefix(_WRITE).partition("\n")
        Path(name).write_text(f"{text}\n", encoding="utf-8")
        return [_stream(f"Writing {name}\n")]
    tree = ast.parse(source)
    last = ast.Expression(tree.body.pop().value) if isinstance(tree.body[-1], ast.Expr) else None
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(tree, "notebook", "exec"), names)  # noqa: S102
        shown = None if last is None else eval(compile(last, "notebook", "eval"), names)  # noqa: S307
    outputs = [_stream(printed.getvalue())] if printed.getvalue() else []
    return outputs if shown is None else [*outputs, _result(shown, number)]


def _stream(text):
    return {"name": "stdout", "output_type": "stream", "text": text.splitlines(keepends=True)}


def _result(shown, number):
    found = {form: getattr(shown, method)() for form, method in _FORMS.items() if hasattr(shown, method)}
    found["text/plain"] = repr(shown)
    data = {
        form: _lines(said) if isinstance(said, str) else base64.b64encode(said).decode() for form, said in found.items()
    }
    return {"data": data, "execution_count": number, "metadata": {}, "output_type": "execute_result"}


def _lines(text):
    return text.splitlines(keepends=True)


def main():
    os.environ.pop("HARNESS_DB", None)
    notebook = read()
    with tempfile.TemporaryDirectory() as folder:
        shown = run(notebook, folder)
    for number, (cell, outputs) in enumerate(zip(code_cells(notebook), shown, strict=True), 1):
        cell |= {"execution_count": number, "outputs": outputs}
    NOTEBOOK.write_text(json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
