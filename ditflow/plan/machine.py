"""The memory that a run has to fit into."""

from typing import NamedTuple

import psutil
import torch

from ditflow.errors import DitflowError


class Machine(NamedTuple):
    """A memory.

    Attributes:
        name: for messages.
        memory: bytes.
        gpu: whether it is a GPU's, so that weights can wait in main memory.
        holds_weights: whether they are there already, and `memory` is what is free beside them.
    """

    name: str
    memory: int
    gpu: bool
    holds_weights: bool = False


def this_machine(device: str = "auto", loaded: bool = False) -> Machine:
    """The GPU of this name, of `auto` the first; without one the main memory that is free.

    Args:
        device: as `load_backbone` takes it.
        loaded: whether the weights are.

    Raises:
        DitflowError: the system does not tell.
    """
    if torch.cuda.is_available() and device != "cpu":
        index = None if device == "auto" else torch.device(device).index
        properties = torch.cuda.get_device_properties(index or 0)
        return Machine(properties.name, properties.total_memory, True)
    return Machine("this machine", _available(), False, loaded)


def _available() -> int:
    try:
        return psutil.virtual_memory().available
    except (psutil.Error, OSError) as error:
        raise DitflowError("memory is not known here; give --memory, in GiB.") from error
