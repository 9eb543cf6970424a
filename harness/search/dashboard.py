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
from harness.search.ledger import Ledger
from harness.search.proposals import distribution

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
_STATES = {"failed": TrialState.FAIL, "pruned": TrialState.PRUNED}


def dashboard(ledger: Ledger) -> App:
    """Return the dashboard of a search as a WSGI application. Raises HarnessError if it is not installed."""
    needs("optuna_dashboard")
    from optuna_dashboard import wsgi

    app: App = wsgi(study(ledger))
    return app


def study(ledger: Ledger) -> optuna.storages.InMemoryStorage:
    """Return Optuna's storage of one study: each known outcome of the search as a trial."""
    ledger.open()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.InMemoryStorage()
    search = ledger.search
    made = optuna.create_study(
        study_name=search.name,
        storage=storage,
        directions=list(search.directions),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        made.set_metric_names(list(search.objectives))
    choices = {place: distribution(choice) for place, choice in search.space.choices.items()}
    for placement in ledger.outcomes:
        made.add_trial(_trial(ledger, placement, choices))
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


def _trial(ledger: Ledger, placement: Any, choices: Mapping[str, Any]) -> FrozenTrial:
    outcome = ledger.outcomes[placement]
    values = list(ledger.objectives(placement)) if outcome.state not in _STATES else []
    state = _STATES.get(outcome.state, TrialState.COMPLETE if values else TrialState.FAIL)
    return create_trial(
        state=state,
        values=values or None,
        params=ledger.search.space.chosen(placement),
        distributions=dict(choices),
        user_attrs={
            "placement": ledger.search.space.words(placement),
            "key": ledger.search.space.trial(placement).key,
            "attempts": list(outcome.attempts),
            "diverged": outcome.state == "nan",
        },
        intermediate_values=dict(enumerate(outcome.epochs, 1)),
    )
