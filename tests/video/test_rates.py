"""A reference is taken by time: as many frames a second as the video that is made has."""

import logging

import numpy as np
import pytest
import torch
from PIL import Image

from ditflow import DitflowError, MotionDataModule
from ditflow.reference import read_reference
from ditflow.video.reading import FrameRange
from ditflow.video.writing import write_video


def clip(path, fps: float, count: int = 40):
    """A video whose brightness says which frame it is, on the folder of its frames as well."""
    levels = torch.arange(count) / count
    write_video(levels[:, None, None, None].expand(-1, 3, 64, 64), path, fps)
    return path


def numbers(rope, path, **options):
    return list(read_reference(rope, path, None, FrameRange(**options)).numbers)


def test_a_faster_file_is_thinned_out_and_said(rope, tmp_path, caplog):
    path = clip(tmp_path / "30.mp4", 30)
    with caplog.at_level(logging.INFO):
        assert numbers(rope, path) == [0, 4, 8, 11, 15, 19, 23, 26, 30]  # every 3.75th
    assert "(from frame 0, every 3.75: 30 to 8 frames a second)" in caplog.text
    assert numbers(rope, path, start=4, fps=15) == [*range(4, 40, 2)][:17]
    assert numbers(rope, path, stride=1) == list(range(25))
    assert numbers(rope, path, stride=2, fps=8) == list(range(0, 40, 2))[:17]
    assert numbers(rope, path, count=5) == [0, 4, 8, 11, 15]
    assert len(numbers(rope, path, count=13, resample=True)) == 13


@pytest.mark.parametrize("rate", [7.8, 8, 8.33])
def test_about_the_same_rate_is_the_same(rope, tmp_path, caplog, rate):
    with caplog.at_level(logging.INFO):
        assert numbers(rope, clip(tmp_path / "8.mp4", rate, 13)) == list(range(13))
    assert "a second" not in caplog.text


def test_a_slower_file_is_taken_as_it_is_and_said(rope, tmp_path, caplog):
    path = clip(tmp_path / "5.mp4", 5, 13)
    with caplog.at_level(logging.INFO):
        assert numbers(rope, path) == list(range(13))
    assert "the motion becomes 1.6 times as fast; --fps 5 keeps it" in caplog.text
    caplog.clear()
    assert numbers(rope, path, fps=5) == list(range(13))
    assert "as fast" not in caplog.text


def test_a_folder_and_frames_in_memory_have_no_rate(rope, tmp_path):
    for index in range(13):
        Image.new("RGB", (64, 64), (index, 0, 0)).save(tmp_path / f"{index}.png")
    assert numbers(rope, tmp_path) == list(range(13))
    assert numbers(rope, torch.rand(13, 3, 64, 64), fps=2) == list(range(13))


def test_a_mask_is_taken_at_the_same_times(rope, tmp_path):
    path = clip(tmp_path / "30.mp4", 30)
    clip(tmp_path / "mask.mp4", 8)  # one that was drawn by hand may be of any rate
    frames, mask, *_ = read_reference(rope, path, tmp_path / "mask.mp4")
    bright = frames.mean(dim=(1, 2, 3)) > 65 / 255
    assert torch.equal(mask.mean(dim=(1, 2)) > 0.5, bright)
    assert 0 < bright.sum() < len(bright)


def test_the_rate_of_the_results_is_that_of_the_reference(rope, tmp_path):
    path = clip(tmp_path / "30.mp4", 30)
    own = MotionDataModule(video=path, prompts=["a"])
    own.read_reference(rope)
    assert (own.fps, own.numbers[:3]) == (8, [0, 4, 8])
    other = MotionDataModule(video=path, prompts=["a"], fps=15)
    other.read_reference(rope)
    assert (other.fps, other.numbers[:3]) == (15, [0, 2, 4])


def test_too_few_are_left(rope, tmp_path):
    path = clip(tmp_path / "short.mp4", 30, 15)
    with pytest.raises(DitflowError, match="has 4 frames to take.*--stride 1"):
        numbers(rope, path)
    assert np.array_equal(numbers(rope, path, stride=1), range(13))
