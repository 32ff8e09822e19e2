"""Configurations of the published models, so that planning for them needs no hub.

Only what differs from the classes' defaults.
"""

from typing import Any

TEXT_ENCODER: dict[str, Any] = {
    "vocab_size": 32128,
    "d_model": 4096,
    "d_kv": 64,
    "d_ff": 10240,
    "num_layers": 24,
    "num_heads": 64,
    "feed_forward_proj": "gated-gelu",
}
"""Of T5 v1.1 XXL, which all of them read prompts with."""

_5B = {
    "num_layers": 42,
    "num_attention_heads": 48,
    "use_rotary_positional_embeddings": True,
}

PUBLISHED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "THUDM/CogVideoX-2b": ({"num_layers": 30, "num_attention_heads": 30}, {}),
    "THUDM/CogVideoX-5b": (_5B, {"scaling_factor": 0.7}),
    "THUDM/CogVideoX-5b-I2V": (
        {**_5B, "in_channels": 32, "use_learned_positional_embeddings": True},
        {"scaling_factor": 0.7},
    ),
    "THUDM/CogVideoX1.5-5B": (
        {
            **_5B,
            "patch_size_t": 2,
            "patch_bias": False,
            "sample_height": 300,
            "sample_width": 300,
            "sample_frames": 81,
        },
        {"scaling_factor": 0.7, "invert_scale_latents": True},
    ),
}
"""Of each model's transformer and VAE."""
