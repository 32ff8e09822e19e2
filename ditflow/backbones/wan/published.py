"""Configurations of the published models, so that planning for them needs no hub.

Only what differs from the classes' defaults.
"""

from typing import Any, NamedTuple

TEXT_ENCODER: dict[str, Any] = {
    "vocab_size": 256384,
    "d_model": 4096,
    "d_kv": 64,
    "d_ff": 10240,
    "num_layers": 24,
    "num_heads": 64,
    "feed_forward_proj": "gated-gelu",
}
"""Of UMT5 XXL, which all of them read prompts with."""


IMAGE_ENCODER: dict[str, Any] = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 16,
    "patch_size": 14,
    "hidden_act": "gelu",
}
"""Of CLIP ViT-H/14, which Wan 2.1 looks at images with."""

_IMAGE = {"_class_name": "WanImageToVideoPipeline"}


class Published(NamedTuple):
    """A model's configurations.

    Attributes:
        transformer: of each of its transformers.
        vae: of the VAE.
        pipeline: of what the pipeline itself is told.
    """

    transformer: dict[str, Any]
    vae: dict[str, Any]
    pipeline: dict[str, Any]


PUBLISHED = {
    "Wan-AI/Wan2.1-T2V-1.3B-Diffusers": Published(
        {"num_attention_heads": 12, "num_layers": 30, "ffn_dim": 8960}, {}, {}
    ),
    "Wan-AI/Wan2.1-T2V-14B-Diffusers": Published({}, {}, {}),
    "Wan-AI/Wan2.2-T2V-A14B-Diffusers": Published({}, {}, {"boundary_ratio": 0.875}),
    "Wan-AI/Wan2.1-I2V-14B-480P-Diffusers": Published(
        {"in_channels": 36, "image_dim": 1280, "added_kv_proj_dim": 5120}, {}, _IMAGE
    ),
    "Wan-AI/Wan2.2-I2V-A14B-Diffusers": Published(
        {"in_channels": 36}, {}, {**_IMAGE, "boundary_ratio": 0.9}
    ),
    "Wan-AI/Wan2.2-TI2V-5B-Diffusers": Published(
        {
            "num_attention_heads": 24,
            "num_layers": 30,
            "ffn_dim": 14336,
            "in_channels": 48,
            "out_channels": 48,
        },
        {
            "base_dim": 160,
            "decoder_base_dim": 256,
            "z_dim": 48,
            "is_residual": True,
            "in_channels": 12,
            "out_channels": 12,
            "patch_size": 2,
            "scale_factor_spatial": 16,
            "latents_mean": [0.0] * 48,  # their numbers are the weights' matter
            "latents_std": [1.0] * 48,
        },
        {"expand_timesteps": True},
    ),
}
"""By name of the hub; a boundary is between two transformers."""
