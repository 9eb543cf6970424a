"""pytest: a build goes red when a claim of a study regresses.

    @pytest.mark.claim("own:pooling-helps")      a test that fails if the claim is not as claimed
    def test_pooling_helps(claim): ...           with the fixture `claim`, the finding itself

    pytest --harness-claims own.yml              each claim of the study as a test of its own

A claim that is contradicted, or whose effect is too small to matter, fails; one that is undecided or has not run is
skipped with the reason, and fails with `--harness-strict`. Results are read from `--harness-db`, else `$HARNESS_DB`,
else `results/harness.db`. Nothing is run.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.base.errors import HarnessError, did_you_mean

if TYPE_CHECKING:
    from harness.report.claims.study_claims import StudyFinding

_FOUND = pytest.StashKey[dict[str, "StudyFinding"]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("harness", "claims of the ablation harness")
    group.addoption("--harness-claims", metavar="FILE", action="append", default=[], help="test the claims of a study")
    group.addoption("--harness-db", metavar="PATH", action="append", help="results: a database, or published files")
    group.addoption("--harness-strict", action="store_true", help="fail what is undecided or has not run")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark."""
    config.addinivalue_line("markers", "claim(STUDY:ID): fails unless the claim of a study is as claimed")


def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add a test for each claim of the studies that were named."""
    try:
        for file in config.getoption("--harness-claims"):
            items += _Claims.from_parent(session, path=Path(file), name=Path(file).name).collect()
    except HarnessError as error:
        raise pytest.UsageError(str(error)) from error


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Look at the claim of a test before the test itself."""
    for mark in item.iter_markers("claim"):
        _hold(item.config, _marked(item.config, mark))


@pytest.fixture
def claim(request: pytest.FixtureRequest) -> Any:
    """The finding of the claim that the test is marked with (`harness.report.claims.study_claims.StudyFinding`)."""
    mark = request.node.get_closest_marker("claim")
    if mark is None:
        pytest.fail("the fixture 'claim' needs a mark: @pytest.mark.claim('STUDY:ID')", pytrace=False)
    return _marked(request.config, mark)


class _Claims(pytest.File):
    """A study file, whose claims are tests."""

    def collect(self) -> Iterator["_Claim"]:
        from harness.study.study import load_study

        study = load_study(self.path, skip_invalid=True)
        for entry in study.claims or ():
            yield _Claim.from_parent(self, name=entry.id, claim=f"{study.name}:{entry.id}")


class _Claim(pytest.Item):
    """A claim as a test."""

    def __init__(self, *, claim: str, **more: Any) -> None:
        super().__init__(**more)
        self._claim = claim

    def runtest(self) -> None:
        """Hold the claim against its verdict."""
        _hold(self.config, _finding(self.config, self._claim))

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return the file, and "claim own:pooling-helps"."""
        return self.path, None, f"claim {self._claim}"


def _marked(config: pytest.Config, mark: pytest.Mark) -> "StudyFinding":
    if len(mark.args) != 1 or mark.kwargs or not isinstance(mark.args[0], str):
        pytest.fail("a claim is named by one text: @pytest.mark.claim('STUDY:ID')", pytrace=False)
    return _finding(config, mark.args[0])


def _finding(config: pytest.Config, name: str) -> "StudyFinding":
    """Return what came of the claim that `STUDY:ID` names; the test fails if none is stored."""
    if _FOUND not in config.stash:
        try:
            config.stash[_FOUND] = _read(config)
        except HarnessError as error:
            pytest.fail(f"{name}: {error}", pytrace=False)
    found = config.stash[_FOUND]
    if name not in found:
        pytest.fail(f"no claim '{name}' is stored{did_you_mean(name, found)}", pytrace=False)
    return found[name]


def _read(config: pytest.Config) -> dict[str, "StudyFinding"]:
    from harness.report.claims.study_claims import study_findings
    from harness.store import DEFAULT_DB
    from harness.store.merge import open_results
    from harness.store.queries import snapshot

    named = config.getoption("--harness-db") or [os.environ.get("HARNESS_DB") or DEFAULT_DB]
    with open_results([Path(name) for name in named]) as store:
        found = study_findings(snapshot(store))
    return {f"{f.study}:{f.id}": f for f in found if f.withdrawn is None}


def _hold(config: pytest.Config, finding: "StudyFinding") -> None:
    """Fail, or skip, the test of a claim that is not as claimed."""
    from harness.report.claims.study_claims import AS_CLAIMED, UNDECIDED, check
    from harness.report.claims.study_words import line_of

    code = check([finding.verdict])
    if code == UNDECIDED and not config.getoption("--harness-strict"):
        pytest.skip(line_of(finding))
    if code != AS_CLAIMED:
        pytest.fail(line_of(finding), pytrace=False)
