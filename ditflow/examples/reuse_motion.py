"""Reuse a fitted motion in an ordinary diffusers pipeline, with nothing of ditflow's command line.

    ditflow fit --video ref.mp4 --target positions --prompt "a red ring on a black background" \\
        --output runs/positions
    python -m ditflow.examples.reuse_motion runs/positions/motion.safetensors

By default the pipeline is the embedded `sprites-rope`, which needs no network and no GPU. For an
embedding fitted on CogVideoX:

    python -m ditflow.examples.reuse_motion runs/leopard/motion.safetensors \\
        --model THUDM/CogVideoX-5b --dtype bfloat16 --device cuda \\
        --prompts '["a paper boat floating in a bathtub"]'
"""

from pathlib import Path
from typing import Literal

import torch
from diffusers import CogVideoXDDIMScheduler, CogVideoXDPMScheduler, CogVideoXPipeline
from diffusers.utils import export_to_video
from jsonargparse import auto_cli

from ditflow import DitflowError, MotionEmbedding
from ditflow.utils.shipped import source_of

SCHEDULERS = {kind.__name__: kind for kind in (CogVideoXDDIMScheduler, CogVideoXDPMScheduler)}
PROMPTS = ["a yellow circle on a navy background", "a pink cross on a teal background"]


def reuse(
    embedding: str,
    model: str = "sprites-rope",
    prompts: list[str] = PROMPTS,
    output: Path = Path("reused"),
    dtype: Literal["float32", "bfloat16", "float16"] = "float32",
    device: str = "cpu",
) -> None:
    """Make a video of each prompt that moves as the embedding's reference.

    Args:
        embedding: a motion.safetensors, or `user/name` on the Hugging Face hub.
        model: that it was fitted on: an embedded one, a folder in diffusers' layout, or a hub name.
        prompts: of the videos.
        output: folder of the videos.
        dtype: of the pipeline's weights.
        device: `cpu` or `cuda`.
    """
    motion = MotionEmbedding.from_pretrained(embedding)
    header = motion.header
    pipe = CogVideoXPipeline.from_pretrained(source_of(model), dtype=getattr(torch, dtype))
    pipe.to(device)
    # The scheduler must be the fit's; ditflow's presets space its timesteps from the end.
    pipe.scheduler = SCHEDULERS[header.scheduler].from_config(
        pipe.scheduler.config, timestep_spacing="trailing"
    )
    output.mkdir(parents=True, exist_ok=True)
    with motion.applied_to(pipe):
        for number, prompt in enumerate(prompts):
            frames = pipe(
                prompt,
                max_sequence_length=pipe.transformer.config.max_text_seq_length,
                **motion.call_arguments(),
            ).frames[0]
            path = output / f"{number}.mp4"
            export_to_video(frames, str(path), fps=header.fps)
            print(f"{path}: {prompt}")


if __name__ == "__main__":
    try:
        auto_cli(reuse)
    except DitflowError as error:
        raise SystemExit(f"error: {error}") from error
