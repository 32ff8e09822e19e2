"""Short names for settings and weights: equal for equal contents, on every machine."""

import hashlib
import json
from typing import Any

import torch


def hash_of(value: Any, length: int = 16) -> str:
    """Of plain values; what JSON does not know goes in as its text."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def hash_of_tensors(*tensors: torch.Tensor, length: int = 16) -> str:
    """Of the bytes of tensors of any device and type, and of their shapes."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()[:length]
