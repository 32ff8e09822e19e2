"""FlowMotion's loss and velocity regularisation against naive formulas."""

from itertools import combinations

import pytest
import torch
from torch.autograd import gradcheck

from ditflow.functional import clean_prediction_loss, frame_distances, steadied

SHAPE = (4, 3, 2, 5)
"""Frames, channels, rows and columns."""


@pytest.fixture
def latents() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, *SHAPE, generator=generator, dtype=torch.float64).unbind(0)


def distances(frames):
    return [(frames[i] - frames[j]).abs() for i, j in combinations(range(len(frames)), 2)]


def test_distances_are_of_every_two_frames(latents):
    ours, naive = frame_distances(latents[0]), torch.stack(distances(latents[0]))
    assert sorted(ours.flatten().tolist()) == pytest.approx(sorted(naive.flatten().tolist()))
    assert len(ours) == 6


def test_the_loss_and_its_gradient_are_the_naive_formula_s(latents):
    """By hand: of |x_i - x_j| one frame has the sign for a gradient, the other its opposite."""
    clean, reference = latents[0].clone().requires_grad_(), latents[1]
    loss = clean_prediction_loss(clean, reference, 20.0, 5.0)
    loss.backward()
    frames, count = clean.detach(), clean.numel()
    pairs = list(combinations(range(SHAPE[0]), 2))
    gradient = 20 * 2 * (frames - reference) / count
    value = 20 * (frames - reference).square().sum() / count
    of_pairs = len(pairs) * count / SHAPE[0]
    for i, j in pairs:
        change = frames[i] - frames[j]
        off = change.abs() - (reference[i] - reference[j]).abs()
        value += 5 * off.square().sum() / of_pairs
        gradient[i] += 5 * 2 * off * change.sign() / of_pairs
        gradient[j] -= 5 * 2 * off * change.sign() / of_pairs
    torch.testing.assert_close(loss.detach(), value)
    torch.testing.assert_close(clean.grad, gradient)
    assert gradcheck(lambda x: clean_prediction_loss(x, reference), clean)
    assert clean_prediction_loss(reference, reference) == 0


def test_a_velocity_keeps_its_part_along_the_course(latents):
    velocity, course = latents
    made = steadied(velocity, course, 0.1)
    frames, _, rows, columns = SHAPE
    for f in range(frames):
        for r in range(rows):
            for c in range(columns):
                own, way = velocity[f, :, r, c], course[f, :, r, c]
                along = (own @ way) / (way @ way) * way
                torch.testing.assert_close(made[f, :, r, c], along + 0.1 * (own - along))
    torch.testing.assert_close(steadied(velocity, -7 * course, 0.1), made)
    torch.testing.assert_close(steadied(velocity, course, 1.0), velocity)
    torch.testing.assert_close(steadied(velocity, torch.zeros_like(course), 0.1), 0.1 * velocity)
