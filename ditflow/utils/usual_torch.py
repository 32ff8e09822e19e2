"""torch's global state as it is before anybody has changed it."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch


@contextmanager
def usual_torch() -> Iterator[None]:
    """Context in which torch's defaults are its own, whatever a caller has set: float32, the CPU,
    gradients, and tensors that can have some. After it they are as they were."""
    dtype, device = torch.get_default_dtype(), torch.get_default_device()
    torch.set_default_dtype(torch.float32)
    # Not where there is no need: it has every call of torch go through Python.
    own = nullcontext() if device.type == "cpu" else torch.device("cpu")
    try:
        with own, torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        torch.set_default_dtype(dtype)
