"""Published lines: the same bytes for the same contents, and a store rebuilt from them."""

import json
import math
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.attempt.metrics import Metric
from harness.base.errors import HarnessError, printable_line
from harness.base.keys import canonical_json, text_sha, trial_key
from harness.cli import main
from harness.store import merge
from harness.store.connection import open_memory, open_store
from harness.store.described import browsable
from harness.store.export import published_lines, write_jsonl
from harness.store.merge import MergeReport, files_of, merge_jsonl, merge_store, open_results
from harness.store.published import parse_line
from harness.store.queries import curve, installed, samples, snapshot, source
from harness.store.verify import verify
from harness.store.writer import add_study, end_attempt, finish_attempt, set_costs


def dump(store):
    return [line for line in store.db.conn.iterdump() if "_sqlite_migrations" not in line]


def export(store, path: Path, studies=None) -> Path:
    write_jsonl(published_lines(store, studies=studies), path)
    return path


@pytest.fixture
def full(lab):
    """A store with what counts and what does not."""
    lab.study(lab.row(2, position=0), lab.row(4, position=1))
    lab.study(lab.row(2, "the same elsewhere"), name="other", created="2026-01-05T00:00:00.000+00:00")
    set_costs(lab.store, lab.row(2).key, {"parameters": 1_199_882, "macs": 12e6})
    lab.attempt("b1")
    lab.attempt("b2", supersedes="b1")
    lab.attempt("b3", "failed", seed=1)
    lab.attempt("b4", "nan", stride=4, seed=1)
    lab.attempt("c1", kind="evaluate", weights_from="b2")
    lab.attempt("c2", kind="evaluate", weights_from="b1")
    lab.attempt("t1", kind="timing", finding={"results": (), "samples": ()})
    lab.attempt("x1", kind="check")
    lab.start("r1", seed=7)
    return lab


def test_what_a_metric_is_travels_and_is_never_forgotten(lab, tmp_path):
    metrics = (Metric("psnr_db", "dB", "higher", by_item="psnr"), Metric("loss", better="lower"))
    lab.study(replace(lab.row(2), metrics=metrics))
    lab.attempt("a1")
    lab.study(lab.row(2), created="2026-02-01T00:00:00.000+00:00")  # by a version that does not know them
    file = export(lab.store, tmp_path / "one.jsonl")
    with open_store(tmp_path / "other" / "harness.db") as other:
        merge_jsonl(other, file)
        assert [trial.metrics for trial in snapshot(other).trials.values()] == [metrics]


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ({"name": "a\nb", "better": "lower"}, "control character"),
        ({"name": "a", "better": "lower", "unit": "\x1b[31m"}, "control character"),
        ({"name": "a", "better": "lower", "by_item": ""}, "it is empty"),
        ({"name": "a", "better": "most"}, "Input should be 'higher' or 'lower'"),
    ],
)
def test_what_no_metric_can_be_is_refused(file, metric, message):
    first = json.loads(file.read_text().splitlines()[0])
    first["trial"]["metrics"] = [metric]
    with pytest.raises(ValueError, match=message):
        parse_line(json.dumps(first))


@pytest.fixture
def file(full, tmp_path):
    return export(full.store, tmp_path / "all.jsonl")


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def rewrite(path, change, number=0):
    """Change one line of a file."""
    found = lines(path)
    change(found[number])
    path.write_text("".join(canonical_json(line) + "\n" for line in found))


def test_only_what_counts_is_exported_in_a_fixed_order(full, file):
    found = lines(file)
    assert {line["uid"] for line in found} == {"b2", "b4", "c1", "t1"}
    order = [(line["trial"]["key"], line["seed"], line["kind"], line["uid"]) for line in found]
    assert order == sorted(order)


def test_a_line_names_neither_the_machine_nor_its_folders(full, tmp_path):
    full.attempt("e1", "nan", seed=5, finding={"error": "loss is nan in /home/someone/proj/net.py; see https://a.b/c"})
    text = export(full.store, tmp_path / "all.jsonl").read_text()
    assert "host" not in lines(tmp_path / "all.jsonl")[0]["environment"]
    assert "lab-7" not in text
    assert "/home/" not in text
    assert "/data" not in text
    assert "loss is nan in net.py; see https://a.b/c" in text
    assert '"numpy":"2.1"' in text


def test_a_study_alone_is_exported_with_its_places_only(full, tmp_path):
    found = lines(export(full.store, tmp_path / "other.jsonl", ["other"]))
    assert {line["uid"] for line in found} == {"b2", "c1", "t1"}
    assert {s["name"] for line in found for s in line["studies"]} == {"other"}
    with pytest.raises(HarnessError, match="no study 'mnits' is stored; did you mean 'mnist'"):
        export(full.store, tmp_path / "none.jsonl", ["mnits"])
    assert not (tmp_path / "none.jsonl").exists()


def test_an_export_after_a_merge_into_an_empty_store_is_the_same_file(full, file, tmp_path):
    with open_memory() as store:
        assert merge_jsonl(store, file) == MergeReport(added=4, known=0)
        again = export(store, tmp_path / "again.jsonl")
        assert again.read_bytes() == file.read_bytes()


def test_a_merged_store_says_what_the_first_one_said(full, file):
    with open_memory() as store:
        merge_jsonl(store, file)
        ours, theirs = snapshot(full.store), snapshot(store)
        assert theirs.trials == ours.trials
        assert theirs.study_trials == ours.study_trials
        assert theirs.evaluations == ours.evaluations
        assert theirs.datasets == ours.datasets
        by_uid = {a.uid: a for a in ours.attempts}
        for attempt in theirs.attempts:
            original = by_uid[attempt.uid]
            assert (attempt.results, attempt.measures) == (original.results, original.measures)
            assert attempt.accepted == original.accepted
            assert (attempt.supersedes, attempt.weights_from) == (original.supersedes, original.weights_from)
            assert curve(store, attempt.uid) == curve(full.store, attempt.uid)
            assert samples(store, attempt.uid) == samples(full.store, attempt.uid)
        values = [v for a in theirs.attempts for v in a.results.values()]
        assert -math.inf in values


def test_merging_twice_is_the_same_as_once(file):
    with open_memory() as store:
        merge_jsonl(store, file)
        once = dump(store)
        assert merge_jsonl(store, file) == MergeReport(added=0, known=4)
        assert dump(store) == once


def test_merging_into_the_store_it_came_from_changes_nothing(full, file):
    before = dump(full.store)
    assert merge_jsonl(full.store, file) == MergeReport(added=0, known=4)
    assert dump(full.store) == before


@pytest.mark.parametrize("uid", ["a9", "c9"])
def test_of_two_machines_that_did_one_run_the_later_one_counts(full, file, tmp_path, uid):
    with open_store(tmp_path / "second.db") as second:
        type(full)(second).attempt(uid)
        with second.writing() as conn:
            conn.execute("UPDATE attempt SET started = '2026-01-01T00:00:00.000+00:00'")
        merge_jsonl(second, file)
        # b2 supersedes b1, which was never published, and not this one: both ended well
        assert snapshot(second).runs(full.row(2).key)[0].uid == "b2"


def test_the_newest_text_of_a_study_wins_in_either_order(lab, tmp_path):
    lab.study(lab.row(2))
    lab.attempt("u1")
    old = export(lab.store, tmp_path / "old.jsonl")
    lab.study(lab.row(2, "renamed"), created="2026-02-01T00:00:00.000+00:00")
    new = export(lab.store, tmp_path / "new.jsonl")
    for order in ((old, new), (new, old)):
        with open_memory() as store:
            for path in order:
                merge_jsonl(store, path)
            (place,) = snapshot(store).study_trials
            assert (place.name, place.created) == ("renamed", "2026-02-01T00:00:00.000+00:00")


@pytest.fixture
def one_text(lab, tmp_path):
    """Return a function that makes a file of a study that was put into a store of its own, with a run of each trial."""

    def make(name, created, *places):
        with open_store(tmp_path / f"{name}.db") as store:
            here = type(lab)(store)
            rows = [here.row(stride, position=position) for stride, position in places]
            add_study(store, name="mnist", spec_yaml="study: mnist\n", created=created, trials=rows)
            for stride, _ in places:
                here.attempt(f"{name}{stride}", stride=stride)
            return export(store, tmp_path / f"{name}.jsonl")

    return make


def set_config(line, config):
    """Give a line another configuration, with its right key."""
    line["trial"].update(config=config, key=trial_key(config))


@pytest.mark.parametrize("turned", [False, True])
def test_trials_of_one_text_from_two_machines_stand_in_it_together(one_text, turned):
    files = [
        one_text("a", "2026-01-01T00:00:00.000+00:00", (2, 0)),
        one_text("b", "2026-01-02T00:00:00.000+00:00", (4, 1)),
    ]
    with open_memory() as store:
        for path in reversed(files) if turned else files:
            merge_jsonl(store, path)
        assert [place.name for place in snapshot(store).standing("mnist")] == ["pool 2", "pool 4"]


@pytest.mark.parametrize("turned", [False, True])
def test_a_trial_of_edited_code_does_not_come_back_with_a_merge(one_text, turned):
    files = [
        one_text("a", "2026-01-01T00:00:00.000+00:00", (2, 0), (4, 1)),
        one_text("b", "2026-01-02T00:00:00.000+00:00", (8, 0)),
    ]
    with open_memory() as store:
        for path in reversed(files) if turned else files:
            merge_jsonl(store, path)
        assert [place.name for place in snapshot(store).standing("mnist")] == ["pool 8", "pool 4"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: x["trial"]["config"]["protocol"].update(lr=0.5), "is not that of the configuration"),
        (lambda x: x["trial"].update(key="0" * 32), "is not that of the configuration"),
        (lambda x: x["trial"].update(key_scheme=9), "key scheme 9"),
        (lambda x: x["evaluations"][0]["condition"].update(sigma=99), "is not that of the evaluation"),
        (lambda x: x["evaluations"].clear(), "is not in the line"),
        (lambda x: x["datasets"].clear(), "were evaluated but are not in the line"),
        (lambda x: x["studies"][0].update(spec_yaml="other"), "spec_sha"),
        (lambda x: x.update(format=2), "format 2 is not known"),
        (lambda x: x.pop("format"), "format null is not known"),
        (lambda x: x.pop("seed"), "seed: Field required"),
        (lambda x: x.update(seed="0"), "seed: "),
        (lambda x: x.update(seed=2**70), "seed: Input should be less than or equal to 4294967295$"),
        (lambda x: x.update(seed=-1), "seed: Input should be greater than or equal to 0$"),
        (lambda x: x.update(threads=2**63), "threads: Input should be less than or equal to 9223372036854775807$"),
        (lambda x: x["datasets"][0].update(images=2**63), "datasets.0.images: Input should be less than"),
        (lambda x: x["artifacts"][0].update(bytes=2**63), "artifacts.0.bytes: Input should be less than"),
        (lambda x: x["studies"][0].update(position=-1), "studies.0.position: Input should be greater than"),
        (lambda x: x["curve"][0].__setitem__(2, -1), "curve.0.2: Input should be greater than or equal to 0$"),
        (
            lambda x: x["curve"].append([*x["curve"][0][:3], 9.5, "ok"]),
            "two values of 'accuracy' on 'test' at step 100",
        ),
        *[
            (lambda x, name=name: x[name].append(x[name][0]), f"the {what} '.*' occurs twice$")
            for name, what in (
                ("studies", "study"),
                ("datasets", "data"),
                ("evaluations", "evaluation"),
                ("results", "result"),
                ("measures", "measure"),
                ("samples", "values"),
                ("artifacts", "artifact"),
            )
        ],
        (lambda x: x["trial"].update(metrics=[{"name": "a", "better": "lower"}] * 2), "the metric 'a' occurs twice$"),
        (lambda x: x["artifacts"][0].update(kind="\x1b[2J"), r"artifacts.0.kind: '\\x1b\[2J' cannot be a name"),
        (lambda x: x.update(started="2026-01-02T01:00:00.001+00:00"), r"it ended \(.*\) before it started \(.*\)$"),
        (lambda x: x["results"].clear(), "it ended done, and has no results$"),
        (lambda x: x.update(extra=1), "extra: "),
        (lambda x: x.update(state="failed"), "does not count"),
        (lambda x: x["curve"].append(["a", "x", 1, None, "ok"]), "does not go with the flag"),
        (lambda x: x["curve"].append(["a", "", 1, 0.5, "ok"]), "curve.*: '' cannot be a name: it is empty"),
        (lambda x: x["curve"].append(["\x1b", "x", 1, 0.5, "ok"]), r"'\\x1b' cannot be a name: it holds the control"),
        (lambda x: x["results"][0].__setitem__(1, "a\nb"), r"results.0.1: 'a\\nb' cannot be a name"),
        (lambda x: x["measures"].append(["\x9b", 1.0, "ok"]), r"'\\x9b' cannot be a name"),
        (lambda x: x["samples"][0].update(name=" "), "samples.0.name: ' ' cannot be a name: it is empty"),
        (lambda x: x["trial"]["costs"].update({"\u202e": 1.0}), r"'\\u202e' cannot be a name"),
        (lambda x: x["samples"][0].update(packed="!!!!"), "samples.0.packed"),
        (lambda x: x["samples"][0].update(count=100), "100 values as bits are 13 bytes, not 2"),
        *[
            (lambda x, name=name, text=text: x.update({name: text}), f"{name}: .* is not a time")
            for name in ("started", "ended", "ordered")
            for text in (
                "zzzz",
                "",
                "2026-02-31T00:00:00.000+00:00",
                "2026-02-01",
                "20260201T000000.000+00:00",
                "2026-02-01T00:00:00.000+05:00",
                "2026-02-01T00:00:00.000+00:00\n",
            )
        ],
        (lambda x: x["studies"][0].update(created="soon"), "studies.0.created: 'soon' is not a time"),
        (lambda x: x["studies"][0].update(added="9"), "studies.0.added: '9' is not a time"),
        *[
            (lambda x, name=name: x["studies"][0].update(name=name), "cannot be a study's name")
            for name in ("../../x", "", "/etc", "Mnist", "a b", "mnist\n", "..", "a/b", "\x1b[31mmnist", "con:", "-x")
        ],
        (lambda x: x.update(supersedes=x["uid"]), "attempt c1: supersedes names itself"),
        (lambda x: x.update(resumed_from=x["uid"]), "attempt c1: resumed_from names itself"),
        (lambda x: x.update(weights_from="b4"), "attempt c1: weights_from names b4, which is of another run"),
        (lambda x: x.update(uid="u" * 101), "uid: "),
        (lambda x: x["artifacts"][0].update(path="C:maps.npz"), "does not lie in its attempt's folder"),
        (lambda x: x["artifacts"][0].update(path="maps\x00.npz"), "does not lie in its attempt's folder"),
        (lambda x: x["artifacts"][0].update(path=""), "does not lie in its attempt's folder"),
        (lambda x: set_config(x, []), "trial.config: "),
        (lambda x: set_config(x, {"task": 1}), "the configuration has a 'task' that is not a mapping"),
        (lambda x: set_config(x, {}), "the configuration has no kind of 'task'"),
        (lambda x: set_config(x, {"task": {"kind": "c"}, "compressors": {"a": 1}}), "no kind of 'compressors.a'"),
    ],
)
def test_a_line_that_is_not_right_is_refused_and_nothing_is_taken(file, change, words):
    number = next(n for n, line in enumerate(lines(file)) if line["uid"] == "c1")
    rewrite(file, change, number)
    with open_memory() as store:
        empty = dump(store)
        with pytest.raises(HarnessError, match=words) as caught:
            merge_jsonl(store, file)
        assert str(caught.value).startswith(f"{file}:{number + 1}: ")
        assert "\n" not in str(caught.value)
        assert dump(store) == empty


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: x["results"][0].__setitem__(2, 0.123), "result"),
        (lambda x: x["results"].pop(), "result"),
        (lambda x: x["results"].append([x["results"][0][0], "made_up", 1.0, "ok"]), "result"),
        (lambda x: x["curve"][0].__setitem__(3, 0.123), "curve"),
        (lambda x: x["curve"].pop(), "curve"),
        (lambda x: x["measures"][0].__setitem__(1, 0.5), "measure"),
        (lambda x: x["samples"][0].update(packed="AAA="), "value of an image"),
        (lambda x: x["artifacts"][0].update(sha256="d" * 64), "artifact"),
        (lambda x: x.update(code_digest="other"), "code_digest"),
        (lambda x: x.update(started="2026-01-01T00:00:00.000+00:00"), "started"),
        (lambda x: x.update(ordered="2027-01-01T00:00:00.000+00:00"), "ordered"),
        (lambda x: x.update(supersedes=None), "supersedes"),
    ],
)
def test_one_attempt_cannot_have_two_findings(full, file, change, words):
    """Neither in one file nor in a file and a store: the first would win, whichever is right."""
    number = next(n for n, line in enumerate(lines(file)) if line["uid"] == "b2")
    whole = file.read_text()
    rewrite(file, change, number)
    changed = file.read_text().splitlines(keepends=True)[number]
    said = f"attempt b2 is known already, from the store or an earlier line, with another {words}"
    with pytest.raises(HarnessError, match=f"all.jsonl:{number + 1}: {said}$"):
        merge_jsonl(full.store, file)
    file.write_text(whole + changed)
    with open_memory() as store:
        with pytest.raises(HarnessError, match=f"all.jsonl:5: {said}$"):
            merge_jsonl(store, file)
        assert snapshot(store).attempts == ()


def test_a_curve_in_another_order_is_the_same_curve(full, file):
    """A point that stands there twice says nothing new."""
    rewrite(file, lambda x: x.update(curve=[x["curve"][0], *reversed(x["curve"])]))
    assert merge_jsonl(full.store, file) == MergeReport(added=0, known=4)


@pytest.mark.parametrize("name", ["a\x1b[2Jb", "a\nb", " "])
def test_a_trials_name_of_an_earlier_version_is_taken_in_shown_escaped_and_named(file, name):
    rewrite(file, lambda x: x["studies"][0].update(trial_name=name))
    with open_memory() as store:
        assert merge_jsonl(store, file).added == 4
    listed = CliRunner().invoke(main, ["results", "list", "--from", str(file)])
    assert (listed.exit_code, printable_line(name) in listed.output, "\x1b" in listed.output) == (0, True, False)
    (fault,) = verify([file]).faults
    assert fault.startswith(f"{file}: study 'mnist': trial '{printable_line(name)}' cannot have this name: it ")


@pytest.mark.parametrize("circle", [("b4", "b5"), ("b4", "b5", "b6")])
def test_attempts_that_supersede_each_other_are_refused(full, file, circle):
    """Otherwise none of them counted: the run would be lost without a word."""
    found = lines(file)
    pattern = next(line for line in found if line["uid"] == "b4")
    others = [{**pattern, "uid": uid, "supersedes": circle[n]} for n, uid in enumerate(circle[1:])]
    pattern["supersedes"] = circle[-1]
    file.write_text("".join(canonical_json(line) + "\n" for line in (*found, *others)))
    with open_memory() as store:
        with pytest.raises(HarnessError, match=r"all.jsonl:\d: attempt b4: supersedes names .* back to this attempt"):
            merge_jsonl(store, file)
        assert snapshot(store).attempts == ()


@pytest.mark.parametrize("text", ["[" * 200_000, '{"format":' + "[" * 200_000, '{"a":' * 200_000])
def test_a_line_of_nothing_but_brackets_is_refused(file, text):
    file.write_text(f"{file.read_text()}{text}\n")
    with open_memory() as store, pytest.raises(HarnessError, match=r"all\.jsonl:5: not JSON"):
        merge_jsonl(store, file)


def test_a_configuration_that_is_nested_too_deeply_is_refused(file):
    number = 1
    found = file.read_text().splitlines()
    found[number] = found[number].replace('"protocol":{', '"protocol":{"x":' + "[" * 400 + "]" * 400 + ",")
    file.write_text("\n".join(found))
    with open_memory() as store, pytest.raises(HarnessError, match=r"all\.jsonl:2: ") as caught:
        merge_jsonl(store, file)
    assert "\n" not in str(caught.value)


def test_a_line_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(merge, "_LONGEST_LINE", 2**24)
    path = tmp_path / "zero.jsonl"
    path.symlink_to("/dev/zero")
    with open_memory() as store, pytest.raises(HarnessError, match=r"zero\.jsonl:1: the line is longer than 16 MiB"):
        merge_jsonl(store, path)


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x["studies"][0].update(name="x" * 10**6),
        lambda x: x.update({"y" * 10**6: 1}),
        lambda x: x.update(format="z" * 10**6),
        lambda x: x.update(started="9" * 10**6),
    ],
)
def test_a_message_does_not_repeat_a_megabyte_of_what_is_wrong(file, change):
    rewrite(file, change)
    with open_memory() as store, pytest.raises(HarnessError, match=r"all\.jsonl:1: ") as caught:
        merge_jsonl(store, file)
    assert len(str(caught.value)) < 1000


def test_a_file_that_was_cut_off_is_refused(file):
    whole = file.read_bytes()
    file.write_bytes(whole[:-100])
    with open_memory() as store:
        with pytest.raises(HarnessError, match=r":4: .*cut off"):
            merge_jsonl(store, file)
        assert snapshot(store).attempts == ()
        file.write_bytes(whole[:-1])  # only the last line end is missing: nothing is lost
        assert merge_jsonl(store, file).added == 4


@pytest.mark.parametrize("content", [b"[1]\n", b"nonsense\n", b'{"format": 1}\n', b"\xff\xfe\n"])
def test_a_file_of_something_else_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "x.jsonl"
    path.write_bytes(content)
    with open_memory() as store, pytest.raises(HarnessError, match=r"x\.jsonl:") as caught:
        merge_jsonl(store, path)
    assert "\n" not in str(caught.value)


def test_one_uid_cannot_be_two_attempts(full, file):
    rewrite(file, lambda line: line.update(seed=9))
    with pytest.raises(HarnessError, match="in the store with another run"):
        merge_jsonl(full.store, file)


@pytest.mark.parametrize("state", ["running", "lost"])
def test_an_attempt_whose_end_was_not_seen_here_is_taken_in(full, file, tmp_path, state):
    with open_store(tmp_path / "second.db") as second:
        type(full)(second).start("b2")
        if state == "lost":
            end_attempt(second, "b2", "lost", "lost", "its driver or worker died", "2026-01-02T00:30:00.000+00:00")
        assert merge_jsonl(second, file) == MergeReport(added=4, known=0)
        assert merge_jsonl(second, file) == MergeReport(added=0, known=4)
        assert export(second, tmp_path / "again.jsonl").read_bytes() == file.read_bytes()


@pytest.mark.parametrize(("state", "how"), [("failed", {}), ("lost", {"seed": 3}), ("lost", {"kind": "check"})])
def test_an_attempt_that_ended_otherwise_or_is_another_is_refused(full, file, tmp_path, state, how):
    with open_store(tmp_path / "second.db") as second:
        type(full)(second).start("b2", **how)
        end_attempt(second, "b2", state, state, "it died", "2026-01-02T00:30:00.000+00:00")
        with pytest.raises(HarnessError, match="in the store with another run, kind or state"):
            merge_jsonl(second, file)


def test_a_store_is_merged_as_its_export_would_be(full, file, path, tmp_path):
    with open_memory() as store:
        assert merge_store(store, path).added == 4
        assert export(store, tmp_path / "again.jsonl").read_bytes() == file.read_bytes()


def test_results_are_opened_from_a_store_a_file_a_folder_or_several(full, file, path, tmp_path):
    other = export(full.store, tmp_path / "other.jsonl", ["other"])
    for given, attempts in (
        (path, 9),
        (file, 4),
        (tmp_path, 4),
        ([other], 3),
        ([other, file], 4),
        ([other, path], 4),
    ):
        with open_results(given) as store:
            assert len(snapshot(store).attempts) == attempts, given


def test_results_that_are_not_there_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    for given in (tmp_path / "empty", tmp_path / "no.jsonl", tmp_path / "no.db", []):
        with pytest.raises(HarnessError):
            open_results(given)


@pytest.mark.parametrize("reader", [open_results, files_of, verify, lambda paths: browsable(paths).__enter__()])
def test_everyone_who_reads_refuses_an_empty_folder_in_the_same_words(tmp_path, reader):
    with pytest.raises(HarnessError, match=r"holds no published results \(\*\.jsonl\)$"):
        reader([tmp_path])
    with pytest.raises(HarnessError, match=r"no\.db: no results database here"):
        reader([tmp_path / "no.db"])


def test_an_interrupted_export_leaves_the_file_as_it_was(full, file):
    before = file.read_bytes()

    def broken():
        yield "{}"
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_jsonl(broken(), file)
    assert file.read_bytes() == before
    assert list(file.parent.glob(".*.tmp")) == []


PATCH = "diff --git a/net.py b/net.py\n+ # by someone, in /home/someone\n"


@pytest.fixture
def sourced(lab):
    """A store of two runs from one repository, with all that was installed."""
    lab.study()
    new = {"installed": {"numpy": "2.1", "someones-own": "0.1"}, "packages": {"numpy": "2.1"}}
    new["study"] = {"commit": "c0ffee", "dirty": True, "diff": text_sha(PATCH)}
    for seed in (0, 1):
        lab.start(f"u{seed}", seed=seed, source=PATCH)
        result = lab.result(f"u{seed}")
        assert finish_attempt(lab.store, replace(result, environment={**result.environment, **new}))
    return lab


def test_what_was_not_committed_stays_in_the_store_unless_it_is_asked_for(sourced, tmp_path):
    assert sourced.count("source") == sourced.count("installed") == sourced.count("env") == 1
    plain = export(sourced.store, tmp_path / "plain.jsonl").read_text()
    for kept in ("net.py", "someone", "someones-own", "/home", "lab-7"):
        assert kept not in plain, kept
    for line in lines(tmp_path / "plain.jsonl"):
        assert line["format"] == 1
        assert line["environment"]["study"] == {"commit": "c0ffee", "dirty": True, "diff": text_sha(PATCH)}
        assert line["environment"]["packages"] == {"numpy": "2.1"}
    whole = tmp_path / "whole.jsonl"
    write_jsonl(published_lines(sourced.store, studies=None, with_source=True), whole)
    first, second = (line["environment"] for line in lines(whole))
    assert (first["study"]["patch"], first["installed"]["someones-own"]) == (PATCH, "0.1")
    assert second == lines(tmp_path / "plain.jsonl")[1]["environment"], "each text is there once"
    assert "lab-7" not in whole.read_text()
    for file, patch in ((tmp_path / "plain.jsonl", None), (whole, PATCH)):
        with open_memory() as store:
            merge_jsonl(store, file)
            for attempt in snapshot(store).attempts:
                assert source(store, attempt.environment["study"]["diff"]) == patch
                assert bool(installed(store, attempt.environment["installed"])) == (patch is not None)
            assert export(store, tmp_path / "again.jsonl").read_text() == plain
    rewrite(whole, lambda line: line["environment"]["study"].update(patch="another"))
    with open_memory() as store, pytest.raises(HarnessError, match="not the one that its SHA-256 names"):
        merge_jsonl(store, whole)


def test_an_environment_of_an_earlier_version_is_the_row_that_it_was(lab, tmp_path):
    """So that a store and lines from before know each other's environments."""
    lab.study()
    lab.attempt("u1")
    result = lab.result("u1")
    ((sha, rest),) = lab.store.db.conn.execute("SELECT sha, packages_json FROM env")
    assert sha == text_sha(canonical_json(result.environment))
    assert json.loads(rest) == {"cache": "/home/someone/.cache", "driver": None, "packages": {"numpy": "2.1"}}
    assert snapshot(lab.store).attempts[0].environment == result.environment | {"dirty": False}


def test_a_text_that_was_altered_is_found(sourced, path):
    with sourced.store.writing() as conn:
        conn.execute("UPDATE source SET text = text || '+'")
        conn.execute("""UPDATE installed SET packages_json = '{"numpy":"2.2"}'""")
    faults = verify([path]).faults
    assert len([fault for fault in faults if "its SHA-256 differs" in fault]) == 2


def test_a_file_is_read_line_by_line(file, tmp_path):
    """What is in memory at once is a line, not the file."""
    line = next(line for line in lines(file) if line["uid"] == "b4")
    path = tmp_path / "large.jsonl"
    with path.open("w") as large:
        for number in range(60):
            curve_of_one = [["train", "loss", step, step / 7 + number, "ok"] for step in range(1_000)]
            large.write(canonical_json({**line, "uid": f"u{number}", "seed": number, "curve": curve_of_one}) + "\n")
    with open_store(tmp_path / "large.db") as store:
        merge_jsonl(store, file)  # imports what it needs
        tracemalloc.start()
        try:
            assert merge_jsonl(store, path).added == 60
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < path.stat().st_size
