"""What a preview shows is what a fit reads."""

import pytest
import torch

from ditflow import MotionTransfer
from ditflow.backbones.base import PassInput
from ditflow.functional import attention_confidence, nearest_neighbor_flow
from ditflow.objectives import AttentionMotionFlow
from ditflow.preview.motion import Motion, read_motion, spread_around
from ditflow.reference import ReferenceVideo
from ditflow.sprites.render import render
from tests.conftest import straight_clip


def test_equals_what_a_fit_reads(sprites):
    frames = render([straight_clip(9)])[0][:5]
    mask = torch.zeros(5, 64, 64)
    mask[:, :8] = 1
    objective = AttentionMotionFlow(temperature=4.0)
    shown = read_motion(
        sprites, objective, ReferenceVideo(frames, mask), [2, 6], guided=6, cache=False
    )
    assert shown.guided is shown.blocks[1]
    assert [shown.frame_at(time) for time in range(5)] == [0, 1, 1, 1, 1]
    assert [shown.middle(0), shown.middle(1)] == [0, 2]
    assert shown.mask.sum(1).tolist() == [8, 8]
    for block, motion in zip((2, 6), shown.blocks, strict=True):
        module = MotionTransfer(sprites, objective=objective, block=block)
        module.progress = False
        assert (module.encode_reference(frames) == motion.flow).all()
        positions = sprites.positions(tuple(module.reference_latents.shape))
        prompt = sprites.encode_prompt("")
        given = PassInput(module.reference_latents, 0, prompt, positions)
        outputs = sprites.query_key(given, block)
        sure = attention_confidence(outputs.query, outputs.key, outputs.grid, temperature=4.0)
        assert (motion.confidence == sure).all()
    nearest = nearest_neighbor_flow(module.reference_latents, shown.grid)
    assert (shown.latents.flow == nearest).all()


def test_shares_count_pairs_of_different_frames_and_the_mask():
    flow = torch.zeros(2, 2, 4, 2)
    flow[0, 0] = 1  # within a frame: no motion
    flow[0, 1, 0] = torch.tensor([0.0, -2.0])
    confidence = torch.zeros(2, 2, 4)
    confidence[0, 1], confidence[1, 0] = 0.25, 0.75
    confidence[0, 1, 0] = 0.5
    motion = Motion("block 1", flow, confidence)
    assert motion.moving_share() == pytest.approx(1 / 8)
    mask = torch.tensor([[1.0, 0.5, 0, 0], [0, 0, 0, 0]])
    assert motion.moving_share(mask) == pytest.approx(1 / 1.5)
    assert motion.median_confidence(mask) == 0.25
    assert motion.median_confidence(mask * torch.tensor([1.0, 0, 0, 0])) == 0.5


@pytest.mark.parametrize(
    ("block", "num_blocks", "expected"),
    [(20, 42, [10, 15, 20, 25, 30]), (6, 8, [4, 5, 6, 7]), (0, 3, [0, 1, 2])],
)
def test_blocks_around_the_presets(block, num_blocks, expected):
    assert spread_around(block, num_blocks) == expected
