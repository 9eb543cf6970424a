"""docs/claims.md, and the first example of the README: its study is run, and its commands print what they say."""

import re
import types
from pathlib import Path

import pytest
from click.testing import CliRunner
from own_runs import store_runs

from harness.cli import main
from harness.study.study_file import AblateEntry, ClaimEntry, UntilDecided

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "claims.md").read_text(encoding="utf-8")
README = (Path(__file__).resolve().parents[3] / "README.md").read_text(encoding="utf-8")
CODE = re.search(r"```python\n(import numpy.*?)```", TEXT, flags=re.DOTALL)[1]
STUDIES = {re.match(r"# (\S+)", text)[1]: text for text in re.findall(r"```yaml\n(# .*?)```", TEXT, flags=re.DOTALL)}
ENTERED = re.compile(r"entered [\d-]+ [\d:]+( at commit \w+)?")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which the studies of the document have run."""
    pytest.importorskip("sklearn")
    module = types.ModuleType("train")
    exec(compile(CODE, "train.py", "exec"), module.__dict__)  # noqa: S102
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("HARNESS_DB", raising=False)
        patch.chdir(tmp_path_factory.mktemp("claims"))
        Path("train.py").write_text(CODE)
        for name, text in STUDIES.items():
            Path(name).write_text(text)
            store_runs(name, lambda seed, **how: module.run(types.SimpleNamespace(seed=seed), **how))
        Path("enough.yml").write_text(_enough())
        yield


def _enough():
    """Return parts.yml with the lines that the document writes in place of its own."""
    text = STUDIES["parts.yml"]
    for line in re.search(r"```yaml\n(study: enough\n.*?)```", TEXT, flags=re.DOTALL)[1].splitlines():
        text = re.sub(rf"^{line.partition(':')[0]}:.*$", line, text, flags=re.MULTILINE)
    return text


def _plain(text):
    return ENTERED.sub("entered DAY", text).strip()


CONSOLE = [
    (command, output)
    for block in re.findall(r"```console\n(.*?)```", README + TEXT, flags=re.DOTALL)
    for command, output in re.findall(r"^\$ harness (.*)\n((?:(?!\$ ).*\n?)*)", block, flags=re.MULTILINE)
    if output
]


@pytest.mark.parametrize(("command", "output"), CONSOLE, ids=[command for command, _ in CONSOLE])
def test_a_command_prints_what_the_document_says(folder, command, output, monkeypatch):
    words = [word.strip("'") for word in re.findall(r"'[^']*'|\S+", command)]
    if "enough" in command:  # whose claims were entered before the runs of any other study
        monkeypatch.setenv("HARNESS_DB", "enough.db")
    here = ["--executor", "in-process"] if words[:2] == ["run", "grid"] else []
    done = CliRunner().invoke(main, [*words, *here], catch_exceptions=False)
    assert done.exit_code in {0, 3}, done.output
    for piece in output.split("…\n"):
        assert _plain(piece) in _plain(done.stdout)


def test_the_example_of_the_readme_is_this_one():
    assert f"```python\n{CODE}```" in README
    assert f"```yaml\n{STUDIES['parts.yml'].partition(chr(10))[2]}```" in README


def test_every_key_is_in_its_table():
    tables = re.findall(r"^\| key .*\n\|---.*\n((?:\|.*\n)+)", TEXT, flags=re.MULTILINE)
    firsts = ["".join(line.split("|")[1] for line in table.splitlines()) for table in tables]
    of_claim, of_seeds, of_ablate = (set(re.findall(r"`([^`]+)`", words)) for words in firsts)
    assert of_claim == ClaimEntry.model_fields.keys()
    assert of_seeds == UntilDecided.model_fields.keys()
    assert of_ablate == AblateEntry.model_fields.keys()
