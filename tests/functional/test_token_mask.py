"""Masks on the token grid: which frames and pixels a patch stands for."""

import torch

from ditflow.functional import over_frames, token_mask


def test_frames_go_with_the_vae():
    """The first frame alone, then four each; a temporal patch takes two, padded at the front."""
    times = torch.arange(9.0)
    assert over_frames(times, 3, 3, 4).tolist() == [0, 2.5, 6.5]
    assert over_frames(times, 2, 4, 4).tolist() == [0, 4.5]
    assert over_frames(torch.arange(13.0), 2, 4, 4).tolist() == [1.25, 8.5]


def test_a_patch_counts_by_what_of_it_is_covered():
    mask = torch.zeros(9, 8, 12)
    mask[0, :4, :4] = 1  # the first patch, in the first frame
    mask[5:7, 4:6, 8:12] = 1  # half the last patch, in two frames of four
    found = token_mask(mask, (3, 2, 3), latent_frames=3, temporal_ratio=4)
    expected = torch.zeros(3, 6)
    expected[0, 0], expected[2, 5] = 1, 0.25
    assert torch.equal(found, expected)


def test_grouping_is_the_vaes_own(rope):
    """It is causal: another picture in one frame changes that latent frame and those after it."""
    frames = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)).expand(
        9, -1, -1, -1
    )
    still = rope.encode_video(frames)
    for time in (0, 1, 4, 5, 8):
        changed = frames.clone()
        changed[time] = 1 - changed[time]
        difference = (rope.encode_video(changed) - still).abs().mean(dim=(0, 2, 3, 4))
        told = over_frames((torch.arange(9) == time).float(), 3, 3, 4)
        first = (difference > difference.max() / 2).int().argmax()
        assert first == told.argmax()
