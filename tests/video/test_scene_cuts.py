"""Scene cuts of a reference are found, motion is not taken for one."""

import logging

import pytest
import torch

from ditflow import MotionDataModule, MotionTransfer
from ditflow.sprites.render import render
from ditflow.sprites.world import sample_clip
from ditflow.video.scene_cuts import describe_cuts, scene_cuts
from ditflow.video.writing import write_video
from tests.conftest import straight_clip


def clip(seed: int) -> torch.Tensor:
    return render([sample_clip(torch.Generator().manual_seed(seed))])[0]


def test_motion_is_no_cut():
    for seed in range(700_001, 700_031):
        assert scene_cuts(clip(seed)) == []
    still = render([straight_clip()])[0][:1].expand(9, -1, -1, -1)
    assert scene_cuts(still) == []
    pan = torch.rand(3, 64, 400, generator=torch.Generator().manual_seed(0))
    pan = torch.nn.functional.avg_pool2d(pan, 5, 1, 2)
    assert scene_cuts(torch.stack([pan[..., 8 * t : 8 * t + 64] for t in range(21)])) == []


def test_cuts_are_found():
    missed = 0
    for seed in range(700_001, 700_031):
        joined = torch.cat([clip(seed)[:9], clip(seed + 500)[:8], clip(seed)[9:]])
        missed += scene_cuts(joined) != [9, 17]
    assert missed <= 6  # two clips may look alike


def test_a_fit_says_so(rope, caplog):
    black = torch.zeros(4, 3, 64, 64)
    frames = torch.cat([render([straight_clip()])[0][:5], black + 1])
    module = MotionTransfer(rope)
    module.progress = False
    with caplog.at_level(logging.WARNING):
        module.encode_reference(frames)
    assert "change its scene at frame 5, counted from 0" in caplog.text


def test_a_cut_is_named_as_options_count_frames(rope, tmp_path):
    black = torch.zeros(30, 3, 64, 64)
    path = tmp_path / "cut.mp4"
    write_video(torch.cat([black, black + 1]), path)
    data = MotionDataModule(video=path, prompts=["a"], start_frame=20, stride=2, num_frames=21)
    read = data.read_reference(rope)
    assert "at frame 30, counted from 0" in describe_cuts(read.frames, read.numbers)


@pytest.mark.parametrize("part", ["denoise", "decode_video", "encode_video"])
def test_what_is_not_finite_is_said_where_it_comes_up(part, rope, monkeypatch):
    """As after an overflow in float16."""
    from ditflow import DitflowError

    own = getattr(rope, part)
    monkeypatch.setattr(rope, part, lambda *given: own(*given) * float("inf"))
    module = MotionTransfer(rope, num_inference_steps=2)
    module.progress = False
    sampler = module.sampler("a red circle", 0, rope.latent_shape(5, 32, 32))
    run, expected = {
        "denoise": (lambda: module.denoise_rest(sampler, 0), "denoising step 1 of 2"),
        "decode_video": (lambda: module.decode(sampler.latents, 5), "decoded video"),
        "encode_video": (lambda: module.encode_reference(torch.rand(5, 3, 32, 32)), "latents"),
    }[part]
    with pytest.raises(DitflowError, match=f"{expected}.*dtype"):
        run()
