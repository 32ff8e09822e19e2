"""`ditflow demo`: the motion of a clip moves new subjects, seen beside the clip."""

import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from ditflow.assembly import calls
from ditflow.assembly.run import unguided
from ditflow.errors import DitflowError
from ditflow.functional.parameterization import Target
from ditflow.pages.run import write_page_if_possible, write_run_page
from ditflow.runs.folder import EMBEDDING
from ditflow.runs.history import record_command
from ditflow.settings.stacked import read_settings
from ditflow.sprites.render import render
from ditflow.sprites.world import FPS, NUM_FRAMES, Clip
from ditflow.utils.files import make_output
from ditflow.utils.shipped import embedded_backbones
from ditflow.video.pictures import labelled_sheet, side_by_side
from ditflow.video.reading import read_video
from ditflow.video.sizing import as_tensor
from ditflow.video.writing import write_video

PROMPT = "a blue square on a white background"
OTHER_PROMPTS = ("a red ring on a black background", "a green diamond on a brown background")
"""Positions fitted to several prompts at once carry over better to prompts they have not seen."""
NEW_PROMPTS = ("a yellow circle on a navy background", "a pink cross on a teal background")


def demo(
    *,
    output: Path = Path("demo"),
    backbone: str = "sprites-rope",
    seed: int = 5,
    fit: bool = True,
) -> None:
    """Fit latents and positions to one reference, reuse the positions, show all of it.

    Takes about a minute, on the embedded models. The reference and a mask of what moves in it are
    there to be used further: reference.mp4 and mask.mp4.

    Args:
        output: Folder of everything made.
        backbone: An embedded one.
        seed: Of the initial noise.
        fit: Otherwise the reference and its mask alone.
    """
    if backbone not in embedded_backbones():
        raise DitflowError(
            f"backbone={backbone} is not embedded; use {', '.join(embedded_backbones())}."
        )
    started = time.monotonic()
    make_output(output)
    reference, mask = output / "reference.mp4", output / "mask.mp4"
    write_video(render([reference_clip()])[0], reference, FPS)
    write_video(mask_of(reference_clip()), mask, FPS)
    if not fit:
        print(f"Wrote to {output}:\n  {reference}\n  {mask}")
        return
    settings = read_settings(backbone)
    loaded = settings.load_backbone()
    plain = unguided(settings.module(loaded), PROMPT, seed)
    write_video(plain, output / "unguided.mp4", FPS)
    videos = {"reference": as_tensor(read_video(reference)), "unguided": plain}
    common = ["--config", backbone, "--video", str(reference), "--seed", str(seed)]
    fits: dict[Target, list[str]] = {
        "latents": [PROMPT],
        "positions": [PROMPT, *OTHER_PROMPTS],
    }
    for target, prompts in fits.items():
        args = ["fit", *common, "--target", target, "--prompts", *prompts]
        with _command(args, output / target) as folder:
            fitted = calls.fit(
                reference,
                prompts,
                config=backbone,
                backbone=loaded,
                target=target,
                seed=seed,
                output=folder,
                overwrite=True,
            )
        videos[f"fit, {target}"] = fitted.videos[0]
    embedding = output / "positions" / EMBEDDING
    args = ["predict", "--embedding", str(embedding), "--prompts", *NEW_PROMPTS]
    with _command(args, output / "reused") as folder:
        made = calls.predict(embedding, NEW_PROMPTS, backbone=loaded, output=folder, overwrite=True)
    videos |= {f"predict {index + 1}": video for index, video in enumerate(made)}
    labelled_sheet(list(videos.values()), list(videos)).save(output / "demo.png")
    enlarged = [enlarge(video) for video in videos.values()]
    write_video(side_by_side(enlarged), output / "demo.gif", FPS)
    print(f"\nReference, unguided, and guided videos side by side, in {_minutes(started)}:")
    print(f"  {output / 'demo.png'}\n  {output / 'demo.gif'}")
    print(f"What was learned is in {embedding}; look into it: ditflow inspect {embedding}")


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


def enlarge(video: torch.Tensor, scale: int = 2) -> torch.Tensor:
    return torch.nn.functional.interpolate(video, scale_factor=scale, mode="bilinear")


@contextmanager
def _command(args: list[str], folder: Path) -> Iterator[Path]:
    """Context of what a command would do, which is said, and shown on the folder's page."""
    args = [*args, "--output", str(folder)]
    print(f"\n$ ditflow {shlex.join(args)}", flush=True)
    yield folder
    record_command(folder, args)
    write_page_if_possible(write_run_page, folder)


def _minutes(started: float) -> str:
    seconds = round(time.monotonic() - started)
    return f"{seconds // 60} min {seconds % 60} s"
