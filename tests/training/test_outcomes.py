"""How an attempt can end: done, nan, failed, oom; always with a result in its folder, never with an exception."""

import json
from pathlib import Path

import pytest
import torch

from harness.attempt.messages import CURVE_FILE, LOCK_FILE, LOG_FILE, STOP_FILE, WEIGHTS_FILE, read_result
from harness.base.locks import LockHeldError, hold, is_held
from harness.training.attempt import run_attempt

DIVERGES = {"kind": "sgd", "learning_rate": 1e6}


def ended(request):
    folder = Path(request.folder)
    state = run_attempt(folder)
    result = read_result(folder)
    assert result.state == state
    assert not is_held(folder / LOCK_FILE)
    return result


@pytest.fixture(scope="module")
def done(ask):
    request = ask()
    return request, ended(request)


@pytest.fixture(scope="module")
def diverged(ask):
    request = ask(epochs=3, optimizer=DIVERGES)
    return request, ended(request)


def test_a_result_says_what_was_run_on_what(done):
    request, result = done
    assert (result.state, result.uid, result.error) == ("done", request.uid, None)
    assert result.execution["threads"] == 1
    assert result.environment["torch"] == torch.__version__
    assert result.environment["device"]
    assert len(result.code_digest) == 16
    assert result.started < result.ended
    assert {m.name for m in result.measures} == {"train_seconds", "images_per_s", "peak_memory_bytes"}


def test_peak_memory_is_that_of_a_process_that_holds_the_network(done):
    peak = next(m.value for m in done[1].measures if m.name == "peak_memory_bytes")
    weights = (Path(done[0].folder) / WEIGHTS_FILE).stat().st_size
    assert 2 * weights < peak < 64 * 2**30


def test_a_loss_that_is_no_number_is_a_result(diverged):
    _, result = diverged
    assert (result.state, result.error) == ("nan", None)
    found = {r.name: r for r in result.results}
    assert (found["loss"].value, found["loss"].flag) == (None, "nan")
    assert found["accuracy"].flag == "ok"
    assert result.samples[0].count == 71
    assert {a.kind for a in result.artifacts} == {"weights", "maps"}


def test_a_diverged_attempt_ends_with_the_epoch_and_its_curve_is_valid_json(diverged):
    request, result = diverged
    assert max(p.step for p in result.curve) == 6
    assert any(p.flag == "nan" for p in result.curve)
    for line in (Path(request.folder) / CURVE_FILE).read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)


@pytest.mark.parametrize(
    ("layer", "state", "kind", "words"),
    [
        ("raise RuntimeError('two\\nlines')", "failed", "RuntimeError", "two lines"),
        ("raise MemoryError('no more')", "oom", "MemoryError", "no more"),
        ("return torch.empty(2**58)", "oom", "RuntimeError", "can't allocate memory"),
        ("raise torch.OutOfMemoryError('CUDA out of memory')", "oom", "OutOfMemoryError", "CUDA out of memory"),
        ("return 1 / 0", "failed", "ZeroDivisionError", "division by zero"),
        ("raise ValueError", "failed", "ValueError", "ValueError"),
    ],
)
def test_a_layer_that_raises_is_told_in_one_line_with_the_trace_in_a_file(ask, own_layer, layer, state, kind, words):
    request = ask(**own_layer(layer))
    result = ended(request)
    assert (result.state, result.error_kind) == (state, kind)
    assert words in result.error
    assert "\n" not in result.error
    trace = (Path(request.folder) / LOG_FILE).read_text()
    assert "Traceback" in trace
    assert kind in trace
    assert result.results == result.curve == ()


def test_a_layer_that_fails_in_training_leaves_no_half_result(ask, own_layer):
    plugin = own_layer("return Breaks()")
    with Path(plugin["plugin_folders"][0], "own_layer.py").open("a") as file:
        file.write(
            "\n\nclass Breaks(nn.Module):\n    seen = 0\n\n    def forward(self, x):\n        self.seen += 1\n"
            "        if self.seen == 3:\n            raise OSError('the disk is gone')\n        return x\n"
        )
    result = ended(ask(**plugin))
    assert (result.state, result.error) == ("failed", "OSError: the disk is gone")
    assert result.results == ()


def test_a_precision_that_a_cpu_does_not_have_is_refused(ask):
    result = ended(ask(precision="tf32"))
    assert (result.state, result.error_kind) == ("failed", "HarnessError")
    assert result.error == "precision 'tf32' needs a GPU: a CPU has no such numbers"


def test_a_plugin_that_was_edited_since_it_was_planned_is_refused(ask, own_layer):
    plugin = own_layer("return nn.Identity()")
    request = ask(**plugin)
    file = Path(plugin["plugin_folders"][0]) / "own_layer.py"
    file.write_text(file.read_text().replace("nn.Identity()", "nn.Dropout(0.1)"))
    result = ended(request)
    assert result.state == "failed"
    assert "edited" in result.error


def test_a_stop_that_was_asked_for_ends_at_a_checkpoint(ask):
    request = ask(epochs=1000)
    (Path(request.folder) / STOP_FILE).touch()
    result = ended(request)
    assert (result.state, result.error, result.results) == ("interrupted", None, ())
    assert (Path(request.folder) / "checkpoint.pt").exists()


def test_an_attempt_is_made_by_one_process_at_a_time(ask):
    request = ask()
    with hold(Path(request.folder) / LOCK_FILE), pytest.raises(LockHeldError):
        run_attempt(Path(request.folder))
    assert read_result(Path(request.folder)) is None


def weights_of(request):
    """Return the options of an attempt at evaluating an attempt's weights."""
    folder = Path(request.folder)
    (digest,) = (a.sha256 for a in read_result(folder).artifacts if a.path == WEIGHTS_FILE)
    return {"weights_folder": str(folder), "weights_sha256": digest}


def test_weights_are_evaluated_anew_to_the_same_values(ask, done):
    request, first = done
    again = ended(ask("evaluate", options=weights_of(request)))
    assert (again.state, again.curve, again.artifacts) == ("done", (), ())
    assert (again.results, again.samples) == (first.results, first.samples)


def test_a_check_repeats_a_training_to_the_bit(ask, done):
    again = ended(ask("check"))
    assert (again.results, again.samples, again.curve) == (done[1].results, done[1].samples, done[1].curve)


def test_evaluating_weights_that_are_gone_fails_in_one_line(ask, tmp_path):
    result = ended(ask("evaluate", options={"weights_folder": str(tmp_path), "weights_sha256": "f" * 64}))
    assert (result.state, result.error_kind) == ("failed", "FileNotFoundError")


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_damaged_weights_are_not_evaluated_but_set_aside(ask, done, tmp_path, place):
    options = weights_of(done[0])
    content = bytearray((Path(options["weights_folder"]) / WEIGHTS_FILE).read_bytes())
    content[int(place * len(content))] ^= 1
    (tmp_path / WEIGHTS_FILE).write_bytes(content)
    result = ended(ask("evaluate", options={**options, "weights_folder": str(tmp_path)}))
    assert (result.state, result.error_kind, result.results) == ("failed", "DamagedError", ())
    assert "weights.pt is not what was written: its SHA-256 differs" in result.error
    assert [path.name for path in tmp_path.glob("*.pt")] == ["damaged-weights.pt"]
