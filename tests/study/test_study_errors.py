"""What is wrong with a study file is said in one line: file, line, what, and the nearest right word."""

import pytest

from harness.base.errors import HarnessError
from harness.study.study import load_study
from harness.trial.datasets import DATASETS
from harness.trial.models import MODELS, ModelDeclaration, Site
from harness.trial.protocol import PROTOCOLS

DATASET_NAMES, PROTOCOL_NAMES = ", ".join(sorted(DATASETS)), ", ".join(PROTOCOLS)


def protocol(head, lines):
    """Return the head with options of the protocol, which then stand from line 7 on."""
    return head.replace("digits-quick\n", "\n  kind: digits-quick\n" + "".join(f"  {line}\n" for line in lines))


OTHERS = " (or torchvision:NAME, timm:NAME)"


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("dataset:", "datset:", 3, "unknown key 'datset'; did you mean 'dataset'?"),
        ("    compressor", "    compresor", 10, "unknown key 'compresor'; did you mean 'compressor'?"),
        ("stride:", "strid:", 10, "unknown key 'strid'; did you mean 'stride'?"),
        ("trials:", "execution:\n  thread: 2\ntrials:", 8, "unknown key 'thread'; did you mean 'threads'?"),
        ("trials:", "execution: {threads: two}\ntrials:", 7, "'execution.threads' must be a whole number, not 'two'"),
        ("trials:", "execution: [1]\ntrials:", 7, "'execution' must be a mapping, not [1]"),
        (
            "trials:",
            "execution: {processes: 0}\ntrials:",
            7,
            "'execution.processes' must be greater than or equal to 1, not 0",
        ),
        (
            "trials:",
            "execution:\n  compile: true\n  processes: 2\ntrials:",
            9,
            "'processes: 2' and 'compile: true' do not go together: leave one of them out",
        ),
        (
            "trials:",
            "execution: {processes: 99}\ntrials:",
            7,
            "'processes: 99' cannot share batches of 50: write at most 50, or a larger 'batch_size'",
        ),
        ("digits\n", "digit\n", 3, "unknown dataset 'digit'; did you mean 'digits'?"),
        ("digits\n", "\n", 3, f"'dataset' is missing; known: {DATASET_NAMES}"),
        ("digits\n", "{kind: mnist, x: 1}\n", 3, "unknown key 'x': the dataset 'mnist' has no options"),
        ("digits\n", "3\n", 3, "'dataset' must be a name or a mapping {kind: NAME, option: value}, not 3"),
        ("digits\n", "{x: 1}\n", 3, "a dataset is written NAME or {kind: NAME, option: value}, not {'x': 1}"),
        ("mnist_cnn", "mnist_cn", 4, f"unknown model 'mnist_cn'; did you mean 'mnist_cnn'?{OTHERS}"),
        ("mnist_cnn", "{kind: mnist_cnn, depth: 2}", 4, "unknown key 'depth'"),
        ("digits-quick", "digits-quik", 5, "unknown protocol 'digits-quik'; did you mean 'digits-quick'?"),
        (
            "digits-quick",
            "{epochs: 2}",
            5,
            "a protocol is written NAME or {kind: NAME, field: value}, not {'epochs': 2}",
        ),
        ("protocol: digits-quick\n", "", 7, f"'protocol' is missing; known: {PROTOCOL_NAMES}"),
        ("classification", "classificaton", 2, "unknown task 'classificaton'; did you mean 'classification'?"),
        ("spatial", "spacial", 10, "unknown compressor 'spacial'; did you mean 'spatial'?"),
        ("kind: spatial", "kind: [spatial]", 10, "unknown compressor '['spatial']'; did you mean 'spatial'?"),
        ("kind: spatial, ", "", 10, "a compressor is written {kind: NAME, stride: N}, not {'stride': 2}"),
        ("at: conv2", "at: conv3", 9, "unknown site 'conv3' of 'mnist_cnn'; did you mean 'conv2'?"),
        ("at: conv2", "at: []", 9, "'at' must be a site or a list of sites, not []"),
        ("    at: conv2\n", "", 9, "'compressor' needs 'at', the site or sites where it is"),
        ("    compressor: {kind: spatial, stride: 2}\n", "", 9, "'at' needs 'compressor', what is there"),
        ("stride: 2", "stride: 2, reduce: mean", 10, "'reduce' must be 'max' or 'min', not 'mean'"),
        ("stride: 2", "stride: 1", 10, "'stride' must be greater than or equal to 2, not 1"),
        ("stride: 2", "stride: 2.0", 10, "'stride' must be a whole number, not 2.0"),
        ("stride: 2", "stride: true", 10, "'stride' must be a whole number, not True"),
        (", stride: 2", "", 10, "'stride' is missing"),
        ("name: A\n    at", "at", 8, "'name' is missing"),
        ("name: A", "name: 3", 8, "'name' must be a word or a text, not 3"),
        ("name: A", "name: ''", 8, "'name' must not be empty"),
        ("name: A", 'name: " "', 8, "' ' cannot be a trial's name: it is empty"),
        *[
            (
                "name: A",
                f'name: "a{code}b"',
                8,
                f"'a{code}b' cannot be a trial's name: it holds the control character {code}",
            )
            for code in ("\\x1b", "\\n", "\\t", "\\x9b", "\\u202e", "\\x00")
        ],
        ("study: s", 'study: "s\\e"', 1, "'study' must match ^[a-z0-9][a-z0-9_-]*$, not 's\\x1b'"),
        ("study: s", "study: Bad Name", 1, "'study' must match ^[a-z0-9][a-z0-9_-]*$, not 'Bad Name'"),
        ("seeds: [0]", "dataset: mnist", 6, "the key 'dataset' occurs twice"),
        ("stride: 2", "stride: 2, stride: 4", 10, "the key 'stride' occurs twice"),
    ],
)
def test_wrong_words(refusal, head, one, old, new, line, message):
    text = head + one
    assert text.count(old) == 1
    assert refusal(text.replace(old, new)) == f"s.yml:{line}: {message}"


@pytest.mark.parametrize(
    ("lines", "line", "message"),
    [
        (["epoch: 2"], 7, "unknown key 'epoch'; did you mean 'epochs'?"),
        (["epochs: 2.0"], 7, "'epochs' must be a whole number, not 2.0"),
        (["epochs: 0"], 7, "'epochs' must be greater than or equal to 1, not 0"),
        (["precision: fp8"], 7, "'precision' must be 'fp32', 'tf32' or 'bf16', not 'fp8'"),
        (["optimizer:", "  kind: sgdd"], 7, "unknown kind 'sgdd' of 'optimizer'; did you mean 'sgd'?"),
        (["optimizer: sgd"], 7, "'optimizer' must be a mapping, not 'sgd'"),
        (["optimizer: {kind: sgd}"], 7, "'optimizer.learning_rate' is missing"),
        (
            ["epochs: 2", "optimizer:", "  kind: sgd", "  lerning_rate: 2"],
            10,
            "unknown key 'lerning_rate'; did you mean 'learning_rate'?",
        ),
        (["optimizer:", "  momentum: 1"], 8, "'optimizer.momentum' must be less than 1, not 1"),
        (["optimizer:", "  learning_rate: '0.1'"], 8, "'optimizer.learning_rate' must be a number, not '0.1'"),
        (["optimizer:", "  learning_rate: true"], 8, "'optimizer.learning_rate' must be a number, not True"),
        (["optimizer:", "  learning_rate: .inf"], 8, "'optimizer.learning_rate' must be a finite number, not inf"),
        (["optimizer:", "  weight_decay: .nan"], 8, "'optimizer.weight_decay' must be a finite number, not nan"),
        (
            ["normalization:", "  mean: [.nan]"],
            8,
            "an item of 'normalization.mean' must be a finite number, not nan",
        ),
        (["normalization:", "  mean: [0, 1]"], 8, "'mean' must have 1 value(s), one per channel"),
        (["schedule: constant"], 7, "'schedule' must be a mapping, not 'constant'"),
    ],
)
def test_wrong_words_in_a_protocol(refusal, head, one, lines, line, message):
    assert refusal(protocol(head, lines) + one) == f"s.yml:{line}: {message}"


NOT_3 = "stride 3 does not divide the 32 channels at 'conv2'; possible: 2, 4, 8, 16, 32"


def test_a_stride_that_does_not_divide_the_channels(refusal, head, one):
    assert refusal(head + one.replace("stride: 2", "stride: 3")) == f"s.yml:10: {NOT_3}"
    long = "trials:\n  - name: A\n    compressors:\n      conv2:\n        kind: spatial\n        stride: 3\n"
    assert refusal(head + long) == f"s.yml:12: {NOT_3}"


def test_a_stride_of_the_defaults_is_blamed_where_it_stands(refusal, head):
    text = f"{head}at: conv2\ncompressor:\n  kind: spatial\n  stride: 3\ntrials:\n  - name: A\n"
    assert refusal(text) == f"s.yml:10: {NOT_3}"


@pytest.mark.parametrize("path", ["compressor.stride", "compressors.conv2.stride"])
def test_a_stride_from_a_grid_is_blamed_there(refusal, head, one, path):
    grid = f"    grid:\n      protocol.epochs: [1]\n      {path}: [2, 3]\n"
    text = head + one.replace("name: A", "name: '{reduction}'") + grid
    assert refusal(text) == f"s.yml:13: {NOT_3} (trial '67%', which --skip-invalid skips)"


def test_an_item_of_a_grid_is_blamed_by_its_own_line(refusal, head, one):
    grid = "    grid:\n      compressor.stride:\n        - 2\n        - 0\n"
    text = head + one.replace("name: A", "name: '{compressor.stride}'") + grid
    assert refusal(text) == "s.yml:14: stride 0 is not a stride"


@pytest.mark.parametrize("path", ["compressor.stride", "compressors.conv2.stride"])
def test_a_stride_from_the_command_line_is_blamed_there(refusal, head, one, path):
    assert refusal(head + one, [f"{path}=3"]) == f"--set {path}: {NOT_3}"


def test_a_part_from_a_grid_is_blamed_there(refusal, head, one):
    grid = "    grid:\n      protocol: [digits-quick, digits-quik]\n"
    text = head + one.replace("name: A", "name: '{protocol}'") + grid
    assert refusal(text) == "s.yml:12: unknown protocol 'digits-quik'; did you mean 'digits-quick'?"


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ("{}", "'grid' must not be empty"),
        ("{compressor.stride: []}", "'grid.compressor.stride' must not be empty"),
        ("{compressor.stride: 2}", "'grid.compressor.stride' must be a list, not 2"),
        ("{compresor.stride: [2]}", "'compresor.stride' leads nowhere; did you mean 'compressor'?"),
    ],
)
def test_grids_that_cannot_be(refusal, head, one, grid, message):
    assert refusal(f"{head}{one}    grid: {grid}\n") == f"s.yml:11: {message}"


@pytest.mark.parametrize(
    ("trials", "line", "message"),
    [
        ("", 1, "'trials' is missing"),
        ("trials:\n", 7, "'trials' must be a list, not None"),
        ("trials: []\n", 7, "'trials' must not be empty"),
        ("trials: {a: 1}\n", 7, "'trials' must be a list, not {'a': 1}"),
        ("trials: [Baseline]\n", 7, "an item of 'trials' must be a mapping, not 'Baseline'"),
    ],
)
def test_trials_that_cannot_be(refusal, head, trials, line, message):
    assert refusal(head + trials) == f"s.yml:{line}: {message}"


@pytest.mark.parametrize("compressors", ["{conv2: {kind: topk, stride: 2}}", "{}"])
def test_one_entry_says_its_compressors_in_one_way(refusal, head, one, compressors):
    message = "s.yml:11: write either 'at' with 'compressor', or 'compressors', not both"
    assert refusal(f"{head}{one}    compressors: {compressors}\n") == message


def test_width_where_nothing_can_be_narrowed(refusal, head, one, monkeypatch):
    old = MODELS["mnist_cnn"]
    fixed = ModelDeclaration(old.name, old.input_shape, 10, {"conv2": Site("conv2", 32, narrowable=False)}, old.code)
    monkeypatch.setitem(MODELS, "mnist_cnn", fixed)
    assert refusal(head + one.replace("spatial", "width")) == (
        "s.yml:10: 'width' cannot go at 'conv2': nothing before it can be narrowed alone"
    )


def test_data_that_do_not_fit_the_model(refusal, head, one, monkeypatch):
    old = MODELS["mnist_cnn"]
    colour = ModelDeclaration("colour", (3, 32, 32), 100, old.sites, old.code)
    monkeypatch.setitem(MODELS, "colour", colour)
    assert refusal(head.replace("mnist_cnn", "colour") + one) == (
        "s.yml:3: the model 'colour' takes 3×32×32 images of 100 classes, 'digits' has 1×28×28 of 10"
    )
    assert DATASETS["digits"].input_shape == (1, 28, 28)


def test_a_missing_file_and_a_folder(tmp_path):
    for path, reason in (
        (tmp_path / "none.yml", "there is no such file"),
        (tmp_path, "cannot be read: Is a directory"),
    ):
        with pytest.raises(HarnessError) as caught:
            load_study(path)
        assert str(caught.value) == f"{path}: {reason}"


def test_processes_are_for_what_is_trained(refusal, tmp_path):
    (tmp_path / "fn.py").write_text("def run(context):\n    return {'y': 1.0}\n")
    function = "study: s\ntask: function\ntarget: fn.py:run\nmetrics: {y: minimize}\nseeds: [0]\n"
    assert refusal(f"{function}execution: {{processes: 2}}\ntrials: [{{name: A}}]\n") == (
        "s.yml:6: 'processes: 2' does not apply to the function 'fn.py:run', which may start its own: leave it out"
    )
    untrained = "study: s\ntask: denoising\ndataset: sample-photos\nmodel: bm3d\nseeds: [0]\nevaluate: [{sigma: 25}]\n"
    assert refusal(f"{untrained}trials: [{{name: A}}]\nexecution: {{processes: 2}}\n") == (
        "s.yml:8: 'processes: 2' does not apply to the model 'bm3d', which is not trained: leave it out"
    )
