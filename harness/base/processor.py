"""What the system tells of the processor, for whoever names it or goes by it."""

import platform
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path


@cache
def processor_facts() -> Mapping[str, str]:
    """Return what Linux tells of the first core, by its words ("model name", "flags"); nothing elsewhere."""
    said: dict[str, str] = {}
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            said.setdefault(name.strip(), value.strip())
    return said


def computes_bf16() -> bool:
    """Return whether the processor has instructions for bf16, or does not tell: without them it is computed in fp32."""
    facts = processor_facts()
    flags = facts.get("flags", facts.get("Features", "")).split()
    return not flags or not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(flags)


def processor_name() -> str:
    """Return the processor's model, e.g. "AMD EPYC", or what the system has instead."""
    return processor_facts().get("model name") or platform.processor() or platform.machine()
