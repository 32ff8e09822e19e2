"""Wan self-attention that can record, replace and hand out queries, keys and values."""

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.transformers.transformer_wan import WanAttention

from ditflow.backbones.control import BlockReached, ControlledProcessor
from ditflow.backbones.kernels import kernel


class WanProcessor(ControlledProcessor):
    """Stock Wan attention of a block over its own tokens, all of which are the image's.

    Rotary positions may be (cos, sin) or, with separate copies for keys,
    (cos_q, sin_q, cos_k, sin_k), each [1, N, 1, D].
    """

    _attention_backend = None  # which diffusers sets, to choose among its kernels
    _parallel_config = None

    def __call__(
        self,
        attn: WanAttention,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        rotary_emb: tuple[torch.Tensor, ...] | None = None,
    ) -> torch.Tensor:
        control = self.control

        def heads(projected: torch.Tensor) -> torch.Tensor:
            return projected.unflatten(2, (attn.heads, -1))  # [B, N, M, D]

        key = heads(attn.norm_k(attn.to_k(hidden_states)))
        value = None
        if control.record == "key_value" or not control.stop:
            value = heads(attn.to_v(hidden_states))
        if control.record == "key_value":
            control.key, control.value = key.transpose(1, 2), value.transpose(1, 2)
            if control.stop:
                raise BlockReached
        query = heads(attn.norm_q(attn.to_q(hidden_states)))
        if control.replacement is not None:
            key, new_value = (
                new.to(key).transpose(1, 2).expand_as(key) for new in control.replacement
            )
            value = None if value is None else new_value
        query, key = _rotate(query, *rotary_emb[:2]), _rotate(key, *rotary_emb[-2:])
        if control.record == "query_key":
            control.query, control.key = query.transpose(1, 2), key.transpose(1, 2)
        if control.stop:
            raise BlockReached
        with kernel(self.kernel):
            attended = dispatch_attention_fn(
                query,
                key,
                value,
                attn_mask=attention_mask,
                backend=self._attention_backend,
                parallel_config=self._parallel_config,
            )
        attended = attended.flatten(2, 3).type_as(query)
        return attn.to_out[1](attn.to_out[0](attended))


def _rotate(tokens: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Tokens [B, N, M, D] turned by their positions [1, N, 1, D].

    Of cosines the even entries are read and of sines the odd ones, as by the stock processor.
    """
    even, odd = tokens.unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = cos[..., 0::2], sin[..., 1::2]
    turned = torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1)
    return turned.flatten(-2).type_as(tokens)
