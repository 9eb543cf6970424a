"""What a search has found, for Optuna's dashboard: a study in memory, made from the store at each start."""

import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from wsgiref.util import setup_testing_defaults

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState, create_trial

from harness.base.errors import HarnessError
from harness.base.extras import needs
from harness.search.book import Book
from harness.search.proposals import distribution

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
_STATES = {"failed": TrialState.FAIL, "pruned": TrialState.PRUNED}


def dashboard(book: Book) -> App:
    """Return the dashboard of a search as a WSGI application. Raises HarnessError where it is not installed."""
    needs("optuna_dashboard")
    from optuna_dashboard import wsgi

    app: App = wsgi(study(book))
    return app


def study(book: Book) -> optuna.storages.InMemoryStorage:
    """Return Optuna's storage of one study: each known outcome of the search as a trial."""
    book.open()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.InMemoryStorage()
    search = book.search
    made = optuna.create_study(
        study_name=search.name,
        storage=storage,
        directions=list(search.directions),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        made.set_metric_names(list(search.objectives))
    choices = {place: distribution(choice) for place, choice in search.space.choices.items()}
    for placement in book.outcomes:
        made.add_trial(_trial(book, placement, choices))
    return storage


def get(app: App, path: str) -> bytes:
    """Return what an application answers to a GET of `path`. Raises HarnessError for anything but 200."""
    said: list[str] = []
    environ: dict[str, Any] = {}
    place, _, query = path.partition("?")
    setup_testing_defaults(environ)
    environ.update(PATH_INFO=place, QUERY_STRING=query)
    body = b"".join(app(environ, lambda status, _headers, _error=None: said.append(status)))
    if not said or not said[0].startswith("200"):
        raise HarnessError(f"{path}: {said[0] if said else 'no answer'}")
    return body


def _trial(book: Book, placement: Any, choices: Mapping[str, Any]) -> FrozenTrial:
    outcome = book.outcomes[placement]
    values = list(book.objectives(placement)) if outcome.state not in _STATES else []
    state = _STATES.get(outcome.state, TrialState.COMPLETE if values else TrialState.FAIL)
    return create_trial(
        state=state,
        values=values or None,
        params=book.search.space.chosen(placement),
        distributions=dict(choices),
        user_attrs={
            "placement": book.search.space.words(placement),
            "key": book.search.space.trial(placement).key,
            "attempts": list(outcome.attempts),
            "diverged": outcome.state == "nan",
        },
        intermediate_values=dict(enumerate(outcome.epochs, 1)),
    )
