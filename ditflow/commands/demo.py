"""`ditflow demo`: the motion of a clip moves new subjects, seen beside the clip."""

import shlex
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from diffusers import CogVideoXPipeline

from ditflow.cli import main
from ditflow.errors import DitflowError
from ditflow.settings.parsing import CommandParser
from ditflow.sprites.recipe.evaluate import preset
from ditflow.sprites.render import render
from ditflow.sprites.world import FPS, NUM_FRAMES, Clip
from ditflow.utils.files import make_output
from ditflow.utils.shipped import EMBEDDED, embedded_backbones
from ditflow.video.pictures import labelled_sheet, side_by_side
from ditflow.video.reading import FrameRange, read_video
from ditflow.video.sizing import as_tensor
from ditflow.video.writing import write_video

PROMPT = "a blue square on a white background"
OTHER_PROMPTS = ("a red ring on a black background", "a green diamond on a brown background")
"""Positions fitted to several prompts at once carry over better to prompts they have not seen."""
NEW_PROMPTS = ("a yellow circle on a navy background", "a pink cross on a teal background")


def demo(args: Sequence[str]) -> int:
    """Fit latents and positions to one reference, reuse the positions, show all of it.

    Takes about a minute, on the embedded models. The reference and a mask of what moves in it are
    there to be used further: reference.mp4 and mask.mp4.

    Returns:
        0.
    """
    given = demo_parser().parse_args(list(args))
    if given.backbone not in embedded_backbones():
        raise DitflowError(
            f"backbone={given.backbone} is not embedded; use {', '.join(embedded_backbones())}."
        )
    started = time.monotonic()
    output, backbone, seed = given.output, given.backbone, given.seed
    make_output(output)
    reference, mask = output / "reference.mp4", output / "mask.mp4"
    write_video(render([reference_clip()])[0], reference, FPS)
    write_video(mask_of(reference_clip()), mask, FPS)
    if not given.fit:
        print(f"Wrote to {output}:\n  {reference}\n  {mask}")
        return 0
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
    return 0


def demo_parser() -> CommandParser:
    """Of the command line."""
    parser = CommandParser(prog="ditflow demo", description=demo.__doc__)
    parser.add_argument(
        "--output", type=Path, default=Path("demo"), help="Folder of everything made."
    )
    parser.add_argument("--backbone", type=str, default="sprites-rope", help="An embedded one.")
    parser.add_argument("--seed", type=int, default=5, help="Of the initial noise.")
    parser.add_argument(
        "--fit", type=bool, default=True, help="Otherwise the reference and its mask alone."
    )
    return parser


def reference_clip() -> Clip:
    """A red circle that comes down from the left and goes up again on the right."""
    times = [t / (NUM_FRAMES - 1) for t in range(NUM_FRAMES)]
    path = tuple((0.30 + 0.40 * t, 0.38 + 0.9 * t * (1 - t)) for t in times)
    return Clip("circle", "red", "gray", 0.19, path, texture_seed=7)


def mask_of(clip: Clip) -> torch.Tensor:
    """Where a clip's sprite is, white on black: [T, 3, size, size]."""
    away = replace(clip, path=((-9.0, -9.0),) * len(clip.path))
    with_it, without = render([clip, away])
    covered = (with_it - without).abs().amax(1, keepdim=True) > 0.02
    return covered.float().expand(-1, 3, -1, -1)


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
