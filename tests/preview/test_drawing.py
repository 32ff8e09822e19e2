"""Arrows lead from patches to where they go, and colours say so."""

import numpy as np
import torch

from ditflow.preview.drawing import draw_confidence, draw_flow, draw_frame


def test_an_arrow_from_a_patch_to_where_it_goes():
    picture = np.full((80, 120, 3), 100, np.uint8)
    flow = torch.zeros(4, 6, 2)
    plain = draw_flow(picture, flow, 2.0, None)
    assert (plain == plain[0, 0]).all()
    flow[1, 1] = torch.tensor([3.0, 2.0])  # patches of 20 pixels: from (30, 30) to (90, 70)
    drawn = draw_flow(picture, flow, 2.0, None)
    changed = (drawn != plain).any(-1)
    rows, columns = np.nonzero(changed)
    assert abs(columns.max() - 90) <= 5
    assert abs(rows.max() - 70) <= 5
    assert changed[20:40, 20:40].all()  # the patch itself is coloured
    assert drawn[50, 60].min() > 200  # midway, the bright line
    assert not changed[:20].any()
    assert not changed[:, 95:].any()


def test_right_is_red_and_left_is_cyan():
    picture = np.zeros((80, 80, 3), np.uint8)
    flow = torch.zeros(4, 4, 2)
    flow[0, 0, 0], flow[3, 3, 0] = 2, -2
    drawn = draw_flow(picture, flow, 2.0, None).astype(int)
    assert drawn[2, 2].argmax() == 0
    assert drawn[78, 78].argmin() == 0


def test_outside_a_mask_is_dark_and_still():
    picture = np.full((40, 40, 3), 200, np.uint8)
    flow = torch.ones(2, 2, 2)
    mask = torch.tensor([[1.0, 0], [0, 0]])
    drawn = draw_flow(picture, flow, 2.0, mask)
    held = draw_flow(picture, flow * 0, 2.0, mask)
    assert (drawn[:10, 30:] == held[:10, 30:]).all()
    assert held[35, 35].max() < 100 < held[5, 5].min()
    assert (drawn[5, 5] != held[5, 5]).any()


def test_a_fine_grid_has_fewer_arrows():
    picture = np.full((60, 90, 3), 100, np.uint8)
    flow = torch.zeros(30, 45, 2)
    flow[..., 0] = 4
    white = (draw_flow(picture, flow, 4.0, None) > 200).all(-1)
    assert 0.01 < white.mean() < 0.15  # with an arrow at every patch all would be covered


def test_surer_is_brighter():
    picture = np.zeros((20, 40, 3), np.uint8)
    drawn = draw_confidence(picture, torch.tensor([[0.0, 0.5]]), 0.5, None)
    assert drawn[10, 10].sum() < drawn[10, 30].sum()


def test_small_frames_grow_and_large_ones_shrink():
    frame = torch.rand(3, 8, 12)
    assert draw_frame(frame, (32, 48)).shape == (32, 48, 3)
    assert draw_frame(frame, (4, 6)).shape == (4, 6, 3)
