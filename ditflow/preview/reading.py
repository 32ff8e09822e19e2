"""A preview put together: what is read of a reference, with which settings, and said of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ditflow.backbones.base import Backbone
from ditflow.errors import DitflowError
from ditflow.objectives import AttentionMotionFlow, Objective
from ditflow.preview.findings import findings
from ditflow.preview.motion import ReferenceMotion, read_motion, spread_around
from ditflow.preview.sheet import Sheet
from ditflow.reference import ReferenceVideo, read_reference
from ditflow.settings.stacked import Settings
from ditflow.video.cropping import Crop
from ditflow.video.in_memory import Frames
from ditflow.video.reading import FrameRange


@dataclass(frozen=True)
class Preview:
    """A reference, read and checked, of which nothing has been passed through the model yet.

    Attributes:
        backbone: the model.
        objective: that has a motion flow.
        reference: at the backbone's size.
        named: what the reference is called.
        blocks: to show, in order.
        guided: the one of them that a fit would read.
        crop: how the reference came to its size.
        cache: take its latents from an earlier run, or keep them for a later.
    """

    backbone: Backbone
    objective: Objective
    reference: ReferenceVideo
    named: str
    blocks: Sequence[int]
    guided: int
    crop: Crop
    cache: bool

    @classmethod
    def of(
        cls,
        settings: Settings,
        backbone: Backbone,
        video: Path | Frames,
        block: int | None = None,
        blocks: Sequence[int] | None = None,
        **data: Any,
    ) -> Self:
        """A preview by settings.

        Args:
            settings: of a fit, see `check_flow`.
            backbone: the model.
            video: a file, a folder of frames, or frames in memory.
            block: that a fit would read; by default the settings'.
            blocks: to show; by default that one and some around it.
            data: arguments of `MotionDataModule` in place of the settings'; a mask may be in
                memory, too.

        Raises:
            DitflowError: no such block, or a reference or mask that cannot be used.
        """
        data = settings.data | data
        guided = settings.model["block"] if block is None else block
        for each in (guided, *(blocks or ())):
            backbone.check_block(each)
        shown = sorted({guided, *(blocks or spread_around(guided, backbone.num_blocks))})
        names = "start_frame", "num_frames", "stride", "resample", "fps"
        frames, crop = FrameRange(*(data[name] for name in names)), Crop.parse(data["crop"])
        size = data["height"], data["width"]
        reference = read_reference(backbone, video, data["mask"], frames, *size, crop)
        _check_motion(backbone, reference)
        named = video.name if isinstance(video, Path) else "the frames given"
        objective = settings.model["objective"] or AttentionMotionFlow()
        return cls(backbone, objective, reference, named, shown, guided, crop, data["cache"])

    def sheet(self) -> Sheet:
        """What there is to see: the motion in its title, and warnings as its notes."""
        motion = read_motion(
            self.backbone, self.objective, self.reference, self.blocks, self.guided, self.cache
        )
        title = describe(motion, self.named, self.backbone.name, self.crop)
        return Sheet(motion, title, findings(motion))


def check_flow(settings: Settings, named: str) -> None:
    """Refuse a method that a preview has nothing to show of.

    Args:
        settings: of the method.
        named: how the user named it, as `option=value`.

    Raises:
        DitflowError: its objective has no motion flow.
    """
    objective = settings.model["objective"] or AttentionMotionFlow()
    if type(objective).flow is Objective.flow:
        raise DitflowError(
            f"{named}: {type(objective).__name__} has no motion flow to show; use a preset of "
            "ditflow's own method."
        )


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
