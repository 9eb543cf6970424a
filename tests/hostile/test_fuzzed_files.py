"""Every parser of outside files, on files that hypothesis makes: it reads them, or refuses them in one line.

Two kinds of files: right ones of which bytes were changed, and right forms with values that nobody expects. FUZZ=2000
tries so many of each.
"""

import io
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from hostile_core import forked
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from harness.base.errors import HarnessError, in_a_line, printable_line
from harness.data.own import arrays
from harness.data.own.listing import list_folder
from harness.models.denoising.weight_files import read_file
from harness.models.model_file import About, load_model, save_model
from harness.report.tables.table_file import load_table
from harness.search.file import load_search
from harness.store.connection import open_memory
from harness.store.merge import merge_jsonl
from harness.study.study import load_study

FORKED = forked()
ROOT = Path(__file__).resolve().parent.parent.parent
quickly = settings(max_examples=int(os.environ.get("FUZZ", "50")), suppress_health_check=list(HealthCheck))
STUDY = """\
study: s
task: classification
dataset: digits
model: {kind: mnist_cnn}
protocol: {kind: digits-quick, epochs: 2}
seeds: [0, 1]
evaluate: [digits]
execution: {threads: 1}
trials:
  - name: "{compressor.kind} {compressor.stride}"
    at: conv2
    compressor: {stride: 2}
    grid: {compressor.kind: [width, spatial]}
"""
SEARCH = """\
search: small
task: classification
dataset: digits
model: mnist_cnn
protocol: {kind: digits-quick, train_on: without_validation}
seeds: [0]
sites: [conv2]
compressor: {kind: spatial}
strides: [2, 4]
objectives: [accuracy, parameters]
"""
TABLE = (ROOT / "harness" / "papers" / "feature_pooling" / "table1.yml").read_text(encoding="utf-8")
WORDS = [
    "study", "search", "task", "dataset", "model", "protocol", "seeds", "trials", "name",
    "at", "compressor", "grid", "zip", "exclude", "ablate", "evaluate", "kind", "stride",
    "execution", "threads", "sites", "strides", "objectives", "table", "columns", "rows", "label",
    "trial", "paper", "key", "unit", "source", "caption", "expect", "claims", "include",
    "inputs", "metrics", "target", "arguments", "baseline", "digits", "mnist_cnn", "conv2", "spatial",
    "accuracy",
]  # fmt: skip
WORD = st.one_of(st.sampled_from(WORDS), st.text(max_size=8))
NUMBER = st.one_of(st.integers(), st.floats(), st.sampled_from([2**63, 10**400, -1, 0, 1e308, 5e-324]))
VALUE = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBER, WORD),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(WORD, inner, max_size=4)),
    max_leaves=12,
)


def check(read):
    """Read something: it can be, or is refused in one line, as the command line prints it."""
    with suppress(HarnessError):
        try:
            read()
        except HarnessError as error:
            if len(printable_line(str(error)).splitlines()) != 1:
                raise AssertionError(repr(str(error))) from error
            raise


@st.composite
def changed(draw, data):
    """Return bytes of which a few places are others, left out, cut off or there twice."""
    found = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(found) - 1)))
        end = at + draw(st.sampled_from([1, 2, 4, 8, 64]))
        how = draw(st.sampled_from(["flip", "noise", "cut", "drop", "again"]))
        if how == "flip" and found:
            found[at] ^= 1 << draw(st.integers(0, 7))
        elif how == "noise":
            found[at:end] = draw(st.binary(max_size=8))
        elif how == "cut":
            del found[at:]
        elif how == "drop":
            del found[at:end]
        else:
            found[at:at] = found[at:end]
    return bytes(found)


def places(value, path=()):
    """Yield the path of everything inside plain data."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


@st.composite
def other(draw, data):
    """Return plain data in which a value, anywhere, is another, or is missing; or a key is misspelt."""
    found = json.loads(json.dumps(data))
    for _ in range(draw(st.integers(1, 2))):
        path = draw(st.sampled_from(list(places(found))))
        if not path:
            continue
        inside = found
        for key in path[:-1]:
            inside = inside[key]
        how = draw(st.sampled_from(["other", "other", "other", "missing", "renamed"]))
        if how == "other":
            inside[path[-1]] = draw(VALUE)
        elif how == "missing":
            del inside[path[-1]]
        elif isinstance(inside, dict):
            inside[draw(WORD)] = inside.pop(path[-1])
    return found


def plain(text):
    from harness.base.source import parse_source

    return parse_source(text, "f.yml").data


PARSERS = {"study": (load_study, STUDY), "search": (load_search, SEARCH), "table": (load_table, TABLE)}


@pytest.mark.parametrize("kind", PARSERS)
@quickly
@given(data=st.data())
def test_a_file_of_yaml_with_changed_bytes(kind, tmp_path_factory, data):
    read, text = PARSERS[kind]
    file = tmp_path_factory.mktemp("f") / "f.yml"
    file.write_bytes(data.draw(changed(text.encode())))
    check(lambda: read(file))


@pytest.mark.parametrize("kind", PARSERS)
@quickly
@given(data=st.data())
def test_a_file_of_yaml_with_other_values(kind, tmp_path_factory, data):
    read, text = PARSERS[kind]
    file = tmp_path_factory.mktemp("f") / "f.yml"
    file.write_text(json.dumps(data.draw(other(plain(text)))))
    check(lambda: read(file))


LINES = [
    line
    for name in ("mnist-optimiser", "denoise-quickstart")
    for line in (ROOT / "results" / "published" / f"{name}.jsonl").read_bytes().splitlines()[:1]
]


def small(line):
    """Return a published line as plain data with the beginning of what is long in it."""
    found = json.loads(line)
    found["curve"] = found["curve"][:3]
    found["samples"] = []
    return found


@quickly
@given(data=st.data())
def test_a_published_line(tmp_path_factory, data):
    line = data.draw(st.sampled_from(LINES))
    file = tmp_path_factory.mktemp("f") / "f.jsonl"
    if data.draw(st.booleans()):
        file.write_bytes(data.draw(changed(json.dumps(small(line)).encode() + b"\n")))
    else:
        file.write_text(json.dumps(data.draw(other(small(line)))) + "\n")
    with open_memory() as store:
        check(lambda: merge_jsonl(store, file))


@quickly
@given(names=st.lists(st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=4), max_size=8))
def test_a_listing_of_a_folder_of_whatever_names(names, tmp_path_factory):
    root = tmp_path_factory.mktemp("f")
    for number, parts in enumerate(names):
        path = root.joinpath(*(part.replace("/", "-").replace("\0", "0").strip(".") or "x" for part in parts))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_name(f"{path.name}{['.png', '', '.txt'][number % 3]}").touch()
        except (OSError, UnicodeEncodeError):  # a file and a folder of one name, or a name that no file can have
            continue
    for take_test in (False, True):
        check(lambda take=take_test: list_folder(root, take))


def numpy_file(**entries):
    content = io.BytesIO()
    np.savez(content, **entries)
    return content.getvalue()


ARRAYS = numpy_file(images=np.zeros((6, 8, 8), np.uint8), labels=np.arange(6) % 2, classes=np.array(["a", "b"]))
SHAPES = st.lists(st.integers(0, 6), max_size=4).map(tuple)
TYPES = st.sampled_from(["u1", "i8", "f4", "f8", "c8", "?", "M8[s]", "U3", "S2", "V4", "i1", "f2"])
ANY_ARRAY = st.tuples(SHAPES, TYPES).map(lambda pair: np.zeros(*pair))


def read_arrays(file):
    return arrays.look({"kind": "arrays", "path": str(file), "test": 0.5}).read()


@quickly
@given(content=changed(ARRAYS))
def test_arrays_with_changed_bytes(content, tmp_path_factory):
    file = tmp_path_factory.mktemp("f") / "d.npz"
    file.write_bytes(content)
    check(lambda: read_arrays(file))


@quickly
@given(images=ANY_ARRAY, labels=ANY_ARRAY, classes=ANY_ARRAY)
def test_arrays_of_whatever_shape_and_type(images, labels, classes, tmp_path_factory):
    file = tmp_path_factory.mktemp("f") / "d.npz"
    file.write_bytes(numpy_file(images=images, labels=labels, classes=classes))
    check(lambda: read_arrays(file))


@quickly
@given(data=st.data())
def test_a_saved_denoiser(tmp_path_factory, data):
    file = tmp_path_factory.mktemp("f") / "m.npz"
    config = {"model": {"kind": "dncnn"}, "compressors": {}, "task": {"kind": "denoising", "sigma": 25}}
    save_model(file, About(config), {"a.weight": torch.zeros(2, 2), "a.bias": torch.zeros(2)})
    file.write_bytes(data.draw(changed(file.read_bytes())))
    check(lambda: load_model(file))


@pytest.fixture(scope="module")
def weight_files(tmp_path_factory):
    """Return small files of weights in the formats that there are."""
    folder = tmp_path_factory.mktemp("weights")
    state = {"0.weight": torch.zeros(4, 1, 3, 3), "0.bias": torch.zeros(4), "2.weight": torch.zeros(1, 4, 3, 3)}
    torch.save(state, folder / "w.pth")
    save_file(state, folder / "w.safetensors")
    _save_mat(folder / "w.mat")
    return {file.suffix: file.read_bytes() for file in folder.iterdir()}


def _save_mat(file):
    from scipy.io import savemat

    layers = np.empty((1, 2), object)
    for place in range(2):
        weights = np.empty((1, 2), object)
        weights[0, 0], weights[0, 1] = np.zeros((3, 3, 1, 4), np.float32), np.zeros((4, 1), np.float32)
        layers[0, place] = {"type": "conv", "weights": weights}
    savemat(file, {"net": {"layers": layers}})


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
@quickly
@given(data=st.data())
def test_weights_with_changed_bytes(ending, weight_files, tmp_path_factory, data):
    file = tmp_path_factory.mktemp("f") / f"w{ending}"
    file.write_bytes(data.draw(changed(weight_files[ending])))
    try:
        read_file(str(file), frozenset({"0.weight"}))
    except Exception as error:  # noqa: BLE001 - as the border of an attempt, which is what reads such a file
        said = in_a_line(error)
    else:
        said = "read"
    assert len(said.splitlines()) == 1


def _read_and_end(file):
    try:
        read_file(file, frozenset())
    except Exception as error:  # noqa: BLE001 - as above
        sys.exit(len(in_a_line(error).splitlines()) - 1)


@settings(quickly, max_examples=max(10, quickly.max_examples // 5))
@given(data=st.data())
def test_a_matrix_file_with_changed_bytes_takes_a_process_along_at_most(weight_files, tmp_path_factory, data):
    """SciPy's reader can die of one; what reads it here is a worker, whose death costs its own attempt."""
    file = tmp_path_factory.mktemp("f") / "w.mat"
    file.write_bytes(data.draw(changed(weight_files[".mat"])))
    process = FORKED.Process(target=_read_and_end, args=(str(file),))
    process.start()
    process.join(60)
    process.kill()
    assert process.exitcode in {0, -signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS}
