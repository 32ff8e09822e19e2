"""What a block's self-attention is asked to do beside its work."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch.utils.checkpoint import checkpoint


class BlockReached(Exception):
    """Raised in or after the guided block: nothing after it needs computing."""


@dataclass
class AttentionControl:
    """What one block's attention is asked to do, and what it recorded, all [B, M, N, D].

    Attributes:
        record: queries and keys as they are multiplied, or keys and values as another pass can
            be given them: without positions.
        stop: raise `BlockReached` with that done, and compute nothing beside it.
        replacement: keys, without positions, and values in the place of its own.
        checkpointed: whether gradient checkpointing may run the block a second time; never one
            that records or ends the pass.
        query, key, value: recorded.
    """

    record: Literal["query_key", "key_value"] | None = None
    stop: bool = False
    replacement: tuple[torch.Tensor, torch.Tensor] | None = None
    checkpointed: bool = True
    query: torch.Tensor = field(init=False, repr=False)
    key: torch.Tensor = field(init=False, repr=False)
    value: torch.Tensor = field(init=False, repr=False)


class ControlledProcessor:
    """Base of a family's attention processor: the stock one's work, out of place, with control over
    image tokens. With nothing asked, its output equals the stock processor's to the bit.

    Args:
        kernel: of scaled dot-product attention, see `ditflow.backbones.kernels`.
    """

    def __init__(self, kernel: str = "auto"):
        self.control, self.kernel = AttentionControl(), kernel


def recomputed(
    place: Callable[..., torch.Tensor], projected: torch.Tensor, *table: torch.Tensor
) -> torch.Tensor:
    """Tokens normalised and rotated; where ρ is optimised, computed again in the backward pass.

    The gradient of ρ needs the tokens of every block in float32, which would be kept until then:
    at CogVideoX-5B's size 8 GiB.

    Args:
        place: what is done with the others.
        projected: queries or keys as a linear layer gives them.
        table: ρ as rotary attention takes it; none where it is not rotary.
    """
    if not any(part.requires_grad for part in table):
        return place(projected, *table)
    return checkpoint(place, projected, *table, use_reentrant=False, preserve_rng_state=False)


def run_controlled(
    block: torch.nn.Module, processor: ControlledProcessor, control: AttentionControl, *args: Any
) -> Any:
    """What a block gives with its processor asked for this, whatever it is asked for outside."""
    before, processor.control = processor.control, control
    try:
        return block(*args)
    finally:
        processor.control = before
