"""Attacks do what their papers say: iterated ones win over one step, all stay within ε, and agree with ART to the bit.

`python tests/tasks/make_attack_vectors.py` made `attack_vectors.npz` with adversarial-robustness-toolbox 1.20.1.
"""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from make_attack_vectors import CASES, by_art
from small_classifier import digits, golden_network, trained

from harness.attempt.messages import AttemptRequest, Execution
from harness.base.errors import HarnessError
from harness.base.sealed import sha256_of
from harness.classical import bm3d
from harness.models.build import build_model
from harness.tasks.attacked import Attacked
from harness.tasks.attacks import perturbed
from harness.tasks.defences import build_defence
from harness.trial.conditions import ATTACKS, SHIPPED, Blur, Bm3d, Trained

CPU = torch.device("cpu")
VECTORS = Path(__file__).parent / "attack_vectors.npz"


@pytest.fixture(scope="module")
def data():
    return digits()


@pytest.fixture(scope="module")
def network(data):
    return trained(*data[0])


def made(kind, **options):
    return ATTACKS[kind].model_validate(options)


def changed(network, images, labels, condition, training=None):
    return Attacked(condition, network, training, {}, CPU)(images.to(torch.uint8), labels)


@pytest.fixture
def accuracy(network, data):
    def measure(kind, **options):
        images, labels = data[1]
        condition = made(kind, **options).canonical()
        with torch.no_grad():
            logits = network(changed(network, images, labels, condition))
        return float((logits.argmax(1) == labels).double().mean())

    return measure


def test_iterated_attacks_win_over_one_step_and_noise_hurts_least(accuracy):
    assert accuracy("clean") > 0.9
    at = {"epsilon": 24}
    found = {kind: accuracy(kind, **at) for kind in ("fgsm", "bim")}
    found["pgd"] = accuracy("pgd", steps=20, restarts=2, **at)
    assert found["pgd"] <= found["bim"] <= found["fgsm"] < 0.7
    assert accuracy("uniform_noise", **at) > found["fgsm"] + 0.2
    assert accuracy("fgsm", epsilon=8) > found["fgsm"]


def test_a_large_epsilon_leaves_nothing(accuracy):
    assert accuracy("pgd", epsilon=64, steps=20) < 0.02


def test_more_restarts_never_help_the_classifier(accuracy):
    one, three = (accuracy("pgd", epsilon=16, steps=5, restarts=count) for count in (1, 3))
    assert three <= one


@pytest.mark.parametrize("epsilon", [0.5, 2.7, 8, 64])
@pytest.mark.parametrize("kind", ["fgsm", "bim", "pgd", "uniform_noise"])
def test_images_stay_within_epsilon_and_the_scale_and_whole(network, data, kind, epsilon):
    images, labels = data[1][0][:20], data[1][1][:20]
    short = {} if kind in ("fgsm", "uniform_noise") else {"steps": 3}
    found = perturbed(images, labels, made(kind, epsilon=epsilon, **short), [network])
    assert torch.equal(found, found.round())
    assert float((found - images).abs().max()) <= epsilon
    assert 0 <= float(found.min()) <= float(found.max()) <= 255
    plain = perturbed(images, labels, made(kind, epsilon=epsilon, round=False, **short), [network])
    assert 0 < float((plain - images).abs().max()) <= epsilon + 1e-4


@pytest.mark.parametrize("kind", ["bim", "pgd", "uniform_noise"])
def test_an_image_depends_on_no_other_of_its_batch(network, data, kind):
    images, labels = data[1][0][:12], data[1][1][:12]
    attack = made(kind, epsilon=12, **({} if kind == "uniform_noise" else {"steps": 4}))
    together = perturbed(images, labels, attack, [network])
    alone = torch.cat([perturbed(images[i : i + 1], labels[i : i + 1], attack, [network]) for i in range(12)])
    assert float((together != alone).float().mean()) < 0.01  # signs of gradients that are all but zero
    turned = perturbed(images.flip(0), labels.flip(0), attack, [network]).flip(0)
    assert float((together != turned).float().mean()) < 0.01


def test_random_starts_follow_from_the_seed(network, data):
    images, labels = data[1][0][:5], data[1][1][:5]
    first, again, other = (
        perturbed(images, labels, made("uniform_noise", epsilon=9, seed=seed), [network]) for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_universal_perturbation_is_one_for_all_images(network, data):
    train, (images, labels) = data

    def training(count, size):
        for start in range(0, count, size):
            stop = min(start + size, count)
            yield train[0][start:stop], train[1][start:stop]

    condition = made("universal", epsilon=48, images=300, epochs=3).canonical()
    found = changed(network, images, labels, condition, training)
    inner = (images > 48) & (images < 207)  # where nothing is cut off
    moved = torch.where(inner, found - images, torch.nan)
    spread = moved.nan_to_num(-1e9).amax(0) - moved.nan_to_num(1e9).amin(0)
    assert float(spread[inner.any(0)].abs().max()) == 0
    assert float((found - images).abs().max()) <= 48
    right = (network(found).argmax(1) == labels).double().mean()
    noise = network(changed(network, images, labels, made("uniform_noise", epsilon=48).canonical())).argmax(1) == labels
    assert right < noise.double().mean() - 0.1
    with pytest.raises(HarnessError, match="crafted on training images, and this model is not trained"):
        changed(network, images, labels, condition)


# ---- denoisers ---------------------------------------------------------------------------------------------------


def test_who_knows_the_denoiser_does_more_harm(accuracy):
    behind = {"epsilon": 24, "denoiser": {"kind": "blur", "size": 3}}
    assert accuracy("bim", knowledge="aware", **behind) < accuracy("bim", **behind)


def test_an_unaware_attack_is_that_without_a_denoiser_denoised(network, data):
    images, labels = data[1][0][:9], data[1][1][:9]
    blur = {"kind": "blur", "sigma": 0.8}
    attacked = changed(network, images, labels, made("fgsm", epsilon=8).canonical())
    found = changed(network, images, labels, made("fgsm", epsilon=8, denoiser=blur).canonical())
    assert torch.equal(found, build_defence(Blur(**blur), {}, CPU)(attacked))


def test_a_blur_is_the_mean_or_the_gaussian_that_it_says():
    from scipy.ndimage import gaussian_filter, uniform_filter

    pixels = torch.rand(2, 3, 20, 24, generator=torch.Generator().manual_seed(0)) * 255
    images = pixels.numpy()
    for blur, expected in (
        (Blur(kind="blur", size=5), [uniform_filter(each, (0, 5, 5), mode="mirror") for each in images]),
        (Blur(kind="blur", sigma=1.25), [gaussian_filter(each, (0, 1.25, 1.25), mode="mirror") for each in images]),
    ):
        assert np.allclose(build_defence(blur, {}, CPU)(pixels).numpy(), np.stack(expected), atol=1e-3)


def test_bm3d_has_a_gradient_and_the_worse_of_both_is_no_better_than_either():
    generator = torch.Generator().manual_seed(1)
    pixels = (torch.rand(1, 1, 20, 20, generator=generator) * 255).round()
    denoise = build_defence(Bm3d(kind="bm3d", sigma=20), {}, CPU)
    weights = torch.randn(2, 400, generator=generator) / 400

    def logits(images):
        return images.flatten(1) @ weights.T

    label = torch.tensor([int(logits(denoise(pixels)).argmax())])
    given = pixels.clone().requires_grad_()
    logits(denoise(given))[0, 0].backward()
    # Along a shift of all pixels no patch changes its group, so that the difference has no jumps.
    by_difference = (logits(denoise(pixels + 0.5)) - logits(denoise(pixels - 0.5)))[0, 0]
    assert torch.allclose(given.grad.sum(), by_difference, rtol=0.02, atol=1e-4)
    assert bool((given.grad != 0).all())

    def margin(gradient):
        condition = made(
            "fgsm", epsilon=4, denoiser={"kind": "bm3d", "sigma": 20}, knowledge="aware", gradient=gradient
        ).canonical()
        found = logits(changed(logits, pixels, label, condition))[0]
        return float(found[1 - label[0]] - found[label[0]])

    own, identity, worse = map(margin, ("own", "identity", "worse"))
    assert worse == max(own, identity)
    assert own != identity


def test_the_gradient_through_bm3d_keeps_the_memory_of_one_image_and_has_the_same_bits():
    images = (torch.rand(3, 3, 24, 24, generator=torch.Generator().manual_seed(2)) * 255).round()
    denoise = build_defence(Bm3d(kind="bm3d", sigma=20), {}, CPU)
    kept = []

    def packed(tensor):
        kept.append(tensor.nbytes)
        return tensor

    pixels = images.clone().requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(packed, lambda tensor: tensor):
        denoised = denoise(pixels)
    assert sum(kept) <= 4 * pixels.nbytes  # of the groups, each of 8 or 32 patches at every third pixel, nothing
    denoised.square().sum().backward()

    for image, gradient in zip(images, pixels.grad, strict=True):
        alone = image[None].clone().requires_grad_()
        bm3d(alone[0], 20).clamp(0, 255).square().sum().backward()
        assert torch.equal(gradient, alone.grad[0])


@pytest.fixture
def run(tmp_path):
    """Return a trained denoiser as an attempt leaves it: the digest and the file of its weights, and the network."""
    config = {
        "task": {"kind": "denoising", "sigma": {"from": 0.0, "to": 20.0}},
        "model": {"kind": "dncnn", "channels": 1, "depth": 3, "width": 4, "norm": "none"},
        "compressors": {},
    }
    torch.manual_seed(3)
    denoiser = build_model(config)
    torch.save(denoiser.state_dict(), tmp_path / "weights.pt")
    request = AttemptRequest("u", "train", "k", config, 0, (), (), Execution(), str(tmp_path), "")
    (tmp_path / "request.json").write_text(request.to_json())
    return sha256_of(tmp_path / "weights.pt"), tmp_path / "weights.pt", denoiser.eval()


def test_a_trained_run_denoises_as_its_network_does(run, data):
    digest, file, denoiser = run
    pixels = data[1][0][:3]
    defence = build_defence(Trained(kind="run", weights=digest), {digest: str(file)}, CPU)
    with torch.no_grad():
        assert torch.equal(defence(pixels), denoiser(pixels, torch.full((3,), 10.0)).clamp(0, 255))
    with pytest.raises(HarnessError, match=r"takes images of 1 channel\(s\), these have 3"):
        defence(pixels.expand(-1, 3, -1, -1))


def test_weights_that_are_not_those_that_were_planned_with_are_refused(run):
    digest, file, _ = run
    with pytest.raises(HarnessError, match="are not here: train or save it again"):
        build_defence(Trained(kind="run", weights="0" * 64), {digest: str(file)}, CPU)
    file.write_bytes(b"other")
    with pytest.raises(HarnessError, match="is not what this was planned with"):
        build_defence(Trained(kind="run", weights=digest), {digest: str(file)}, CPU)
    with pytest.raises(HarnessError, match="'s:t:0' is not trained yet"):
        build_defence(Trained(kind="run", awaits="s:t:0"), {}, CPU)


def test_the_shipped_denoiser_takes_noise_out():
    digest = sha256_of(SHIPPED)
    clean = torch.full((1, 3, 32, 32), 120.0)
    noisy = clean + 20 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    found = build_defence(Trained(kind="shipped", weights=digest, sigma=20), {digest: str(SHIPPED)}, CPU)(noisy)
    assert float((found - clean).square().mean()) < 0.3 * float((noisy - clean).square().mean())


# ---- beside ART --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_fgsm_and_bim_equal_stored_vectors_of_art_to_the_bit(name):
    network, images, labels = golden_network()
    kind, options = CASES[name]
    found = perturbed(images, labels, made(kind, round=False, **options), [network])
    with np.load(VECTORS) as stored:
        assert np.array_equal(found.numpy().astype(np.float32), images.numpy() + stored[name].astype(np.float32) / 8)


@pytest.mark.parametrize("name", CASES)
def test_fgsm_and_bim_equal_art_where_it_is_installed(name):
    pytest.importorskip("art.attacks.evasion")
    network, images, labels = golden_network()
    kind, options = CASES[name]
    found = perturbed(images, labels, made(kind, round=False, **options), [network])
    assert np.array_equal(found.numpy(), by_art(name))


def test_options_that_mean_the_same_have_one_form():
    canonical = partial(lambda kind, **options: made(kind, **options).canonical())
    assert canonical("clean") == {"kind": "clean"}
    assert canonical("clean", denoiser="none") == {"kind": "clean"}
    assert canonical("fgsm", epsilon=8, knowledge="aware", gradient="identity") == {"kind": "fgsm", "epsilon": 8.0}
    blur = {"kind": "blur", "size": 3}
    assert canonical("fgsm", epsilon=8, denoiser=blur, gradient="identity") == {
        "kind": "fgsm",
        "epsilon": 8.0,
        "denoiser": blur,
    }
    aware = canonical("bim", epsilon=2, steps=10, denoiser=blur, knowledge="aware")
    assert aware == {"kind": "bim", "epsilon": 2.0, "denoiser": blur, "knowledge": "aware"}
