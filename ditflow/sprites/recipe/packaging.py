"""Trained parts as ordinary diffusers and transformers folders."""

from pathlib import Path

from diffusers import CogVideoXPipeline, DiffusionPipeline, WanPipeline

from ditflow.sprites.recipe.checkpoints import (
    part_of,
    shipped_text_encoder,
    trained_vae,
    weights_of,
)
from ditflow.sprites.recipe.models import (
    as_umt5,
    build_clip,
    build_clip_processor,
    build_scheduler,
    build_text_encoder,
    build_tokenizer,
    build_transformer,
    build_wan_scheduler,
    build_wan_transformer,
    build_wan_vae,
)


def cogvideox_pipeline(work: Path, part: str) -> CogVideoXPipeline:
    """Of `rope` or `sincos`, trained in `work`."""
    state, tokenizer = weights_of(work / part), build_tokenizer()
    transformer = build_transformer(rotary=part == "rope")
    transformer.load_state_dict(part_of(state, "transformer"))
    text_encoder = build_text_encoder(len(tokenizer))
    # Shared to the bit: averaging rounds even weights that stand still.
    shared = state if part == "rope" else weights_of(work / "rope")
    text_encoder.load_state_dict(part_of(shared, "text_encoder"))
    return CogVideoXPipeline(
        tokenizer=tokenizer,
        text_encoder=text_encoder,
        vae=trained_vae(work),
        transformer=transformer,
        scheduler=build_scheduler(rotary=part == "rope"),
    )


def wan_pipeline(work: Path) -> WanPipeline:
    """Trained in `work`."""
    transformer, vae = build_wan_transformer(), build_wan_vae()
    transformer.load_state_dict(part_of(weights_of(work / "wan"), "transformer"))
    vae.load_state_dict(part_of(weights_of(work / "wan_vae"), "vae"))
    return WanPipeline(
        tokenizer=build_tokenizer(),
        text_encoder=as_umt5(shipped_text_encoder()),
        vae=vae,
        transformer=transformer,
        scheduler=build_wan_scheduler(),
    )


def save(pipeline: DiffusionPipeline, folder: Path) -> None:
    """Transformer and VAE in half precision.

    The text encoder stays float32: transformers loads it in the dtype it was saved in, and an
    ordinary `from_pretrained` must give parts that fit together.
    """
    for component in (pipeline.transformer, pipeline.vae):
        component.half()
    pipeline.save_pretrained(folder)


def save_clip(work: Path, folder: Path) -> None:
    """In half precision."""
    processor = build_clip_processor()
    clip = build_clip(processor)
    clip.load_state_dict(part_of(weights_of(work / "clip"), "clip"))
    clip.half().save_pretrained(folder)
    processor.save_pretrained(folder)
