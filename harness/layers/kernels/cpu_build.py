"""Compiles the CPU kernels once and keeps their machine code on disk, so that later processes need no compiler.

numba compiles (seconds); what it makes calls nothing of numba's, so its object code alone is stored and loaded again by
llvmlite (milliseconds). The file's name tells the sources, the CPU and the compiler's version apart. It lies beside
this file, or if that is read-only in the user's cache folder; if neither can be written, each process compiles.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from llvmlite import binding

_SYMBOL = "harness_kernel"


@cache
def _identity() -> str:
    """Return a digest of all that the machine code depends on."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("cpu_*.py")):
        digest.update(path.read_bytes())
    features = binding.get_host_cpu_features().flatten()
    for word in (version("numba"), version("llvmlite"), binding.get_host_cpu_name(), features):
        digest.update(word.encode())
    digest.update(binding.get_process_triple().encode())
    return digest.hexdigest()[:16]


def cache_folders() -> Iterator[Path]:
    """Yield where machine code may lie, the best place first."""
    if given := os.environ.get("HARNESS_KERNEL_CACHE"):
        yield Path(given)
        return
    yield Path(__file__).parent / "__pycache__"
    with suppress(RuntimeError):  # no home
        yield Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "harness" / "kernels"


def object_code(entry: str, bits: int) -> bytes:
    """Return the machine code of an entry for maps of 32 (fp32) or 16 (bf16) bits, compiled if it must be."""
    name = f"{entry}{bits}-{_identity()}.o"
    for folder in cache_folders():
        with suppress(OSError):
            return (folder / name).read_bytes()
    code = _compile(entry, bits)
    for folder in cache_folders():
        with suppress(OSError):
            _write(folder / name, code)
            break
    return code


def _write(path: Path, code: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(code)
    Path(file.name).replace(path)


def _target_machine() -> Any:
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    target = binding.Target.from_triple(binding.get_process_triple())
    features = binding.get_host_cpu_features().flatten()
    return target.create_target_machine(
        cpu=binding.get_host_cpu_name(), features=features, opt=3, jit=True, reloc="default", codemodel="jitdefault"
    )


def _compile(entry: str, bits: int) -> bytes:
    from numba import njit, types

    from harness.layers.kernels import cpu_entries

    signature = (types.int64,)
    compiled = njit(signature, error_model="numpy")(getattr(cpu_entries, f"{entry}{bits}"))
    native = compiled.overloads[signature].fndesc.llvm_func_name
    machine = _target_machine()
    module = binding.parse_assembly(compiled.inspect_llvm(signature) + _ENTRY.format(symbol=_SYMBOL, native=native))
    for value in (*module.functions, *module.global_variables):
        if not value.is_declaration and value.name != _SYMBOL:
            value.linkage = "internal"
    # What nothing calls any more goes, and with it every use of Python and of numba.
    tuning = binding.create_pipeline_tuning_options(speed_level=2)
    builder = binding.create_pass_builder(machine, tuning)
    builder.getModulePassManager().run(module, builder)
    left = [f.name for f in module.functions if f.is_declaration and not f.name.startswith("llvm.")]
    if left:
        raise OSError(f"{entry}{bits} calls {', '.join(left)}, which later processes have not")
    return bytes(machine.emit_object(module))


_ENTRY = """
define void @{symbol}(i64 %call) {{
  %result = alloca ptr
  %error = alloca ptr
  %status = call i32 @{native}(ptr %result, ptr %error, i64 %call)
  ret void
}}
"""
"""A C function around numba's own: it takes out the handling of errors, of which there are none."""

_ENGINES: list[Any] = []  # own the loaded code


def load(entry: str, bits: int) -> int:
    """Return the address of an entry: a C function of the address of a call's words."""
    code = object_code(entry, bits)
    engine = binding.create_mcjit_compiler(binding.parse_assembly(""), _target_machine())
    engine.add_object_file(binding.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _ENGINES.append(engine)
    address = int(engine.get_function_address(_SYMBOL))
    if not address:
        raise OSError(f"the stored machine code of {entry}{bits} has no {_SYMBOL}")
    return address
