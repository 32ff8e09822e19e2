"""Processors and GPUs, and the number formats that attention works with on them."""

import os
from collections.abc import Iterator

import torch
import torch.nn.functional as F

from ditflow.doctor.finding import Finding
from ditflow.errors import DitflowError, reason_of
from ditflow.plan.machine import this_machine
from ditflow.plan.report import GIB

DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def look_at_devices() -> Iterator[Finding]:
    """The CPU, every GPU, and what each computes attention in."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        memory = f"{this_machine('cpu').memory / GIB:.1f} GiB of memory free"
    except DitflowError:
        memory = "free memory not known"
    yield Finding("cpu", f"{cores} cores, {memory}")
    yield look_at_dtypes(torch.device("cpu"))
    gpus = [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    for gpu in gpus:
        properties = torch.cuda.get_device_properties(gpu)
        said = f"{properties.name}, {properties.total_memory / GIB:.1f} GiB"
        yield Finding(str(gpu), said)
        yield look_at_dtypes(gpu)
    if torch.backends.mps.is_available():
        yield Finding("mps", "Apple's GPU; used where --device mps says so")
        yield look_at_dtypes(torch.device("mps"))
    if not gpus:
        built = torch.version.cuda or torch.version.hip
        remedy = (
            "check the driver (nvidia-smi or rocm-smi) and CUDA_VISIBLE_DEVICES"
            if built
            else "for one, install torch as https://pytorch.org/get-started says"
        )
        said = f"none is seen by torch{'' if built else ', which is built for none'}"
        yield Finding("gpu", f"{said}: CogVideoX would take hours", remedy)


def look_at_dtypes(device: torch.device) -> Finding:
    """Attention and its gradient tried in each format."""
    tried = {str(dtype).removeprefix("torch."): works(device, dtype) for dtype in DTYPES}
    said = [f"{name} {'ok' if reason is None else reason}" for name, reason in tried.items()]
    if device.type == "cpu" and tried["float16"] is None:
        said[-1] = "float16 not taken on a CPU"  # `load_backbone` refuses it
    remedy = ""
    if tried["float32"] is not None:
        remedy = "reinstall torch: float32 attention is wrong or fails"
    elif device.type != "cpu" and tried["bfloat16"] is not None:
        remedy = "use --dtype float16 or float32"
    return Finding(f"{device} attention", ", ".join(said), remedy, needed=device.type == "cpu")


def works(device: torch.device, dtype: torch.dtype) -> str | None:
    """None if attention and its gradient are right on this device in this format, or why not.

    They are compared with those of the CPU in float64.
    """
    generator = torch.Generator().manual_seed(0)
    exact = torch.randn(1, 2, 16, 64, generator=generator, dtype=torch.float64)
    exact = exact.to(dtype).double()
    try:
        value, gradient = _attention(exact.to(device, dtype))
    except (RuntimeError, TypeError) as error:
        return f"fails ({reason_of(error)[:80]})"
    right = _attention(exact)
    for own, other in zip((value, gradient), right, strict=True):
        tolerance = (1e-4 if dtype == torch.float32 else 0.05) * other.abs().max()
        if not (own.double().cpu() - other).abs().max() <= tolerance:
            return "gives wrong numbers"
    return None


def _attention(tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The output, and the gradient of its sum of squares."""
    tokens = tokens.detach().requires_grad_()
    made = F.scaled_dot_product_attention(tokens, tokens, tokens)
    (gradient,) = torch.autograd.grad(made.square().sum(), tokens)
    return made.detach(), gradient
