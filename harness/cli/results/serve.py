"""`harness results serve`: a store in the browser, by datasette; a search, by Optuna's dashboard."""

from contextlib import ExitStack
from http.client import OK
from pathlib import Path

import click

from harness.base.errors import HarnessError
from harness.base.extras import needs
from harness.cli.common import plugins_option, sources_option
from harness.cli.terminal import echo_as_it_is, unguarded


@click.command()
@click.option("--search", "search_file", metavar="FILE", help="Optuna's dashboard of this search instead.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen; 0.0.0.0: to everybody.")
@click.option("--port", type=click.IntRange(0, 65535), default=8001, show_default=True, help="The port; 0: any.")
@click.option("--open", "opens", is_flag=True, help="Open a browser.")
@click.option("--get", "path", metavar="PATH", help="Print what is at PATH and end, without a server.")
@plugins_option
@sources_option
def serve(
    search_file: str | None, host: str, port: int, opens: bool, path: str | None, sources: tuple[Path, ...]
) -> None:
    """Look at results in the browser: tables with their descriptions, facets, and queries that are asked often.

    It only reads, also while a study runs. Needs the extra `dash` (pip install 'ablation-harness[dash]').

    \b
    harness results serve --open
    harness results serve --from results/published
    harness results serve --search ablations/cifar-search.yml
    harness results serve --get /harness/v_run.json
    """
    if search_file is not None:
        _serve_search(search_file, host, port, opens, path, sources)
        return
    needs("datasette")
    from datasette.cli import cli as datasette

    from harness.store.described import browsable

    with browsable(sources) as (database, metadata):
        if path is not None:
            echo_as_it_is(_page(database, metadata, path) + "\n")
            return
        where = ["--host", host, "--port", str(port), *(["--open"] if opens else [])]
        with unguarded():
            datasette.main(["serve", str(database), "--metadata", str(metadata), *where], standalone_mode=False)


def _page(database: Path, metadata: Path, path: str) -> str:
    """Return what datasette has at a path. Raises HarnessError if it has nothing."""
    import asyncio
    import io
    import json
    from contextlib import redirect_stdout

    from datasette.app import Datasette

    app = Datasette([str(database)], metadata=json.loads(metadata.read_text(encoding="utf-8")))
    with redirect_stdout(io.StringIO()):  # it prints the trace of a page that is not there
        answer = asyncio.run(app.client.get(path, follow_redirects=True))
    if answer.status_code != OK:
        raise HarnessError(f"nothing is at '{path}'; /{database.stem}.json lists what there is")
    return str(answer.text)


def _serve_search(file: str, host: str, port: int, opens: bool, path: str | None, sources: tuple[Path, ...]) -> None:
    needs("optuna_dashboard", "optuna", extra="dash")
    from harness.data.locations import data_root
    from harness.execution.options import Options
    from harness.search.dashboard import dashboard, get
    from harness.search.file import load_search
    from harness.search.ledger import Ledger
    from harness.store.merge import open_results

    search = load_search(file)
    with ExitStack() as stack:
        store = stack.enter_context(open_results(sources))
        app = dashboard(Ledger(search, store, Options(db=sources[0], data_root=data_root())))
        if path is not None:
            click.echo(get(app, path))
            return
        from wsgiref.simple_server import make_server

        server = stack.enter_context(make_server(host, port, app))
        address = f"http://{host}:{server.server_port}/dashboard/"
        click.echo(f"Optuna's dashboard of '{search.name}': {address}  (Ctrl-C ends it)")
        if opens:
            click.launch(address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            click.echo("")
