"""Processors and GPUs, the number formats that attention works with on them, and packages."""

import os
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
import torch.nn.functional as F

from ditflow.doctor.finding import Finding
from ditflow.errors import DitflowError, reason_of
from ditflow.metrics.cotracker import REPOSITORY
from ditflow.plan.machine import this_machine
from ditflow.plan.report import GIB

DTYPES = (torch.float32, torch.bfloat16, torch.float16)

EXTRAS = {
    "bitsandbytes": ("--model.backbone.quantization", 'pip install "ditflow[quantization]"'),
    "gradio": ("ditflow app", 'pip install "ditflow[app]"'),
    "shtab": ("ditflow completion", 'pip install "ditflow[completion]"'),
}
"""Package, what needs it, and how it is had."""


def look_at_devices() -> Iterator[Finding]:
    """The CPU, every GPU, and what each computes attention in."""
    try:
        memory = f"{this_machine('cpu').memory / GIB:.1f} GiB of memory free"
    except DitflowError:
        memory = "free memory not known"
    yield Finding("cpu", f"{os.cpu_count()} cores, {memory}")
    yield look_at_dtypes(torch.device("cpu"))
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        yield Finding(
            f"cuda:{index}", f"{properties.name}, {properties.total_memory / GIB:.1f} GiB"
        )
        yield look_at_dtypes(torch.device("cuda", index))
    if torch.backends.mps.is_available():
        yield Finding("mps", "Apple's GPU; used where --device mps says so")
        yield look_at_dtypes(torch.device("mps"))
    if not torch.cuda.device_count():
        remedy = "for one, install torch as https://pytorch.org/get-started says"
        if torch.version.cuda or torch.version.hip:
            remedy = "check the driver (nvidia-smi or rocm-smi) and CUDA_VISIBLE_DEVICES"
        yield Finding(
            "gpu", "none is seen by torch: models that are not embedded would take hours", remedy
        )


def look_at_dtypes(device: torch.device) -> Finding:
    """Attention and its gradient tried in each format."""
    tried = {dtype: works(device, dtype) for dtype in DTYPES}
    said = ", ".join(f"{str(dtype)[6:]} {amiss or 'ok'}" for dtype, amiss in tried.items())
    remedy = ""
    if tried[torch.float32]:
        remedy = "reinstall torch: float32 attention is wrong or fails"
    elif device.type != "cpu" and tried[torch.bfloat16]:
        remedy = "use --dtype float16 or float32"
    return Finding(f"{device} attention", said, remedy, needed=device.type == "cpu")


def works(device: torch.device, dtype: torch.dtype) -> str:
    """What is amiss with attention's gradient on this device in this format, beside the CPU's in
    float64; empty if nothing."""
    if device.type == "cpu" and dtype == torch.float16:
        return "not taken on a CPU"  # `load_backbone` refuses it
    gradient = torch.func.grad(lambda x: F.scaled_dot_product_attention(x, x, x).square().sum())
    tokens = torch.randn(1, 2, 16, 64, generator=torch.Generator().manual_seed(0)).to(dtype)
    right = gradient(tokens.double())
    try:
        error = (gradient(tokens.to(device)).double().cpu() - right).abs().max()
    except (RuntimeError, TypeError) as raised:
        return f"fails ({reason_of(raised)[:80]})"
    tolerance = (1e-4 if dtype == torch.float32 else 0.05) * right.abs().max()
    return "" if error <= tolerance else "gives wrong numbers"


def look_at_extras() -> Iterator[Finding]:
    """Which packages that only some options need are here, and whether the paper's tracker is."""
    for package, (needs, install) in EXTRAS.items():
        try:
            yield Finding(package, version(package))
        except PackageNotFoundError:
            yield Finding(package, f"not installed; {needs} needs it", install)
    folder = Path(torch.hub.get_dir()) / f"{REPOSITORY.replace('/', '_')}_main"
    kept = "kept" if folder.is_dir() else "not kept"
    yield Finding("cotracker3", f"{kept} in {folder.parent}; --tracker cotracker3 fetches it")
