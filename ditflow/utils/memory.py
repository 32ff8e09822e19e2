"""Peak memory of a piece of work."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

MIB = 2**20


class Peak:
    """What a piece of work needed at most, in MiB; None where the system does not tell."""

    mib: float | None = None


@contextmanager
def peak_memory(device: torch.device) -> Iterator[Peak]:
    """Measure the work inside the context.

    On a GPU, what torch allocated there at most; on a CPU, the process' resident memory at most
    (Linux only), which includes weights and libraries.
    """
    peak = Peak()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        try:
            yield peak
        finally:
            peak.mib = torch.cuda.max_memory_allocated(device) / MIB
        return
    reset = _reset_high_water()
    try:
        yield peak
    finally:
        peak.mib = _high_water() if reset else None


def _reset_high_water() -> bool:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _high_water() -> float | None:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return None
