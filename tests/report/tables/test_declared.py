"""What a study of functions declares to be its metrics, from its stored text."""

from harness.report.tables.declared import better_of, declared_metrics


def test_of_a_study_and_its_entries():
    text = "study: s\nmetrics: {loss: minimize, accuracy: maximize}\ntrials:\n  - {name: A, metrics: {f1: maximize}}\n"
    assert list(declared_metrics(text).items()) == [("loss", "lower"), ("accuracy", "higher"), ("f1", "higher")]


def test_a_study_has_the_last_word_over_what_it_includes():
    text = "study: s\nmetrics: {a: maximize}\n---\n# included: base.yml\nmetrics: {a: minimize, b: minimize}\n"
    assert declared_metrics(text) == {"a": "higher", "b": "lower"}


def test_of_a_mapping_given_from_python():
    assert declared_metrics('{"study": "s", "metrics": {"a": "minimize"}}') == {"a": "lower"}


def test_what_declares_nothing():
    for text in ("study: s\ntrials: 3\n", "- a\n- b\n", "a: [", "metrics: 3\n"):
        assert declared_metrics(text) == {}


def test_what_is_better_is_as_declared_else_as_the_name_says():
    text = "study: s\nmetrics: {bits: minimize, loss: maximize}\n"
    found = [better_of(name, text) for name in ("bits", "loss", "val_loss", "rmse_db", "accuracy")]
    assert found == ["lower", "higher", "lower", "lower", "higher"]
