"""What the corpus of hostile files is made of, and what runs a part of it in a process of its own.

A case is refused: exit code 2 and one line. To add one, write a function that makes the file in the current folder and
returns the words of the command, or what is to be called, and name it with `@case`.
"""

import contextlib
import importlib
import io
import json
import multiprocessing
import os
import resource
import struct
import traceback
import zipfile
import zlib
from pathlib import Path

import numpy as np

CASES = {}
HEAD = "study: s\ntask: classification\ndataset: {data}\nmodel: {model}\nprotocol: digits-quick\nseeds: [0]\n"
ONE = "trials:\n  - {name: A, at: conv2, compressor: {kind: spatial, stride: 2}}\n"
GIB = 2**30


def case(name):
    """Enter a function into the corpus."""

    def enter(make):
        CASES[name] = make
        return make

    return enter


class Payload:
    """Unpickled it leaves a file beside the folder, which nothing may touch."""

    def __reduce__(self):
        return Path.write_text, (Path("../pwned"), "x")


def study(text, *more):
    Path("s.yml").write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    return ["run", "grid", "s.yml", "--dry-run", *more]


def planned(data="digits", model="mnist_cnn", rest=ONE):
    return study(HEAD.format(data=data, model=model) + rest)


def npy(header, data=b"", version=1):
    text = header if isinstance(header, bytes) else header.encode()
    text += b" " * (-(len(text) + 11 + 2 * (version > 1)) % 64) + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(text)) + text + data


def archive(name, members):
    with zipfile.ZipFile(name, "w") as packed:
        for member, data in members.items():
            packed.writestr(member, data)


def good():
    buffers = {"images.npy": np.zeros((8, 8, 8), np.uint8), "labels.npy": np.arange(8) % 2}
    for member, array in buffers.items():
        buffer = io.BytesIO()
        np.save(buffer, array)
        buffers[member] = buffer.getvalue()
    return buffers


def endless_zeros(gibibytes):
    """Return a deflated stream of so many GiB of zeros: one block of 16 MiB, again and again."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(2**24)) + packer.flush(zlib.Z_FULL_FLUSH)
    return block * (64 * gibibytes) + zlib.compressobj(9, zlib.DEFLATED, -15).flush()


def bomb(path, member, before=b"", gibibytes=3):
    """Write a zip of a few MB whose only member unpacks to some GiB, after some bytes."""
    first = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = first.compress(before) + first.flush(zlib.Z_FULL_FLUSH) + endless_zeros(gibibytes)
    size, name = len(before) + gibibytes * GIB, member.encode()
    local = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 8, 0, 0, 0, len(packed), size, len(name), 0) + name
    central = struct.pack(
        "<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 8, 0, 0, 0, len(packed), size, len(name), 0, 0, 0, 0, 0, 0
    )
    place = len(local) + len(packed)
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, len(central) + len(name), place, 0)
    Path(path).write_bytes(local + packed + central + name + end)


SHAPE = "{'descr': '|u1', 'fortran_order': False, 'shape': (%s), }"
"""The header of an array of bytes, as NumPy writes it."""


PRELOAD = (
    "torch", "scipy.io", "h5py", "PIL.Image", "safetensors.torch", "optuna", "matplotlib",
    "harness.cli.run", "harness.cli.search", "harness.cli.report", "harness.cli.results.move", "harness.cli.denoise",
    "harness.data.acquire", "harness.data.own.arrays", "harness.data.own.folder", "harness.data.own.scaled",
    "harness.denoiser.denoisers", "harness.denoiser.pictures", "harness.execution.driver", "harness.execution.preview",
    "harness.models.denoising.dncnn", "harness.report", "harness.report.tables.table_file", "harness.search.run",
    "harness.search.file", "harness.store.take", "harness.store.export", "harness.study.study",
)  # fmt: skip


def forked():
    """Return a context whose processes are forked from one that has imported what all of them need."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["hostile_texts", "hostile_data", "hostile_networks", *PRELOAD])
    return context


def run_group(corpus, names, folder, outcomes):
    """Run cases of the modules `corpus` in this process, each in a folder of its own; a JSON file says how each ended.

    It has the exit code, what was said, the peak memory in MiB, and what lies beside the case's folder.
    """
    for variable in ("HOME", "XDG_CACHE_HOME", "HARNESS_DATA"):
        os.environ[variable] = str(folder / "home")
    for part in corpus:
        importlib.import_module(part)
    resource.setrlimit(resource.RLIMIT_DATA, (6 * GIB, 6 * GIB))  # what fails a test is not to take the machine along
    for number, name in enumerate(names):
        work = folder / str(number) / "case"
        work.mkdir(parents=True)
        os.chdir(work)
        made, said = CASES[name](), io.StringIO()
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            code = _refused(made, said)
        (peak,) = (line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
        beside = sorted(path.name for path in work.parent.iterdir())
        found = {"code": code, "said": said.getvalue(), "peak_mib": int(peak) // 1024, "beside": beside}
        (outcomes / f"{name.replace('/', ' ')}.json").write_text(json.dumps(found))


def _refused(made, said):
    from harness.base.errors import HarnessError
    from harness.cli import main

    try:
        if callable(made):
            made()
        else:
            main(made)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 0 if error.code is None else 1
    except HarnessError as error:
        said.write(f"Error: {error}\n")
        return 2
    except BaseException:  # noqa: BLE001 - whatever it is, the test shows it
        said.write(traceback.format_exc())
        return 1
    return 0
