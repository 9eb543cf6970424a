"""The page of the published results, made once, and a browser to look at it: skipped visibly where there is none."""

import shutil
from pathlib import Path

import pytest

from harness.report.figures.results import Results
from harness.report.html import render_page
from harness.store.merge import open_results

PUBLISHED = Path(__file__).resolve().parents[3] / "results" / "published"
QUIET = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-sync",
    "--metrics-recording-only",
    "--no-pings",
]


@pytest.fixture(scope="session")
def page():
    with open_results([PUBLISHED]) as store:
        return render_page(Results(store, [PUBLISHED]))


@pytest.fixture(scope="session")
def chromium():
    found = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )
    if found is None:
        pytest.skip("no Chromium is installed (apt-get install chromium)")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=found, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def page_file(page, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(page, encoding="utf-8")
    return path


@pytest.fixture
def look(chromium, page_file):
    """Return a function that opens the page: size, colour scheme, place. At the end nothing was wrong with it."""
    wrong, contexts = [], []

    def open_page(width=1280, height=900, scheme="light", place=""):
        context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda message: wrong.append(f"{message.type}: {message.text}"))
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        tab.on("request", lambda r: None if r.url.startswith(("file:", "data:")) else wrong.append(r.url))
        tab.goto(f"{page_file.as_uri()}{place}", wait_until="load")
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []
