"""What passes between driver and worker survives JSON; a curve that a crash cut off is read as far as it is whole."""

import json
import math
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.attempt.data import DatasetDeclaration, DatasetSplit
from harness.attempt.messages import (
    CURVE_FILE,
    RESULT_FILE,
    Artifact,
    AttemptRequest,
    AttemptResult,
    EvaluationSpec,
    Execution,
    Measure,
    Point,
    ResultValue,
    Sample,
    curve_line,
    flagged,
    read_curve,
    read_result,
    unflagged,
)
from harness.base.errors import DamagedError
from harness.base.sealed import unseal

TEXT = st.text(max_size=8)
WHOLE = st.integers(0, 2**53)
JSON = st.recursive(
    st.none() | st.booleans() | WHOLE | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
MAPPING = st.dictionaries(TEXT, JSON, max_size=3)
VALUE = st.floats().map(flagged)


def several(strategy):
    return st.lists(strategy, max_size=3).map(tuple)


def measured(kind, *before):
    """Return a strategy for what holds a value with its flag behind the fields `before`."""
    return st.builds(lambda fields, value: kind(*fields, *value), st.tuples(*before), VALUE)


POINTS = measured(Point, TEXT, TEXT, WHOLE)
EVALUATIONS = st.builds(EvaluationSpec, TEXT, TEXT, TEXT, TEXT, WHOLE, WHOLE, MAPPING)
EXECUTIONS = st.builds(Execution, TEXT, st.integers(1, 64), checkpoint_every_s=st.floats(0, 1e9))
SPLITS = st.builds(DatasetSplit, TEXT, TEXT, TEXT, WHOLE, WHOLE)
CHANNELS = st.lists(st.floats(0, 1), min_size=1, max_size=3).map(tuple)
DATASETS = st.builds(
    DatasetDeclaration,
    name=TEXT,
    description=TEXT,
    input_shape=st.tuples(WHOLE, WHOLE, WHOLE),
    classes=WHOLE,
    splits=st.dictionaries(TEXT, SPLITS, max_size=3),
    code=TEXT,
    stand_in_for=st.none() | TEXT,
    source=st.none() | MAPPING,
    normalization=st.none() | st.tuples(CHANNELS, CHANNELS),
)
REQUESTS = st.builds(
    AttemptRequest,
    uid=TEXT,
    kind=st.sampled_from(["train", "evaluate", "timing", "check"]),
    trial_key=TEXT,
    config=MAPPING,
    seed=WHOLE,
    datasets=several(DATASETS),
    evaluations=several(EVALUATIONS),
    execution=EXECUTIONS,
    folder=TEXT,
    data_root=TEXT,
    label=TEXT,
    resume_from=st.none() | TEXT,
    resume_folder=st.none() | TEXT,
    plugin_paths=several(TEXT),
    options=MAPPING,
)
RESULTS = st.builds(
    AttemptResult,
    uid=TEXT,
    state=st.sampled_from(["done", "nan", "failed", "oom"]),
    started=TEXT,
    ended=TEXT,
    execution=MAPPING,
    environment=MAPPING,
    code_digest=st.none() | TEXT,
    resumed_from=st.none() | TEXT,
    error_kind=st.none() | TEXT,
    error=st.none() | TEXT,
    curve=several(POINTS),
    results=several(measured(ResultValue, TEXT, TEXT)),
    measures=several(measured(Measure, TEXT)),
    samples=several(st.builds(Sample, TEXT, TEXT, WHOLE, st.sampled_from(["bits", "float32"]), st.binary(max_size=9))),
    artifacts=several(st.builds(Artifact, TEXT, TEXT, TEXT, WHOLE)),
)


@given(REQUESTS)
def test_a_request_comes_back_as_it_was(request_):
    assert AttemptRequest.from_json(request_.to_json()) == request_
    of_an_earlier_version = json.dumps(unseal(request_.to_json()))
    assert AttemptRequest.from_json(of_an_earlier_version) == request_


@given(REQUESTS)
def test_another_request_is_not_read(request_):
    changed = {**json.loads(request_.to_json()), "seed": request_.seed + 1}
    with pytest.raises(DamagedError, match="checksum"):
        AttemptRequest.from_json(json.dumps(changed))
    assert AttemptRequest.from_json(json.dumps(changed), checked=False).seed == request_.seed + 1


@given(RESULTS)
def test_a_result_comes_back_as_it_was(result):
    assert AttemptResult.from_json(result.to_json(), result.curve) == result


@pytest.fixture
def ended(tmp_path):
    """A folder with a result and its curve."""
    points = tuple(Point("train", "loss", step, 1e-5 * step, "ok") for step in range(5))
    result = AttemptResult("u", "done", "", "", {}, {}, None, curve=points, results=(ResultValue("e", "acc", 0.625),))
    (tmp_path / RESULT_FILE).write_text(result.to_json())
    (tmp_path / CURVE_FILE).write_text("".join(map(curve_line, points)))
    return tmp_path, result


@pytest.mark.parametrize("name", [RESULT_FILE, CURVE_FILE])
def test_no_flipped_bit_of_a_result_passes_unseen(ended, name):
    folder, result = ended
    path = folder / name
    written = path.read_bytes()
    for bit in range(0, 8 * len(written), 3):  # some bits of every byte
        flipped = bytearray(written)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        try:
            read = read_result(folder)
        except DamagedError:
            continue
        assert read == result, flipped  # an e of an exponent, say, may as well be an E


def test_a_curve_that_lacks_points_is_known(ended):
    folder, _ = ended
    whole = (folder / CURVE_FILE).read_text()
    for text in (whole[:-1], "".join(whole.splitlines(keepends=True)[:3]), ""):
        (folder / CURVE_FILE).write_text(text)
        with pytest.raises(DamagedError, match=r"its curve has \d of 5 points"):
            read_result(folder)


def test_points_that_came_after_the_end_belong_to_no_result(ended):
    """A thread of a function, or a child, may report while its worker ends: that costs no finished run."""
    folder, result = ended
    with (folder / CURVE_FILE).open("a") as file:
        file.write(curve_line(Point("train", "loss", 5, 0.5, "ok")))
    assert read_result(folder) == result


def test_a_result_of_an_earlier_version_has_no_checksum_and_is_read(ended):
    folder, result = ended
    raw = {k: v for k, v in json.loads(result.to_json()).items() if k not in {"seal", "curve", "notes"}}
    (folder / RESULT_FILE).write_text(json.dumps(raw))
    (folder / CURVE_FILE).write_text("".join(json.dumps(asdict(point)) + "\n" for point in result.curve))
    assert read_result(folder) == result


def test_the_driver_reads_no_nan():
    result = AttemptResult("u", "done", "", "", {}, {"x": math.nan}, None)
    with pytest.raises(ValueError, match="JSON"):
        result.to_json()


@given(st.floats())
def test_a_number_survives_its_flag(value):
    stored, flag = flagged(value)
    assert (stored is None) == (flag != "ok") == (not math.isfinite(value))
    back = unflagged(stored, flag)
    assert back == value or (math.isnan(back) and math.isnan(value))


def test_flags():
    assert flagged(1) == (1.0, "ok")
    assert flagged(-math.inf) == (None, "-inf")
    assert flagged(math.inf) == (None, "inf")
    assert flagged(math.nan) == (None, "nan")


@given(several(POINTS), st.data())
def test_a_curve_is_read_as_far_as_it_is_whole(tmp_path_factory, points, data):
    path = tmp_path_factory.mktemp("curve") / CURVE_FILE
    lines = [json.dumps(asdict(point), ensure_ascii=False).encode() + b"\n" for point in points]
    whole = b"".join(lines)
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])
    assert read_curve(path) == points[: whole[:cut].count(b"\n")]


def test_there_may_be_no_curve_and_no_result(tmp_path):
    assert read_curve(tmp_path / CURVE_FILE) == ()
    assert read_result(tmp_path) is None


def test_a_result_is_read_with_the_curve_beside_it(tmp_path):
    point = Point("test", "accuracy", 1, None, "nan")
    result = AttemptResult("u", "nan", "a", "b", {}, {}, "d", curve=(point,))
    (tmp_path / RESULT_FILE).write_text(result.to_json(), encoding="utf-8")
    (tmp_path / CURVE_FILE).write_text(json.dumps(asdict(point)) + '\n{"split": "te', encoding="utf-8")
    assert read_result(tmp_path) == result
