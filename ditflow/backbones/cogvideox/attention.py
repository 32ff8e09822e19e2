"""CogVideoX attention that can record, replace and hand out queries, keys and values."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from diffusers import CogVideoXTransformer3DModel
from diffusers.models.attention_processor import Attention
from diffusers.models.embeddings import apply_rotary_emb

from ditflow.backbones.kernels import kernel


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
        query, key, value: recorded.
    """

    record: Literal["query_key", "key_value"] | None = None
    stop: bool = False
    replacement: tuple[torch.Tensor, torch.Tensor] | None = None
    query: torch.Tensor | None = field(default=None, repr=False)
    key: torch.Tensor | None = field(default=None, repr=False)
    value: torch.Tensor | None = field(default=None, repr=False)


class MotionAttnProcessor:
    """Stock CogVideoX attention, out of place, with control over image tokens.

    Text tokens come first and are never recorded or replaced. With nothing asked, the output
    equals the stock processor's to the bit; rotary positions may be (cos, sin) or, with separate
    copies for keys, (cos_q, sin_q, cos_k, sin_k).
    """

    def __init__(self, control: AttentionControl, kernel: str = "auto"):
        self.control, self.kernel = control, kernel

    # Parameters are spelled out: behind **kwargs diffusers would not pass the rotary positions.
    def __call__(
        self,
        attn: Attention,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        image_rotary_emb: tuple[torch.Tensor, ...] | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        control = self.control
        text = encoder_hidden_states.size(1)
        tokens = torch.cat([encoder_hidden_states, hidden_states], dim=1)
        batch = tokens.size(0)

        def heads(projected: torch.Tensor) -> torch.Tensor:
            return projected.view(
                batch, -1, attn.heads, projected.size(-1) // attn.heads
            ).transpose(1, 2)

        def normed(norm: torch.nn.Module | None, tokens: torch.Tensor) -> torch.Tensor:
            return tokens if norm is None else norm(tokens)

        key = normed(attn.norm_k, heads(attn.to_k(tokens)))
        value = None
        if control.record == "key_value" or not control.stop:
            value = heads(attn.to_v(tokens))
        if control.record == "key_value":
            control.key, control.value = key[:, :, text:], value[:, :, text:]
            if control.stop:
                raise BlockReached
        query = normed(attn.norm_q, heads(attn.to_q(tokens)))
        if control.replacement is not None:
            new_key, new_value = (
                new.to(key).expand(batch, -1, -1, -1) for new in control.replacement
            )
            key = torch.cat([key[:, :, :text], new_key], dim=2)
            if value is not None:
                value = torch.cat([value[:, :, :text], new_value], dim=2)
        if image_rotary_emb is not None:
            query = _rotate(query, image_rotary_emb[:2], text)
            key = _rotate(key, image_rotary_emb[-2:], text)
        if control.record == "query_key":
            control.query, control.key = query[:, :, text:], key[:, :, text:]
        if control.stop:
            raise BlockReached
        attended = self.attend(query, key, value, attention_mask)
        attended = attended.transpose(1, 2).reshape(batch, -1, attn.heads * value.size(-1))
        attended = attn.to_out[1](attn.to_out[0](attended))
        return attended[:, text:], attended[:, :text]

    def attend(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None,
    ) -> torch.Tensor:
        with kernel(self.kernel):
            return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)


def _rotate(tokens: torch.Tensor, table: tuple[torch.Tensor, ...], text: int) -> torch.Tensor:
    # A new tensor: the stock processor writes in place, which autograd refuses. Of two slices in
    # the place of a split, each would have a gradient as large as all tokens.
    plain, image = tokens.split([text, tokens.size(2) - text], dim=2)
    return torch.cat([plain, apply_rotary_emb(image, table)], dim=2)


def install(
    transformer: CogVideoXTransformer3DModel, kernel: str = "auto"
) -> list[MotionAttnProcessor]:
    """Give every block a `MotionAttnProcessor` that is asked nothing yet, with this kernel."""
    blocks = transformer.transformer_blocks
    processors = [MotionAttnProcessor(AttentionControl(), kernel) for _ in blocks]
    for block, processor in zip(blocks, processors, strict=True):
        block.attn1.processor = processor
    return processors


@contextmanager
def controlled(
    transformer: CogVideoXTransformer3DModel, controls: dict[int, AttentionControl]
) -> Iterator[None]:
    """Ask blocks (by index) for what `controls` say; as before on exit, exceptions included.

    Gradient checkpointing runs a block again in the backward pass, when this context may have
    closed: a block with a replacement brings it along, one that records or stops is left out.
    """
    blocks = transformer.transformer_blocks
    processors = {index: blocks[index].attn1.processor for index in controls}
    before = {index: processor.control for index, processor in processors.items()}
    checkpointing = transformer._gradient_checkpointing_func
    own = [(blocks[index], control) for index, control in controls.items()]

    def checkpoint(block: torch.nn.Module, *args):
        control = next((control for other, control in own if other is block), None)
        if control is None:
            return checkpointing(block, *args)
        if control.record is not None or control.stop:
            return block(*args)
        return checkpointing(partial(_run_controlled, block, control), *args)

    try:
        for index, control in controls.items():
            processors[index].control = control
        if checkpointing is not None:
            transformer._gradient_checkpointing_func = checkpoint
        yield
    finally:
        for index, control in before.items():
            processors[index].control = control
        transformer._gradient_checkpointing_func = checkpointing


def _run_controlled(block: torch.nn.Module, control: AttentionControl, *args):
    processor = block.attn1.processor
    before, processor.control = processor.control, control
    try:
        return block(*args)
    finally:
        processor.control = before


@contextmanager
def stopped_after(transformer: CogVideoXTransformer3DModel, index: int) -> Iterator[list]:
    """Context in which a pass ends with `BlockReached` after a block; yields the list that its
    output image tokens [B, N, C] are put into."""
    reached: list[torch.Tensor] = []
    block = transformer.transformer_blocks[index]

    def stop(_module, _args, outputs: tuple[torch.Tensor, torch.Tensor]) -> None:
        reached.append(outputs[0])
        raise BlockReached

    # Recording leaves it out of checkpointing.
    control = replace(block.attn1.processor.control, record="query_key")
    handle = block.register_forward_hook(stop)
    try:
        with controlled(transformer, {index: control}):
            yield reached
    finally:
        handle.remove()
