"""`ditflow preview`: what a fit would be guided by, before it is paid for."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ditflow.assembly.loading import load
from ditflow.backbones.base import Backbone
from ditflow.backbones.loading import Dtype
from ditflow.errors import DitflowError
from ditflow.objectives import AttentionMotionFlow, Objective
from ditflow.preview.findings import findings
from ditflow.preview.motion import ReferenceMotion, read_motion, spread_around
from ditflow.preview.sheet import Sheet
from ditflow.reference import ReferenceVideo, read_reference
from ditflow.runs.claim import claim
from ditflow.runs.progress import RunProgress
from ditflow.settings.options import over_default
from ditflow.settings.stacked import read_settings
from ditflow.utils.files import atomic_write, missing
from ditflow.video.cropping import Crop
from ditflow.video.reading import FrameRange
from ditflow.video.writing import write_video


def preview(
    *,
    video: Path,
    output: Path,
    config: Sequence[str] | None = None,
    mask: Path | None = None,
    block: int | None = None,
    blocks: Sequence[int] | None = None,
    start_frame: int | None = None,
    num_frames: int | None = None,
    stride: int | None = None,
    height: int | None = None,
    width: int | None = None,
    crop: str | None = None,
    fps: float | None = None,
    backbone: str | None = None,
    device: str | None = None,
    dtype: Dtype | None = None,
) -> None:
    """Show the motion that a fit would read of a reference, and say what is wrong with it.

    One pass through the transformer and no optimisation: `preview.png` and `preview.mp4` have the
    motion flow of several blocks, how sure the attention is, and the nearest neighbours of plain
    latents to compare with.

    Args:
        video: The reference.
        output: Folder of what is made.
        config: Presets, stacked.
        mask: Image, or video, of what alone is to guide.
        block: That a fit would read; by default the preset's.
        blocks: To show; by default that one and some around it.
        num_frames: By default the preset's.
        stride: By default so many frames of a file a second as the video has.
        crop: center, none (black is added) or x,y,w,h.
        fps: Frames a second of the video; by default the preset's.
        backbone: In place of the preset's.
    """
    for name, path in (("video", video), ("mask", mask)):
        if path is not None and not path.exists():
            raise missing(name, path)
    configs = over_default(config or [])
    settings = read_settings(*configs)
    objective = settings.model["objective"] or AttentionMotionFlow()
    if type(objective).flow is Objective.flow:  # said before anything is loaded
        raise DitflowError(
            f"config={' '.join(configs)}: {type(objective).__name__} has no motion flow to "
            "show; use a preset of ditflow's own method."
        )
    given = _given(name=backbone, device=device, dtype=dtype)
    loaded = load(settings, (num_frames, height, width), **given)
    guided = settings.model["block"] if block is None else block
    shown = _blocks(blocks, guided, loaded)
    frames = {"start_frame": start_frame, "num_frames": num_frames, "stride": stride}
    size = {"height": height, "width": width, "crop": crop, "fps": fps}
    data = settings.data | _given(mask=mask, **size, **frames)
    names = "start_frame", "num_frames", "stride", "resample", "fps"
    chosen = FrameRange(*(data[name] for name in names))
    seen = data["height"], data["width"], Crop.parse(data["crop"])
    paths = [output / name for name in ("preview.png", "preview.mp4")]
    with ExitStack() as held, RunProgress() as progress:
        reference = read_reference(loaded, video, data["mask"], chosen, *seen)
        _check_motion(loaded, reference)
        held.enter_context(claim(output))
        progress.begin(output)
        motion = read_motion(loaded, objective, reference, shown, guided, data["cache"])
        lines = findings(motion)
        title = describe(motion, video.name, loaded.name, seen[-1])
        described = f"{title}\n{as_table(motion)}"
        print(described)
        progress.say("result", described)
        for line in lines:
            print(f"Warning: {line}")
            progress.say("warning", line)
        sheet = Sheet(motion, title, lines)
        with atomic_write(paths[0]) as partial:
            sheet.picture().save(partial)
        write_video(sheet.video(), paths[1], data["fps"] or loaded.fps)
    print(f"Wrote to {output}:")
    for path in paths:
        print(f"  {path}")


def _given(**options: Any) -> dict[str, Any]:
    """Those options that were given."""
    return {name: value for name, value in options.items() if value is not None}


def _blocks(given: Sequence[int] | None, guided: int, backbone: Backbone) -> list[int]:
    """The blocks to show, in order; the one that a fit would read always is."""
    for block in (guided, *(given or ())):
        backbone.check_block(block)
    return sorted({guided, *(given or spread_around(guided, backbone.num_blocks))})


def _check_motion(backbone: Backbone, reference: ReferenceVideo) -> None:
    """Refuse what a temporal patch makes one frame of tokens of: nothing moves within it."""
    count, _, height, width = reference.frames.shape
    frames, _, _ = backbone.token_grid(backbone.latent_shape(count, height, width))
    if frames < 2:
        more = count + backbone.temporal_ratio
        raise DitflowError(
            f"num_frames={count} is a single frame of tokens of {backbone.name}; give at least "
            f"{more}."
        )


def describe(motion: ReferenceMotion, video: str, backbone: str, crop: Crop) -> str:
    """What was read, in a line."""
    frames, _, *size = motion.reference.frames.shape
    tokens = " x ".join(map(str, motion.grid))
    said = f"{video} on {backbone}, {frames} frames of {size[0]}x{size[1]}, {tokens} tokens"
    source = motion.reference.source
    if source is None or (crop == Crop() and source[0] * size[1] == source[1] * size[0]):
        return said
    return (
        f"{said}, crop {crop}: {crop.kept(source, (size[0], size[1]))} of {source[1]}x{source[0]}"
    )


def as_table(motion: ReferenceMotion) -> str:
    """The numbers, a row a signal."""
    place = "" if motion.mask is None else " (in the mask)"
    rows = [f"{'':<22}{'patches that move':>20}{'median confidence':>20}{place}"]
    for shown in (*motion.blocks, motion.latents):
        guided = " (guided)" if shown is motion.guided else ""
        sure = "" if shown.confidence is None else f"{shown.median_confidence(motion.mask):.3f}"
        share = f"{shown.moving_share(motion.mask):.1%}"
        rows.append(f"{shown.name + guided:<22}{share:>20}{sure:>20}".rstrip())
    return "\n".join(rows)
