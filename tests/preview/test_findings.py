"""Plain warnings of references that a fit has nothing to learn from, and none of others."""

import pytest
import torch

from ditflow.objectives import AttentionMotionFlow
from ditflow.preview.findings import findings
from ditflow.preview.motion import read_motion
from ditflow.reference import ReferenceVideo
from ditflow.sprites.render import render
from tests.conftest import straight_clip

MOVING = render([straight_clip()])[0][:9]


def found(backbone, frames: torch.Tensor, mask: torch.Tensor | None = None) -> list[str]:
    objective, reference = AttentionMotionFlow(temperature=4.0), ReferenceVideo(frames, mask)
    return findings(read_motion(backbone, objective, reference, [6], guided=6, cache=False))


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        (MOVING[:1].expand(5, -1, -1, -1), "Nothing moves in the reference"),
        (render([straight_clip(250)])[0][:9], "too small for the token grid: at most 0.1"),
        (torch.cat([MOVING[:4], 1 - MOVING[4:]]), "change its scene at frame 4, counted from 0"),
    ],
    ids=["still", "slow", "cut"],
)
def test_what_is_wrong_is_said_once(rope, frames, expected):
    (said,) = found(rope, frames)
    assert expected in said


def test_a_moving_reference_is_not_warned_of(rope):
    assert found(rope, MOVING) == []


def test_a_mask_is_asked_for_its_own_motion(rope):
    """Of a picture whose left half holds still."""
    frames = torch.cat([MOVING[:1].expand(5, -1, -1, -1), MOVING[:5]], dim=-1)
    mask = torch.zeros(5, 64, 128)
    mask[..., :48] = 1
    (said,) = found(rope, frames, mask)
    assert "Nothing moves in the mask's part of the reference" in said
    assert found(rope, frames, mask.flip(-1)) == []


@pytest.mark.parametrize("shown", [4, 8])
def test_a_mask_may_be_empty_in_the_first_frames(rope, shown):
    """Of a still object that comes later, or with the last frame, beside one that moves."""
    frames = torch.cat([MOVING[:1].expand(9, -1, -1, -1), MOVING], dim=-1)
    mask = torch.zeros(9, 64, 128)
    mask[shown:, :, :48] = 1
    (said,) = found(rope, frames, mask)
    assert "Nothing moves in the mask's part of the reference" in said
    assert found(rope, frames, mask.flip(-1)) == []


def test_a_mask_may_lie_between_two_tracks(rope):
    frames = torch.cat([MOVING[:1].expand(9, -1, -1, -1), MOVING], dim=-1)
    mask = torch.zeros(9, 64, 128)
    mask[:, 32, 17] = 1
    (said,) = found(rope, frames, mask)
    assert "Nothing moves in the mask's part of the reference" in said
