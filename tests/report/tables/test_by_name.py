"""Tables of ours: rows are what a study calls by their names, and each stands against its own."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from records import changed, entry, snapshot, table1, train, whole, whole_samples

from harness.base.keys import trial_key
from harness.cost.count import count_config
from harness.report import (
    expected_configs,
    filled,
    load_our_table,
    load_paper_table,
    load_table,
    our_tables,
    render,
    table_document,
)
from harness.study.study import load_study

ROOT = Path(__file__).resolve().parents[3]
CONFIGS = expected_configs(table1())
MINE = """\
table: mine
caption: A table of ours.
match: by name
study: mnist
expect: {task: classification, dataset: mnist}
select: mean
columns:
  - {key: acc, label: A, source: result, metric: accuracy, unit: percent, format: {digits: 2}, better: higher}
  - {key: par, label: P, source: cost, metric: parameters, unit: count, format: {digits: 0}, better: lower}
rows:
  - label: Baseline
  - label: "Feature pooling ({kind}), {reduction}"
    grid: {reduction: [50%, 75%], kind: [spatial pooling, top-k]}
    against: "Feature pooling (spatial pooling), {reduction}"
  - label: Never run
"""


@pytest.fixture
def mine(tmp_path):
    file = tmp_path / "mine.yml"
    file.write_text(MINE)
    return load_table(file)


def document(table, stored, **options):
    table, expected, settings = filled(table, stored)
    return table_document(stored, table, expected, settings, **options)


def test_rows_are_the_studys_trials_with_its_seeds(mine):
    made = document(mine, whole(), samples=whole_samples)
    assert [row.label for row in made.rows] == [
        "Baseline",
        "Feature pooling (spatial pooling), 50%",
        "Feature pooling (top-k), 50%",
        "Feature pooling (spatial pooling), 75%",
        "Feature pooling (top-k), 75%",
    ]
    assert made.notes[-1].lines == ("1 of 6 rows are left out, as no run of them is stored.",)
    first = made.cells[0]
    assert (first.ours, first.values, first.select) == (97.86, (97.81, 97.91), "mean")
    assert (first.match, first.protocol, first.paper) == ("exact", "mnist-paper", None)
    assert not made.compares
    assert "Protocol: mnist-paper." in made.notes[0].text


def test_each_row_stands_against_its_own(mine):
    (small,) = document(mine, whole(), samples=whole_samples).statistics
    assert [s.against for s in small.data] == [
        None,
        "Baseline",
        "Feature pooling (spatial pooling), 50%",
        "Baseline",
        "Feature pooling (spatial pooling), 75%",
    ]
    assert small.rows[2][0] == "Feature pooling (top-k), 50% (against Feature pooling (spatial pooling), 50%)"
    assert small.data[2].difference.mean == pytest.approx(0.15)  # percentage points: 98.11 - 97.91, 98.06 - 97.96
    assert {s.difference.tests for s in small.data[1:]} == {4}
    assert "differences in percentage points" in small.title


def test_every_format_has_it(mine):
    made = document(mine, whole(), samples=whole_samples)
    assert len(json.loads(render(made, "json"))) == 10
    assert "| Baseline" in render(made, "md")
    assert render(made, "latex").count(r"\begin{tabular}") == 2
    assert render(made, "csv").splitlines()[0].startswith("row,A [percent],P [count],A [percent] n,")


def test_the_newest_trial_of_a_name_that_has_a_run(mine):
    older, newer, planned = CONFIGS["Baseline"], *(changed(CONFIGS["Baseline"], epochs=n) for n in (2, 3))
    stored = snapshot(
        [entry("Baseline", config) for config in (older, newer, planned)],
        [train("a", older, 0, 0.91), train("b", newer, 0, 0.92)],
    )
    assert document(mine, stored).cells[0].ours == 92.0
    only = replace(stored, attempts=stored.attempts[:1])
    assert document(mine, only).cells[0].ours == 91.0


def test_nothing_of_the_study_is_stored(mine):
    stored = whole()
    other = tuple(replace(record, study="other") for record in stored.study_trials)
    assert document(mine, replace(stored, study_trials=other)).rows == ()


def test_rows_of_two_recipes_are_not_compared(mine):
    spatial = "Feature pooling (spatial pooling), 50%"
    stored = snapshot(
        [entry("Baseline"), entry(spatial, changed(CONFIGS[spatial], epochs=2), "mnist-fast")],
        [
            train("a", CONFIGS["Baseline"], 0, 0.91),
            train("b", changed(CONFIGS[spatial], epochs=2), 0, 0.92),
        ],
    )
    made = document(mine, stored)
    assert made.statistics[0].data[1].difference is None
    assert "its protocol or data are not those" in made.statistics[0].notes[-1]
    assert "Protocol: mnist-fast; mnist-paper." in made.notes[0].text


def test_what_was_changed_of_a_protocol_is_said(mine):
    shorter = changed(CONFIGS["Baseline"], epochs=2, precision="bf16")
    stored = snapshot([entry("Baseline", shorter)], [train("a", shorter, 0, 0.91)])
    assert (
        "Protocol: mnist-paper (epochs 2 instead of 5, precision bf16 instead of fp32)."
        in document(mine, stored).notes[0].text
    )


@pytest.mark.parametrize("name", [name for name in our_tables() if load_our_table(name).match == "by name"])
def test_every_row_is_a_trial_of_its_study(name, study_file):
    table = load_our_table(name)
    study = load_study(study_file(str(table.study)))
    trials = {item.name for item in study.trials}
    assert {row.trial.study for row in table.rows} == {study.name}
    assert {row.trial.name for row in table.rows} == trials
    assert {item.seeds for item in study.trials} == {table.expect.seeds or study.trials[0].seeds}


@pytest.mark.parametrize("number", [1, 2, 3])
def test_every_row_of_a_paper_table_is_what_its_study_has_under_that_name(number, study_file):
    table = load_paper_table(number)
    (name,) = {row.trial.study for row in table.rows}
    trials = {item.name: item.trial.config for item in load_study(study_file(name)).trials}
    for row, config in zip(table.rows, expected_configs(table).values(), strict=True):
        assert trials[row.trial.name] == config


def test_rivals_stand_against_feature_pooling_at_their_placement_and_stride():
    table = load_our_table("rivals")
    assert len(table.rows) == 1 + 5 * 2 * 11
    for row in table.rows[1:]:
        kind, place = row.label.split(", ", 1)
        assert table.against(row) == ("Baseline" if kind == "spatial" else f"spatial, {place}")
        if kind.startswith("narrow"):
            placement, stride = place.split(", ")
            assert placement in row.trial.name
            assert row.trial.name.split(placement)[1].find(stride) >= 0
            assert kind[len("narrow (") : -1] in row.trial.name


def test_a_narrowed_network_has_what_feature_pooling_has_where_it_stands_in(study_file):
    """To half a percent: parameters and MACs of the trials that the rows of rivals.yml name."""
    trials = {item.name: item.trial for item in load_study(study_file("cifar-rivals")).trials}
    costs = cache(lambda name: count_config(trials[name].config))
    for row in load_our_table("rivals").rows:
        if row.label.startswith("narrow"):
            what = "parameters" if "(parameters)" in row.label else "macs"
            assert costs(row.trial.name)[what] == pytest.approx(costs(row.against)[what], rel=0.005), row.label


def test_the_example_of_the_documentation(tmp_path):
    text = (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8").partition("## Tables of ours\n")[2]
    file = tmp_path / "placements.yml"
    file.write_text(text.partition("```yaml\n")[2].partition("```")[0])
    table = load_table(file)
    assert [(row.label, table.against(row)) for row in table.rows] == [
        ("Baseline", None),
        ("spatial, stride 2", "Baseline"),
        ("top-k, stride 2", "spatial, stride 2"),
        ("spatial, stride 4", "Baseline"),
        ("top-k, stride 4", "spatial, stride 4"),
    ]


def test_a_table_by_name_ignores_trials_of_other_names(mine):
    stored = whole()
    renamed = tuple(replace(r, name="x") if r.name == "Baseline" else r for r in stored.study_trials)
    assert trial_key(CONFIGS["Baseline"]) in stored.trials
    assert "Baseline" not in [row.label for row in document(mine, replace(stored, study_trials=renamed)).rows]
