"""Tiny configurations of Wan's real classes, untrained, from a seed."""

import torch
from diffusers import (
    AutoencoderKLWan,
    UniPCMultistepScheduler,
    WanPipeline,
    WanTransformer3DModel,
)
from tokenizers import Tokenizer
from tokenizers.models import Unigram
from tokenizers.pre_tokenizers import Metaspace
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

from ditflow.backbones.base import Backbone
from ditflow.backbones.wan.adapter import WanBackbone
from ditflow.backbones.wan.solver import flow_scheduler
from ditflow.sprites.world import BACKGROUNDS, COLORS, SHAPES

SIZE = 9, 32, 32


class TinyWan(WanBackbone):
    """A Wan that was trained on smaller videos."""

    def default_size(self) -> tuple[int, int, int]:
        return SIZE


def load_tiny_wan(
    name: str = "tiny-wan",
    device: str = "cpu",
    gradient_checkpointing: bool = False,
) -> Backbone:
    """An untrained Wan of three blocks.

    Args:
        name: what messages and embeddings call it.
        device: where it computes.
        gradient_checkpointing: compute blocks again in the backward pass.
    """
    pipeline = tiny_pipeline().to(device)
    if gradient_checkpointing:
        pipeline.transformer.enable_gradient_checkpointing()
    return TinyWan(pipeline, name)


def tiny_pipeline(
    euler: bool = False,
    transformers: int = 1,
    expand_timesteps: bool = False,
    patch: int | None = None,
) -> WanPipeline:
    """Of the real classes: 3 × 4 × 4 tokens of width 32 at its own size.

    Args:
        euler: sample by Euler's method, and not by UniPC.
        transformers: two of them denoise as in Wan 2.2 A14B.
        expand_timesteps: give a timestep for each token, as to Wan 2.2 TI2V-5B.
        patch: of pixels, which its residual VAE folds, as that model's.
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tokenizer = build_tokenizer()
        denoisers = [tiny_transformer() for _ in range(transformers)]
        vae = AutoencoderKLWan(
            base_dim=8,
            z_dim=4,
            dim_mult=[1, 1, 1],
            num_res_blocks=1,
            temperal_downsample=[True, True],
            latents_mean=[0.1, -0.2, 0.0, 0.3],
            latents_std=[0.5, 0.8, 1.0, 1.5],
            scale_factor_spatial=4 * (patch or 1),
            is_residual=patch is not None,
            patch_size=patch,
            in_channels=3 * (patch or 1) ** 2,
            out_channels=3 * (patch or 1) ** 2,
        )
        text_encoder = UMT5EncoderModel(
            UMT5Config(
                vocab_size=len(tokenizer), d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2
            )
        )
    pipeline = WanPipeline(
        tokenizer=tokenizer,
        text_encoder=text_encoder.eval(),
        vae=vae.eval(),
        scheduler=flow_scheduler(UniPCMultistepScheduler(), "euler" if euler else "unipc", 3.0),
        transformer=denoisers[0],
        transformer_2=denoisers[1] if transformers > 1 else None,
        boundary_ratio=0.8 if transformers > 1 else None,
        expand_timesteps=expand_timesteps,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def tiny_transformer() -> WanTransformer3DModel:
    transformer = WanTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=4,
        out_channels=4,
        text_dim=16,
        freq_dim=16,
        ffn_dim=32,
        num_layers=3,
        rope_max_seq_len=32,
    )
    # Larger than at the start of a training, at which attention hardly tells tokens apart.
    for weight in transformer.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    return transformer.eval()


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Unigram tokenizer: the captions' words whole, any other word letter by letter."""
    words = sorted({"a", "on", "background", *SHAPES, *COLORS, *BACKGROUNDS})
    vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -4.0)]
    vocab += [(f"▁{word}", -1.0) for word in words]
    vocab += [(letter, -8.0) for letter in "abcdefghijklmnopqrstuvwxyz"]
    tokenizer = Tokenizer(Unigram(vocab, unk_id=2))
    tokenizer.pre_tokenizer = Metaspace()
    tokenizer.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
