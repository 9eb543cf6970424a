"""Hostile data: arrays, folders of images, archives of datasets."""

import io
import os
import pickle
import struct
import tarfile
import zlib
from pathlib import Path

import numpy as np
from hostile_core import CASES, GIB, SHAPE, Payload, archive, bomb, case, endless_zeros, good, npy, planned

# Own data: arrays


def arrays(name="d.npz"):
    return planned(data=f"{{kind: arrays, path: {name}, test: 0.5}}")


OBJECTS = "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
HUGE = "{'descr': [('a', '|u1', (1099511627776,))], 'fortran_order': False, 'shape': (2,), }"
MEMBERS = {
    "objects": {"images.npy": npy(OBJECTS, pickle.dumps([Payload()]))},
    "a claim of a terabyte": {"images.npy": npy(SHAPE % "1099511627776,"), "labels.npy": npy(SHAPE % "1,", b"x")},
    "a negative shape": {"images.npy": npy(SHAPE % "-8, 8, 8")},
    "a shape of 5,000 digits": {"images.npy": npy(SHAPE % ("9" * 5000 + ","))},
    "a header that calls": {"images.npy": npy("__import__('os').system('touch ../pwned')")},
    "a header of brackets": {"images.npy": npy("(" * 60_000)},
    "a header of 5,000 brackets": {"images.npy": npy("(" * 5_000)},
    "a header that does not end": {"images.npy": npy("{" + "'" * 3)},
    "a header of half a GiB": {"images.npy": b"\x93NUMPY\2\0" + struct.pack("<I", 2**29) + b"{" * 99},
    "a type of its own": {"images.npy": npy(HUGE)},
    "members that lead out": {"../../images.npy": b"x", "/etc/labels.npy": b"x"},
    "NUL in a member": {"images\0.npy": b"x", "labels.npy": b"x"},
    "no arrays": {"images": b"x", "labels": b"y"},
    "nothing": {},
}  # fmt: skip
for _name, _members in MEMBERS.items():

    def _archived(members=_members):
        archive("d.npz", {**({} if not members else good()), **members})
        return arrays()

    case(f"arrays: {_name}")(_archived)


@case("arrays: cut off")
def _():
    archive("d.npz", good())
    data = Path("d.npz").read_bytes()
    Path("d.npz").write_bytes(data[: len(data) // 2])
    return arrays()


@case("arrays: a flipped bit")
def _():
    archive("d.npz", good())
    data = bytearray(Path("d.npz").read_bytes())
    data[200] ^= 1
    Path("d.npz").write_bytes(data)
    return arrays()


@case("arrays: a zip bomb")
def _():
    bomb("d.npz", "images.npy", npy(SHAPE % f"{3 * GIB},"))
    return arrays()


@case("arrays: a pickle")
def _():
    Path("d.npz").write_bytes(pickle.dumps(Payload()))
    return arrays()


@case("arrays: one array that claims a terabyte")
def _():
    Path("d.npz").write_bytes(npy(SHAPE % "1099511627776,"))
    return arrays()


@case("arrays: labels without end")
def _():
    archive("d.npz", {**good(), "labels.npy": npy("{'descr': '<f8', 'fortran_order': False, 'shape': (8,), }",
                                                  np.array([np.nan, np.inf, *range(6)]).tobytes())})  # fmt: skip
    return arrays()


@case("arrays: a device")
def _():
    return arrays("/dev/zero")


# Own data: folders


@case("folder: a pipe named as an image")
def _():
    for label in "ab":
        Path(f"d/{label}").mkdir(parents=True)
        os.mkfifo(f"d/{label}/1.png")
    return planned(data="{kind: folder, path: d, test: 0.5}")


@case("folder: a link to itself")
def _():
    Path("d/a").mkdir(parents=True)
    Path("d/a/up").symlink_to("..")
    return planned(data="{kind: folder, path: d, test: 0.5}")


@case("folder: a picture of 10^10 pixels")
def _():
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    for label in "ab":
        Path(f"d/{label}").mkdir(parents=True)
        for number in "12":
            Path(f"d/{label}/{number}.png").write_bytes(png)
    Path("big.png").write_bytes(png)
    return planned(data="{kind: folder, path: d, test: 0.5}")


@case("picture: 10^10 pixels")
def _():
    CASES["folder: a picture of 10^10 pixels"]()
    return ["denoise", "big.png", "--model", "bm3d", "--sigma", "25"]


# Archives of datasets


def imported(name):
    return ["data", "import", "mnist", name]


@case("archive: a tar that leads out")
def _():
    with tarfile.open("a.tar", "w") as packed:
        for name in ("../pwned", "/pwned"):
            packed.addfile(tarfile.TarInfo(name), io.BytesIO())
    return imported("a.tar")


@case("archive: a tar of links that lead out")
def _():
    with tarfile.open("a.tar", "w") as packed:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            link = tarfile.TarInfo("train-images-idx3-ubyte")
            link.type, link.linkname = kind, "../../../../etc/passwd"
            packed.addfile(link)
    return imported("a.tar")


@case("archive: a tar of a device")
def _():
    with tarfile.open("a.tar", "w") as packed:
        device = tarfile.TarInfo("train-images-idx3-ubyte")
        device.type, device.devmajor, device.devminor = tarfile.CHRTYPE, 1, 5
        packed.addfile(device)
    return imported("a.tar")


@case("archive: a zip that leads out")
def _():
    archive("a.zip", {"../pwned": b"x", "/pwned": b"x", "a\0b": b"x"})
    return imported("a.zip")


@case("archive: a gzip bomb of images")
def _():
    Path("d").mkdir()
    for name in (
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    ):
        Path(f"d/{name}.gz").write_bytes(b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + endless_zeros(2) + bytes(8))
    return imported("d")
