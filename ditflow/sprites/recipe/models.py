"""The sprites pipelines' parts before training: tiny configurations of the real classes."""

from diffusers import (
    AutoencoderKLCogVideoX,
    AutoencoderKLWan,
    CogVideoXDDIMScheduler,
    CogVideoXDPMScheduler,
    CogVideoXTransformer3DModel,
    UniPCMultistepScheduler,
    WanTransformer3DModel,
)
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPProcessor,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
    UMT5Config,
    UMT5EncoderModel,
)

from ditflow.sprites.world import BACKGROUNDS, COLORS, NUM_FRAMES, SHAPES, SIZE, captions

MAX_TEXT_TOKENS = 16
LATENT_CHANNELS = 8


def build_vae() -> AutoencoderKLCogVideoX:
    """Three levels: a quarter of the size in space and in time, 8 latent channels."""
    return AutoencoderKLCogVideoX(
        down_block_types=("CogVideoXDownBlock3D",) * 3,
        up_block_types=("CogVideoXUpBlock3D",) * 3,
        block_out_channels=(16, 32, 32),
        latent_channels=LATENT_CHANNELS,
        layers_per_block=1,
        norm_num_groups=8,
        temporal_compression_ratio=4,
        sample_height=SIZE,
        sample_width=SIZE,
    )


def build_transformer(rotary: bool) -> CogVideoXTransformer3DModel:
    """8 blocks of width 128 over 7 × 8 × 8 tokens; `rotary` as the 5B, otherwise as the 2B."""
    return CogVideoXTransformer3DModel(
        num_attention_heads=4,
        attention_head_dim=32,
        num_layers=8,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        time_embed_dim=64,
        text_embed_dim=64,
        max_text_seq_length=MAX_TEXT_TOKENS,
        sample_height=SIZE // 4,
        sample_width=SIZE // 4,
        sample_frames=NUM_FRAMES,
        spatial_interpolation_scale=1.0,
        use_rotary_positional_embeddings=rotary,
    )


def build_text_encoder(vocab_size: int) -> T5EncoderModel:
    return T5EncoderModel(
        T5Config(
            vocab_size=vocab_size,
            d_model=64,
            d_kv=16,
            d_ff=128,
            num_layers=2,
            num_heads=4,
            dropout_rate=0.0,
            feed_forward_proj="gated-gelu",
        )
    )


def build_tokenizer() -> T5Tokenizer:
    """Unigram tokenizer: the captions' words whole, any other word letter by letter."""
    words = sorted({"a", "on", "background", *SHAPES, *COLORS, *BACKGROUNDS})
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,'-"
    vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -4.0)]
    vocab += [(f"▁{word}", -1.0) for word in words]
    vocab += [(letter, -8.0) for letter in letters]
    return T5Tokenizer(vocab=vocab, extra_ids=0, model_max_length=MAX_TEXT_TOKENS)


SCHEDULE = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
    "clip_sample": False,
    # Small latents need more signal at a given timestep than the big models' 3.0 and 1.0: with
    # those, attention cannot tell one motion from another at any timestep worth guiding.
    "snr_shift_scale": 0.05,
}


def build_scheduler(rotary: bool) -> CogVideoXDPMScheduler | CogVideoXDDIMScheduler:
    return CogVideoXDPMScheduler(**SCHEDULE) if rotary else CogVideoXDDIMScheduler(**SCHEDULE)


def build_wan_vae() -> AutoencoderKLWan:
    """Three levels, as `build_vae`'s; latents as they are, until their statistics are measured."""
    return AutoencoderKLWan(
        base_dim=16,
        z_dim=LATENT_CHANNELS,
        dim_mult=[1, 2, 3],
        num_res_blocks=1,
        temperal_downsample=[True, True],
        latents_mean=[0.0] * LATENT_CHANNELS,
        latents_std=[1.0] * LATENT_CHANNELS,
        scale_factor_temporal=4,
        scale_factor_spatial=4,
    )


def build_wan_transformer(in_channels: int = LATENT_CHANNELS) -> WanTransformer3DModel:
    """8 blocks of width 128 over 7 × 8 × 8 tokens."""
    return WanTransformer3DModel(
        num_attention_heads=4,
        attention_head_dim=32,
        in_channels=in_channels,
        out_channels=LATENT_CHANNELS,
        text_dim=64,
        freq_dim=64,
        ffn_dim=512,
        num_layers=8,
        rope_max_seq_len=64,
    )


def as_umt5(text_encoder: T5EncoderModel) -> UMT5EncoderModel:
    """The same function of token ids in Wan's class, whose layers have a position bias each."""
    config = UMT5Config(**text_encoder.config.to_dict())
    state = text_encoder.state_dict()
    bias = "encoder.block.{}.layer.0.SelfAttention.relative_attention_bias.weight"
    for layer in range(1, config.num_layers):
        state[bias.format(layer)] = state[bias.format(0)]
    made = UMT5EncoderModel(config)
    made.load_state_dict(state)
    return made


FLOW_SHIFT = 0.3
"""Of the sprites' flow matching; as with `snr_shift_scale`, small latents need more signal."""


def build_wan_scheduler() -> UniPCMultistepScheduler:
    return UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=FLOW_SHIFT
    )


def build_clip_processor() -> CLIPProcessor:
    """The captions' words whole, any other word in smaller pieces; pictures at their own size."""
    tokenizer = CLIPTokenizer().train_new_from_iterator(captions(), vocab_size=400)
    tokenizer.model_max_length = MAX_TEXT_TOKENS
    size = {"height": SIZE, "width": SIZE}
    return CLIPProcessor(
        CLIPImageProcessorPil(size={"shortest_edge": SIZE}, crop_size=size), tokenizer
    )


def build_clip(processor: CLIPProcessor) -> CLIPModel:
    """A vision transformer of 4 blocks over 8 × 8 patches, and a text one of 2."""
    tokenizer = processor.tokenizer
    return CLIPModel(
        CLIPConfig(
            text_config={
                "vocab_size": len(tokenizer),
                "hidden_size": 64,
                "intermediate_size": 128,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "max_position_embeddings": MAX_TEXT_TOKENS,
                "bos_token_id": tokenizer.bos_token_id,
                "eos_token_id": tokenizer.eos_token_id,
                "pad_token_id": tokenizer.pad_token_id,
            },
            vision_config={
                "hidden_size": 128,
                "intermediate_size": 256,
                "num_hidden_layers": 4,
                "num_attention_heads": 4,
                "image_size": SIZE,
                "patch_size": 8,
            },
            projection_dim=64,
        )
    )
