"""SMM and MOFT against naive formulas."""

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck

from ditflow.functional import (
    marginal_mean_loss,
    motion_channels,
    motion_feature,
    motion_feature_loss,
    spatial_marginal_mean,
)

FRAMES, PATCHES, CHANNELS = 4, 6, 50


@pytest.fixture
def features() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shape = (2, FRAMES, PATCHES, CHANNELS)
    return torch.randn(shape, generator=generator, dtype=torch.float64).unbind(0)


def smm_loss(video, reference):
    return marginal_mean_loss(spatial_marginal_mean(video), spatial_marginal_mean(reference))


def moft_loss(video, reference, share=0.1):
    channels = motion_channels(reference, share)
    return motion_feature_loss(motion_feature(video, channels), motion_feature(reference, channels))


def test_spatial_marginal_mean_equals_a_loop_over_pairs(features):
    video, reference = features
    losses = []
    for i in range(FRAMES):
        for j in range(FRAMES):
            if i != j:
                ours = sum(video[j]) / PATCHES - sum(video[i]) / PATCHES
                theirs = sum(reference[j]) / PATCHES - sum(reference[i]) / PATCHES
                losses.append(1 - ours @ theirs / (ours.norm() * theirs.norm()))
    torch.testing.assert_close(smm_loss(video, reference), sum(losses) / len(losses))


def test_motion_feature_equals_a_loop_over_positions(features):
    video, reference = features
    still = reference - sum(reference) / FRAMES
    _, _, right = torch.linalg.svd(still.reshape(-1, CHANNELS))
    kept = right[0].abs().argsort(descending=True)[:5]
    ours = (video - sum(video) / FRAMES)[..., kept]
    losses = [
        1 - F.cosine_similarity(ours[f, s], still[f, s, kept], dim=0)
        for f in range(FRAMES)
        for s in range(PATCHES)
    ]
    assert set(motion_channels(reference, 0.1).nonzero()[:, 0].tolist()) == set(kept.tolist())
    torch.testing.assert_close(moft_loss(video, reference), sum(losses) / len(losses))


@pytest.mark.parametrize("loss", [smm_loss, moft_loss])
def test_a_reference_against_itself_is_zero_and_its_reverse_is_not(features, loss):
    reference = features[1]
    assert loss(reference, reference).item() == pytest.approx(0, abs=1e-9)
    assert loss(reference.flip(0), reference) > 0.5


@pytest.mark.parametrize("loss", [smm_loss, moft_loss])
def test_gradients(features, loss):
    video, reference = features
    video = video.clone().requires_grad_()
    assert gradcheck(lambda x: loss(x, reference), video)


@pytest.mark.parametrize("loss", [smm_loss, moft_loss])
def test_a_static_reference_gives_zero_and_finite_gradients(features, loss):
    video = features[0].clone().requires_grad_()
    value = loss(video, features[1][:1].expand(FRAMES, -1, -1))
    value.backward()
    assert value == 0
    assert video.grad.isfinite().all()
    still = features[0][:1].expand(FRAMES, -1, -1).clone().requires_grad_()
    loss(still, features[1]).backward()
    assert still.grad.isfinite().all()
