"""CogVideoX attention that can record, replace and hand out queries, keys and values."""

import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention
from diffusers.models.embeddings import apply_rotary_emb

from ditflow.backbones.control import BlockReached, ControlledProcessor, recomputed
from ditflow.backbones.kernels import kernel


class CogVideoXProcessor(ControlledProcessor):
    """Stock CogVideoX attention with control over image tokens.

    Text tokens come first and are never recorded or replaced. Rotary positions may be (cos, sin)
    or, with separate copies for keys, (cos_q, sin_q, cos_k, sin_k).
    """

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

        def normed(norm: torch.nn.Module | None, projected: torch.Tensor) -> torch.Tensor:
            return heads(projected) if norm is None else norm(heads(projected))

        def replaced(own: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
            return torch.cat([own[:, :, :text], new.to(own).expand(batch, -1, -1, -1)], dim=2)

        def queries(projected: torch.Tensor, *table: torch.Tensor) -> torch.Tensor:
            return _rotate(normed(attn.norm_q, projected), table, text)

        def keys(projected: torch.Tensor, *table: torch.Tensor) -> torch.Tensor:
            key = normed(attn.norm_k, projected)
            if control.replacement is not None:
                key = replaced(key, control.replacement[0])
            return _rotate(key, table, text)

        projected = attn.to_k(tokens)
        value = None
        if control.record == "key_value" or not control.stop:
            value = heads(attn.to_v(tokens))
        if control.record == "key_value":
            assert value is not None
            key = normed(attn.norm_k, projected)
            control.key, control.value = key[:, :, text:], value[:, :, text:]
            if control.stop:
                raise BlockReached
        if control.replacement is not None and value is not None:
            value = replaced(value, control.replacement[1])
        table = image_rotary_emb or ()
        key = recomputed(keys, projected, *table[-2:])
        query = recomputed(queries, attn.to_q(tokens), *table[:2])
        if control.record == "query_key":
            control.query, control.key = query[:, :, text:], key[:, :, text:]
        if control.stop:
            raise BlockReached
        assert value is not None
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
    if not table:
        return tokens
    # A new tensor: the stock processor writes in place, which autograd refuses. Of two slices in
    # the place of a split, each would have a gradient as large as all tokens.
    plain, image = tokens.split([text, tokens.size(2) - text], dim=2)
    return torch.cat([plain, apply_rotary_emb(image, table)], dim=2)
