"""The memory that a run has to fit into."""

from typing import NamedTuple

import psutil
import torch

from ditflow.backbones.loading import default_device
from ditflow.errors import DitflowError


class Machine(NamedTuple):
    """A memory.

    Attributes:
        name: for messages.
        memory: bytes that are free.
        gpu: whether it is a GPU's, so that weights can wait in main memory.
        holds_weights: whether they are there already, and `memory` is what is free beside them.
    """

    name: str
    memory: int
    gpu: bool
    holds_weights: bool = False


def this_machine(device: str = "auto", loaded: bool = False) -> Machine:
    """What is free of the GPU of this name, of `auto` this process' own, and what torch keeps of
    it for later; without one, of the main memory.

    Args:
        device: as `load_backbone` takes it.
        loaded: whether the weights are there already.

    Raises:
        DitflowError: the system does not tell.
    """
    gpu = gpu_of(device)
    if gpu is None:
        return Machine("this machine", _available(), False, loaded)
    free, _ = torch.cuda.mem_get_info(gpu)
    free += torch.cuda.memory_reserved(gpu) - torch.cuda.memory_allocated(gpu)
    return Machine(torch.cuda.get_device_name(gpu), free, True, loaded)


def gpu_of(device: str) -> torch.device | None:
    """The GPU that `load_backbone` takes by this name; None of anything else, and of one that is
    not there, which it refuses."""
    name = default_device() if device == "auto" else device
    kind, _, index = name.partition(":")
    if kind != "cuda" or not torch.cuda.is_available():
        return None
    number = int(index) if index.isdecimal() else 0
    return torch.device("cuda", number) if number < torch.cuda.device_count() else None


def _available() -> int:
    try:
        return psutil.virtual_memory().available
    except (psutil.Error, OSError) as error:
        raise DitflowError("memory is not known here; give --memory, in GiB.") from error
