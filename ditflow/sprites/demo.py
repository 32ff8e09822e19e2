"""The demo: the motion of a clip moves new subjects, seen beside the clip.

python -m ditflow.sprites.demo --output demo
"""

import shlex
import time
from pathlib import Path

import torch
from diffusers import CogVideoXPipeline
from jsonargparse import auto_cli

from ditflow.cli import main
from ditflow.embedded import EMBEDDED
from ditflow.pictures import labelled_sheet
from ditflow.reading import FrameRange, read_video
from ditflow.sprites.evaluate import preset
from ditflow.sprites.render import render
from ditflow.sprites.world import FPS, NUM_FRAMES, Clip
from ditflow.video import as_tensor, side_by_side, write_video

PROMPT = "a blue square on a white background"
OTHER_PROMPTS = ("a red ring on a black background", "a green diamond on a brown background")
"""Positions fitted to several prompts at once carry over better to prompts they have not seen."""
NEW_PROMPTS = ("a yellow circle on a navy background", "a pink cross on a teal background")


def demo(output: Path = Path("demo"), backbone: str = "sprites-rope", seed: int = 5) -> None:
    """Fit latents and positions to one reference, reuse the positions, show all of it.

    Args:
        output: folder of everything made.
        backbone: an embedded one.
        seed: of the initial noise.
    """
    started = time.monotonic()
    output.mkdir(parents=True, exist_ok=True)
    reference = output / "reference.mp4"
    write_video(render([reference_clip()])[0], reference, FPS)
    common = ["--config", backbone, "--video", str(reference), "--seed", str(seed)]
    common += ["--overwrite", "true"]
    _command("fit", *common, "--prompt", PROMPT, "--output", str(output / "latents"))
    _command(
        *("fit", *common, "--prompts", PROMPT, *OTHER_PROMPTS),
        *("--output", str(output / "positions")),
        *("--model.target", "positions", "--model.parameterization", "coordinates"),
    )
    embedding = output / "positions" / "motion.safetensors"
    _command(
        *("predict", "--embedding", str(embedding), "--prompts", *NEW_PROMPTS),
        *("--output", str(output / "reused"), "--overwrite", "true"),
    )
    _command("inspect", str(embedding))
    write_video(unguided(backbone, seed), output / "unguided.mp4", FPS)
    videos = {
        "reference": reference,
        "unguided": output / "unguided.mp4",
        "fit, latents": output / "latents" / "video.mp4",
        "fit, positions": output / "positions" / "video.mp4",
    }
    for index, path in enumerate(sorted((output / "reused").glob(f"*-seed{seed}.mp4"))):
        videos[f"predict {index + 1}"] = path
    frames = [as_tensor(read_video(path, FrameRange())) for path in videos.values()]
    labelled_sheet(frames, list(videos)).save(output / "demo.png")
    write_video(side_by_side([enlarge(video) for video in frames]), output / "demo.gif", FPS)
    print(f"\nReference, unguided, and guided videos side by side, in {_minutes(started)}:")
    print(f"  {output / 'demo.png'}\n  {output / 'demo.gif'}")


def reference_clip() -> Clip:
    """A red circle that comes down from the left and goes up again on the right."""
    times = [t / (NUM_FRAMES - 1) for t in range(NUM_FRAMES)]
    path = tuple((0.30 + 0.40 * t, 0.38 + 0.9 * t * (1 - t)) for t in times)
    return Clip("circle", "red", "gray", 0.19, path, texture_seed=7)


def unguided(backbone: str, seed: int) -> torch.Tensor:
    """The same prompt, seed and settings in an ordinary diffusers pipeline."""
    pipeline = CogVideoXPipeline.from_pretrained(str(EMBEDDED / backbone), dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    settings = preset(backbone)
    return pipeline(
        PROMPT,
        num_inference_steps=settings["num_inference_steps"],
        guidance_scale=settings["guidance_scale"],
        use_dynamic_cfg=settings["dynamic_guidance"],
        generator=torch.Generator().manual_seed(seed),
        max_sequence_length=pipeline.transformer.config.max_text_seq_length,
        output_type="pt",
    ).frames[0]


def enlarge(video: torch.Tensor, scale: int = 2) -> torch.Tensor:
    return torch.nn.functional.interpolate(video, scale_factor=scale, mode="bilinear")


def _command(*args: str) -> None:
    print(f"\n$ ditflow {shlex.join(args)}", flush=True)
    status = main(args)
    if status:
        raise SystemExit(status)


def _minutes(started: float) -> str:
    seconds = round(time.monotonic() - started)
    return f"{seconds // 60} min {seconds % 60} s"


if __name__ == "__main__":
    auto_cli(demo)
