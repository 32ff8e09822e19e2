"""Wan self-attention that can record, replace and hand out queries, keys and values."""

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.transformers.transformer_wan import WanAttention

from ditflow.backbones.control import BlockReached, ControlledProcessor, recomputed
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
        rotary_emb: tuple[torch.Tensor, ...] = (),
    ) -> torch.Tensor:
        control = self.control

        def heads(projected: torch.Tensor) -> torch.Tensor:
            return projected.unflatten(2, (attn.heads, -1))  # [B, N, M, D]

        def queries(projected: torch.Tensor, *table: torch.Tensor) -> torch.Tensor:
            return _rotate(heads(attn.norm_q(projected)), *table)

        def keys(projected: torch.Tensor, *table: torch.Tensor) -> torch.Tensor:
            key = heads(attn.norm_k(projected))
            if control.replacement is not None:
                key = control.replacement[0].to(key).transpose(1, 2).expand_as(key)
            return _rotate(key, *table)

        projected = attn.to_k(hidden_states)
        value = None
        if control.record == "key_value" or not control.stop:
            value = heads(attn.to_v(hidden_states))
        if control.record == "key_value":
            assert value is not None
            key = heads(attn.norm_k(projected))
            control.key, control.value = key.transpose(1, 2), value.transpose(1, 2)
            if control.stop:
                raise BlockReached
        if control.replacement is not None and value is not None:
            value = control.replacement[1].to(value).transpose(1, 2).expand_as(value)
        key = recomputed(keys, projected, *rotary_emb[-2:])
        query = recomputed(queries, attn.to_q(hidden_states), *rotary_emb[:2])
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
