"""Hostile networks: denoisers as `harness model save` writes them, weights that others publish."""

import hashlib
import json
import os
import pickle
import struct
from pathlib import Path

import numpy as np
from hostile_core import GIB, SHAPE, Payload, archive, bomb, case, npy

# Denoisers as `harness model save` writes them


def denoiser(model="m.npz"):
    from PIL import Image

    Image.new("L", (16, 16)).save("p.png")
    return ["denoise", "p.png", "--model", model, "--sigma", "25"]


def about(model="dncnn", options=(), **changes):
    config = {
        "model": {"kind": model, **dict(options)},
        "compressors": {},
        "task": {"kind": "denoising", "sigma": 25},
    }
    said = {"format": 1, "config": config, "trained_on": "", "origin": "", "uid": "", "results": {}}
    text = json.dumps(said | changes)
    return npy(SHAPE % f"{len(text)},", text.encode())


OBJECTS = "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
TEXT = "{'descr': '<U3', 'fortran_order': False, 'shape': (1,), }"
for _name, _members in {
    "objects": {"about.npy": npy(OBJECTS, pickle.dumps([Payload()]))},
    "a claim of a terabyte": {"about.npy": about(), "w.npy": npy(SHAPE % "1099511627776,")},
    "a model that is none": {"about.npy": about("../x")},
    "a model of code": {"about.npy": about("os:system")},
    "deep JSON": {"about.npy": npy(SHAPE % "200000,", b"[" * 200_000)},
    "a number of 5,000 digits": {"about.npy": npy(SHAPE % "5001,", b"9" * 5001)},
    "a format that is a list": {"about.npy": about(format=[])},
    "a header of 5,000 brackets": {"about.npy": about(), "w.npy": npy("(" * 5_000)},
    "a header that does not end": {"about.npy": about(), "w.npy": npy("{" + "'" * 3)},
    "no weights": {"about.npy": about()},
    "huge options": {"about.npy": about(options={"width": 10**9, "depth": 10**6})},
    "names that lead out": {"about.npy": about(), "../../x.npy": npy(SHAPE % "1,", b"x")},
    "a member that is not an array": {"about.npy": about(), "x": b"x"},
    "a text": {"about.npy": about(), "x.npy": npy(TEXT, b"x" * 12)},
}.items():  # fmt: skip

    def _saved(members=_members):
        archive("m.npz", members)
        return denoiser()

    case(f"denoiser: {_name}")(_saved)


@case("denoiser: a zip bomb")
def _():
    bomb("m.npz", "w.npy", npy(SHAPE % f"{3 * GIB},"))
    return denoiser()


@case("denoiser: a bomb behind a small header")
def _():
    bomb("m.npz", "about.npy", npy(SHAPE % "5,"))
    return denoiser()


@case("denoiser: a pipe")
def _():
    os.mkfifo("m.npz")
    return denoiser()


# Published weights


def weights(name, content):
    """Return what reads a file of weights, as a network's worker does."""
    if isinstance(content, bytes):
        Path(name).write_bytes(content)
    else:
        import torch

        torch.save(content, name)

    def read():
        from harness.base.errors import HarnessError, in_a_line
        from harness.models.denoising.dncnn import DnCnn
        from harness.models.denoising.published import load_published
        from harness.trial.denoisers import DnCnnOptions

        try:
            load_published(DnCnn({}, DnCnnOptions(depth=3, width=4)), _sha(name), {_sha(name): name})
        except Exception as error:  # as the border of an attempt, which is what reads such a file
            raise HarnessError(in_a_line(error)) from error

    return read


def _sha(name):
    return hashlib.sha256(Path(name).read_bytes()).hexdigest()


def _safetensors(header):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(16)


def _lazily(build):
    def make():
        import torch

        return weights("w.pth", build(torch) if callable(build) else build)

    return make


for _name, _build in {
    "a pickle": pickle.dumps(Payload(), 2),
    "a state dict of code": {"a": Payload()},
    "no state dict": [1, 2],
    "names of numbers": lambda torch: {1: torch.zeros(2)},
    "no tensors": {"a.weight": 3},
    "a wrapper of nothing": {"state_dict": {}},
    "a view of 2^40 elements": lambda torch: {"c.weight": torch.zeros(1).expand(2**10, 2**10, 2**10, 2**10)},
    "views of 2^40 elements with a norm": lambda torch: {
        "a.weight": torch.zeros(1).expand(2**10, 2**10, 2**10, 2**10),
        **{f"b.{n}": torch.zeros(1).expand(2**30) for n in ("weight", "bias", "running_mean", "running_var")},
    },
    "a bias of another length": lambda torch: {
        f"{n}.{k}": v for n in range(3) for k, v in (("weight", torch.zeros(4, 4, 3, 3)), ("bias", torch.zeros(7)))
    },
    "right weights and wrong biases": lambda torch: {
        f"{n}.{k}": v
        for n, shape in enumerate([(4, 3, 3, 3), (4, 4, 3, 3), (3, 4, 3, 3)])
        for k, v in (("weight", torch.zeros(shape)), ("bias", torch.zeros(7)))
    },
    "right weights and a wrong norm": lambda torch: {
        **{f"{2 * n}.weight": torch.zeros(s) for n, s in enumerate([(4, 3, 3, 3), (4, 4, 3, 3), (3, 4, 3, 3)])},
        **{f"3.{k}": torch.zeros(9) for k in ("weight", "bias", "running_mean", "running_var")},
    },
    "numbers that are truth values": lambda torch: {
        f"{n}.weight": torch.zeros(s, dtype=torch.bool)
        for n, s in enumerate([(4, 3, 3, 3), (4, 4, 3, 3), (3, 4, 3, 3)])
    },
    "sparse tensors": lambda torch: {"a.weight": torch.zeros(2, 2, 3, 3).to_sparse()},
    "tensors without values": lambda torch: {"a.weight": torch.zeros(2, 2, 3, 3, device="meta")},
    "a norm before everything": lambda torch: {
        f"0.{k}": torch.zeros(2) for k in ("weight", "bias", "running_mean", "running_var")
    },
    "a number of 5,000 digits in a name": lambda torch: {f"a.{'9' * 5000}.weight": torch.zeros(2, 2, 3, 3)},
    "a word for a number in a name": lambda torch: {"a.²³.weight": torch.zeros(2, 2, 3, 3)},
    "an empty file": b"",
    "a text": b"hello\n" * 100,
    "safetensors of a huge header": struct.pack("<Q", 2**62) + b"{}",
    "safetensors of deep JSON": struct.pack("<Q", 100_000) + b'{"a":' * 20_000,
    "safetensors of tensors that lead out": _safetensors(
        {"a.weight": {"dtype": "F32", "shape": [2, 2, 3, 3], "data_offsets": [0, 2**40]}}
    ),
    "safetensors of a huge shape": _safetensors(
        {"a.weight": {"dtype": "F32", "shape": [2**40, 1, 1, 1], "data_offsets": [0, 16]}}
    ),
    "a matrix file of noise": b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM" + bytes(range(256)) * 9,
    "a matrix file of a huge array": b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM"
    + struct.pack("<II", 14, 2**31 - 8) + struct.pack("<IIII", 6, 8, 6, 0) + struct.pack("<IIii", 5, 8, 2**30, 2**30)
    + struct.pack("<II", 0x10001, 97) + struct.pack("<II", 9, 2**30),
    "an HDF5 file cut off": b"\x89HDF\r\n\x1a\n" + bytes(200),
}.items():  # fmt: skip
    case(f"weights: {_name}")(_lazily(_build))


def hdf5(build):
    def make():
        import h5py

        with h5py.File("w.mat", "w") as file:
            build(h5py, file)
        return weights("w.mat", Path("w.mat").read_bytes())

    return make


def _huge(h5py, file):
    layer = file.create_group("l")
    layer["type"] = np.array([ord(c) for c in "conv"], np.uint16)
    layer.create_dataset("w", shape=(2**20, 2**20), dtype="f4", chunks=(1024, 1024))
    layer.create_dataset("weights", data=np.array([layer["w"].ref], dtype=h5py.ref_dtype), dtype=h5py.ref_dtype)
    file.create_group("net").create_dataset(
        "layers", data=np.array([layer.ref], dtype=h5py.ref_dtype), dtype=h5py.ref_dtype
    )


def _type(h5py, file):
    layer = file.create_group("l")
    layer.create_dataset("type", shape=(2**40,), dtype="u2", chunks=(1024,))
    file.create_group("net").create_dataset(
        "layers", data=np.array([layer.ref], dtype=h5py.ref_dtype), dtype=h5py.ref_dtype
    )


def _layers(h5py, file):
    file.create_group("net").create_dataset("layers", shape=(2**40,), dtype="f8", chunks=(1024,))


def _letters(h5py, file):
    layer = file.create_group("l")
    layer["type"] = np.array([-1, 2**31 - 1], np.int64)
    file.create_group("net").create_dataset(
        "layers", data=np.array([layer.ref], dtype=h5py.ref_dtype), dtype=h5py.ref_dtype
    )


def _outside(h5py, file):
    Path("../secret").write_bytes(b"secret" * 100)
    file.create_group("net").create_dataset("layers", shape=(4,), dtype="f8", external=[("../secret", 0, 32)])


for _name, _build in {
    "a huge array": _huge,
    "a huge name": _type,
    "huge layers": _layers,
    "letters that are none": _letters,
    "layers in another file": _outside,
}.items():
    case(f"HDF5: {_name}")(hdf5(_build))
