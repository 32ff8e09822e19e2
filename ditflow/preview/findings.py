"""What in a reference would make a fit of it a waste of time."""

import torch

from ditflow.metrics import LucasKanade
from ditflow.preview.motion import ReferenceMotion
from ditflow.video.scene_cuts import describe_cuts

STILL = 0.1
"""Displacements shorter than this, in tokens, are what a tracker finds in compression's noise."""

ROUNDED = 0.5
"""Displacements shorter than this, in tokens, round to none: motion flow counts whole patches."""

FARTHEST = 0.005
"""Share of all tracks that has to move: a small object's, but more than the tracker's errors."""


def findings(motion: ReferenceMotion) -> list[str]:
    """Plain warnings, each with what to do; none where a fit has something to go by."""
    cuts = describe_cuts(motion.reference.frames, motion.reference.numbers)
    if cuts is not None:  # tracks do not lead across one, and say nothing then
        return [cuts]
    _, _, width = motion.grid
    pixels = motion.reference.frames.shape[-1] / width
    reach = farthest(motion) / pixels
    place = "the reference" if motion.mask is None else "the mask's part of the reference"
    share = motion.guided.moving_share(motion.mask)
    if reach < STILL:
        noise = f" What {motion.guided.name} sees move, {share:.0%}, is noise." if share else ""
        return [f"Nothing moves in {place}: a fit would hold the video still.{noise}"]
    if reach < ROUNDED:
        return [
            f"The motion in {place} is too small for the token grid: at most {reach:.2f} of a "
            f"patch of {pixels:g} pixels. Take frames further apart by --stride, or more by "
            "--num-frames."
        ]
    if share == 0:
        return [
            f"{motion.guided.name.capitalize()} sees nothing move in {place}, though something "
            "does: a fit would hold the video still. Look at others by --blocks, and fit with one "
            "of them by --block."
        ]
    return []


def farthest(motion: ReferenceMotion) -> float:
    """How far, in pixels, the farthest tracks get from where they start; of a mask, those in it.

    Tracks start in the first frame in which the mask has something, and if that is the last one
    they are followed back from it.
    """
    frames, mask = motion.reference.frames, motion.reference.mask
    if mask is not None:
        first = int((mask > 0.5).flatten(1).any(1).float().argmax())
        if first == len(frames) - 1:
            frames, mask = frames.flip(0), mask.flip(0)
        else:
            frames, mask = frames[first:], mask[first:]
    tracks = LucasKanade().track(frames, 48)
    reach = (tracks.points - tracks.points[:, :1]).norm(dim=-1).amax(1)
    if mask is not None:
        columns, rows = tracks.points[:, 0].round().long().unbind(-1)
        height, width = mask.shape[1:]
        inside = mask[0, rows.clamp(0, height - 1), columns.clamp(0, width - 1)] > 0.5
        if not inside.any():  # an object smaller than what is between two tracks: the nearest one
            middle = mask[0].nonzero().float().mean(0).flip(0)
            inside = (tracks.points[:, 0] - middle).norm(dim=-1).topk(1, largest=False).indices
        reach = reach[inside]
    return torch.quantile(reach, 1 - FARTHEST).item()
