"""`ditflow preview`: what a fit would be guided by, before it is paid for."""

from collections.abc import Sequence
from pathlib import Path

from ditflow.backbones.base import Backbone
from ditflow.backbones.loading import Dtype
from ditflow.errors import DitflowError
from ditflow.objectives import AttentionMotionFlow, Objective
from ditflow.preview.findings import findings
from ditflow.preview.motion import ReferenceMotion, read_motion, spread_around
from ditflow.preview.sheet import Sheet
from ditflow.reference import ReferenceVideo, read_reference
from ditflow.runs.claim import claim
from ditflow.settings.options import over_default
from ditflow.settings.parsing import CommandParser
from ditflow.settings.stacked import read_settings
from ditflow.utils.files import whole
from ditflow.video.reading import FrameRange
from ditflow.video.writing import write_video


def preview(args: Sequence[str]) -> int:
    """Show the motion that a fit would read of a reference, and say what is wrong with it.

    One pass through the transformer and no optimisation: `preview.png` and `preview.mp4` have the
    motion flow of several blocks, how sure the attention is, and the nearest neighbours of plain
    latents to compare with.

    Returns:
        0, with warnings too.
    """
    given = preview_parser().parse_args(list(args))
    for name in ("video", "mask"):
        path = given[name]
        if path is not None and not path.exists():
            raise DitflowError(f"{name}={path} does not exist; give a video file or a folder.")
    configs = over_default(given.config or [])
    settings = read_settings(*configs)
    objective = settings.model["objective"] or AttentionMotionFlow()
    if type(objective).flow is Objective.flow:  # said before anything is loaded
        raise DitflowError(
            f"config={' '.join(configs)}: {type(objective).__name__} has no motion flow to "
            "show; use a preset of ditflow's own method."
        )
    names = {"backbone": "name", "device": "device", "dtype": "dtype"}
    own = {full: given[name] for name, full in names.items() if given[name] is not None}
    backbone = settings.load_backbone(**own)
    guided = settings.model["block"] if given.block is None else given.block
    blocks = _blocks(given.blocks, guided, backbone)
    data = dict(settings.data)
    data |= {name: given[name] for name in data if given.get(name) is not None}
    chosen = FrameRange(data["start_frame"], data["num_frames"], data["stride"], data["resample"])
    reference = read_reference(
        backbone, given.video, data["mask"], chosen, data["height"], data["width"]
    )
    _check_motion(backbone, reference)
    paths = [given.output / name for name in ("preview.png", "preview.mp4")]
    with claim(given.output):
        motion = read_motion(backbone, objective, reference, blocks, guided, data["cache"])
        lines = findings(motion)
        title = describe(motion, given.video.name, backbone.name)
        print(f"{title}\n{as_table(motion)}")
        for line in lines:
            print(f"Warning: {line}")
        sheet = Sheet(motion, title, lines)
        with whole(paths[0]) as partial:
            sheet.picture().save(partial)
        write_video(sheet.video(), paths[1], data["fps"] or backbone.fps)
    print(f"Wrote to {given.output}:")
    for path in paths:
        print(f"  {path}")
    return 0


def preview_parser() -> CommandParser:
    """Of the command line."""
    parser = CommandParser(prog="ditflow preview", description=preview.__doc__)
    parser.add_argument("--video", type=Path, required=True, help="The reference.")
    parser.add_argument("--output", type=Path, required=True, help="Folder of what is made.")
    parser.add_presets()
    parser.add_argument("--mask", type=Path, help="Image, or video, of what alone is to guide.")
    parser.add_argument("--block", type=int, help="That a fit would read; by default the preset's.")
    parser.add_argument(
        "--blocks", type=int, nargs="+", help="To show; by default that one and some around it."
    )
    parser.add_argument("--start-frame", type=int)
    parser.add_argument("--num-frames", type=int, help="By default the preset's.")
    parser.add_argument("--stride", type=int)
    parser.add_argument("--height", type=int)
    parser.add_argument("--width", type=int)
    parser.add_argument("--backbone", type=str, help="In place of the preset's.")
    parser.add_argument("--device", type=str)
    parser.add_argument("--dtype", type=Dtype)
    return parser


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


def describe(motion: ReferenceMotion, video: str, backbone: str) -> str:
    """What was read, in a line."""
    frames, _, height, width = motion.reference.frames.shape
    tokens = " x ".join(map(str, motion.grid))
    return f"{video} on {backbone}, {frames} frames of {height}x{width}, {tokens} tokens"


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
