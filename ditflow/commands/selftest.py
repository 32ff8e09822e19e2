"""`ditflow selftest`: whether guidance moves a backbone's decoded videos as the reference moves."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import torch

from ditflow.assembly.loading import load
from ditflow.assembly.run import Run
from ditflow.backbones.base import Backbone
from ditflow.functional.flow_loss import moving_patches
from ditflow.functional.parameterization import Target
from ditflow.functional.tracks import moving_tracks, seen_steps
from ditflow.metrics import LucasKanade, Tracker
from ditflow.objectives import AttentionMotionFlow
from ditflow.reference import reference_input
from ditflow.settings.options import over_default
from ditflow.settings.stacked import Settings, read_settings
from ditflow.sprites.render import render
from ditflow.sprites.world import Clip
from ditflow.utils.files import make_output
from ditflow.video.writing import write_video

LEAST = 0.04
"""A video counts as moved in a direction beyond this share of its width."""


def selftest(
    *,
    config: Sequence[str] | None = None,
    targets: list[Target] | None = None,
    prompt: str = "a red circle on a gray background",
    seed: int = 0,
    output: Path | None = None,
) -> int:
    """Guide a backbone by a clip that moves right, and by the same clip reversed.

    The motion flows of the two must point in opposite directions, and the decoded videos must move
    in the reference's: a loss that falls is no evidence.

    Args:
        config: Presets, stacked.
        targets: Such as [positions]; by default latents and positions.
        output: Folder to keep the videos in.

    Returns:
        0 if every check passed, otherwise 1.
    """
    settings = read_settings(*over_default(config or []))
    backbone = load(settings)
    if output is not None:
        make_output(output)
    passed = True
    for target in targets or get_args(Target):
        rows = {
            name: moved(settings, backbone, clip, target, prompt, seed, output)
            for name, clip in directions().items()
        }
        for name, (flow, decoded) in rows.items():
            sign = 1 if name == "right" else -1
            ok = sign * flow > 0 and sign * decoded > LEAST
            passed &= ok
            print(
                f"{backbone.name}, {target}, {name}: motion flow {flow:+.2f} tokens, decoded "
                f"{decoded:+.3f} widths: {'pass' if ok else 'FAIL'}"
            )
    print("pass" if passed else "FAIL: guidance does not move this backbone's videos.")
    return 0 if passed else 1


def directions() -> dict[str, Clip]:
    """A circle that crosses the picture to the right, and the same reversed."""
    path = tuple((0.3 + 0.4 * t / 24, 0.5) for t in range(25))
    right = Clip("circle", "red", "gray", 0.22, path, texture_seed=5)
    return {"right": right, "left": replace(right, path=path[::-1])}


def moved(
    settings: Settings,
    backbone: Backbone,
    clip: Clip,
    target: Target,
    prompt: str,
    seed: int,
    output: Path | None,
) -> tuple[float, float]:
    """How far the reference's motion flow and the decoded video move to the right.

    Returns:
        the mean column displacement of moving patches into later frames, in tokens, and that of
        moving tracks of the decoded video, in widths.
    """
    frames, height, width = backbone.default_size()
    drawn = render([clip], size=max(height, width))[0]
    # A backbone of more frames sees the same motion slower; of fewer, its beginning and end too.
    times = torch.linspace(0, len(drawn) - 1, frames).round().long()
    name = "right" if clip.path[0] < clip.path[-1] else "left"
    run = Run.of(settings, backbone, {"prompts": [prompt]}, {"target": target, "seed": seed})
    run.data.video = drawn[times]
    run.data.begin_with_own(backbone)
    module, video = run.module, run.fit().videos[0]
    if output is not None:
        write_video(video, output / f"{target}-{name}.mp4")
    # Read apart: the objective may be another.
    with torch.no_grad():
        empty, condition = module.encoded(""), module.reference_condition
        given = reference_input(backbone, module.z_ref, empty, condition)
        flow = AttentionMotionFlow().reference(backbone.query_key(given, module.block))
    later = torch.ones(flow.shape[:2]).triu(1).bool().to(flow.device)[..., None]
    moving = moving_patches(flow) & later
    return flow[..., 0][moving].mean().item(), displacement(video, LucasKanade())


def displacement(video: torch.Tensor, tracker: Tracker, grid: int = 32) -> float:
    """Mean displacement of moving tracks to the right over the whole video, in widths."""
    tracks = tracker.track(video, grid)
    chosen = moving_tracks(tracks)
    if not chosen.any():
        return 0.0
    steps = tracks.points[chosen].diff(dim=1)[..., 0] * seen_steps(tracks)[chosen]
    return (steps.sum(1).mean() / video.shape[-1]).item()
