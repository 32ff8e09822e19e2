"""Time and memory of pieces of work."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from ditflow.utils.memory import MIB, peak_memory


def wait(device: torch.device) -> None:
    """Until the device has done all it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(device: torch.device, work: Callable[[], object], repeats: int = 3) -> float:
    """The fastest of several times, the first of all left out."""
    work()
    took = []
    for _ in range(repeats):
        wait(device)
        began = time.perf_counter()
        work()
        wait(device)
        took.append(time.perf_counter() - began)
    return min(took)


class Clock:
    """Notes of phases.

    Attributes:
        seconds: each time that a phase was gone through.
        gib: at most held in a phase, weights included.
    """

    def __init__(self, device: torch.device):
        self.device = device
        self.clear()

    def clear(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.gib: dict[str, float] = defaultdict(float)

    @contextmanager
    def noted(self, phase: str) -> Iterator[None]:
        """Note what is done inside the context."""
        wait(self.device)
        with peak_memory(self.device) as peak:
            began = time.perf_counter()
            yield
            wait(self.device)
            self.seconds[phase].append(time.perf_counter() - began)
        self.gib[phase] = max(self.gib[phase], (peak.mib or 0.0) * MIB / 2**30)

    def fastest(self, phase: str) -> float:
        return min(self.seconds[phase])
