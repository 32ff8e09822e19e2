"""Which of PyTorch's kernels computes scaled dot-product attention, and which convolutions."""

from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from ditflow.errors import DitflowError, reason_of, shortened

KERNELS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "math": SDPBackend.MATH,
}


def kernel(name: str) -> AbstractContextManager[None]:
    """Context in which attention is computed by this kernel; `auto` is PyTorch's own choice."""
    return nullcontext() if name == "auto" else sdpa_kernel(KERNELS[name])


def check_kernel(name: str, device: torch.device, dtype: torch.dtype) -> None:
    """Refuse a kernel that this device has not, for forward or for backward passes.

    Raises:
        DitflowError: names those it has.
    """
    if not _works(name, device, dtype):
        found = [other for other in KERNELS if _works(other, device, dtype)]
        raise DitflowError(
            f"attention={name} is not available for {dtype} on device={device}; use "
            f"{', '.join(['auto', *found])}."
        )


def _works(name: str, device: torch.device, dtype: torch.dtype) -> bool:
    tokens = torch.zeros(1, 1, 8, 64, device=device, dtype=dtype, requires_grad=True)
    try:
        with kernel(name):
            F.scaled_dot_product_attention(tokens, tokens, tokens).sum().backward()
    except RuntimeError:
        return False
    return True


def check_compiler(device: torch.device) -> None:
    """Refuse to compile where there is no compiler; a run would end with its first pass.

    Raises:
        DitflowError: says what is missing.
    """
    try:
        torch.compile(torch.sin)(torch.zeros(2, device=device))
    except Exception as error:  # whatever its layers raise over what they miss
        raise DitflowError(
            f"compile_blocks=True needs a compiler for device={device} "
            f"({shortened(reason_of(error))}); install one, such as g++, or leave it out."
        ) from error


def take_quick_convolutions(module: torch.nn.Module) -> None:
    """Have a module on the CPU compute its 3D convolutions in float32 by oneDNN.

    Of a single small video torch itself takes another kernel, which needs up to ten times as long:
    most of the time that a small VAE takes. The sums' order is another, and nothing else.
    """
    if not torch.backends.mkldnn.is_available():
        return
    for part in module.modules():
        if isinstance(part, torch.nn.Conv3d) and part.padding_mode == "zeros":
            part._conv_forward = partial(_quick_convolution, part)  # type: ignore[method-assign]


def _quick_convolution(
    own: torch.nn.Conv3d, inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
) -> torch.Tensor:
    if inputs.dtype != torch.float32 or isinstance(own.padding, str):
        return torch.nn.Conv3d._conv_forward(own, inputs, weight, bias)
    how = own.padding, own.stride, own.dilation, own.groups
    return torch.mkldnn_convolution(inputs, weight, bias, *how)
