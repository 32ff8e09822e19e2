"""Which part of a reference the model sees, and that what is added to it does not guide."""

import logging

import numpy as np
import pytest
import torch

from ditflow import DitflowError
from ditflow.objectives import MotionFeature
from ditflow.reference import read_reference
from ditflow.video.cropping import Crop
from ditflow.video.sizing import fit_size, resize_and_crop


@pytest.fixture
def wide():
    """Nine frames 160 wide and 40 high whose red says the column, and green the row."""
    pixels = np.zeros((9, 40, 160, 3), np.uint8)
    pixels[..., 0] = np.arange(160)
    pixels[..., 1] = np.arange(40)[:, None]
    return pixels


def test_the_part_that_is_named_is_taken(rope, wide, caplog):
    with caplog.at_level(logging.INFO):
        read = read_reference(rope, wide, height=32, width=32, crop=Crop.parse("100,8,32,32"))
    assert torch.equal(read.frames, fit_size(wide[:, 8:40, 100:132], 32, 32))
    assert read.mask is None
    assert "of which 100,8,32,32 (x,y,w,h) is kept" in caplog.text


def test_one_of_the_size_is_no_reason_to_leave_the_crop_out(rope, wide):
    read = read_reference(
        rope, wide[..., :32, :64, :], height=32, width=64, crop=Crop.parse("0,0,32,16")
    )
    assert torch.equal(read.frames, fit_size(wide[:, :16, :32], 32, 64))


def test_what_much_is_cut_off_of_is_warned_of(rope, wide, caplog):
    read_reference(rope, wide, height=32, width=32)
    (said,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "75% of it cut off at the sides: it keeps 60,0,40,40" in said.getMessage()
    caplog.clear()
    read_reference(rope, wide[:, :, :50], height=32, width=32)
    assert not [record for record in caplog.records if record.levelno == logging.WARNING]


def test_black_that_is_added_does_not_guide(rope, wide):
    frames, mask, *_ = read_reference(rope, wide + 50, height=64, width=64, crop=Crop(padded=True))
    assert mask.shape == (9, 64, 64)
    assert mask[:, 24:40].min() == 1  # 160x40 is 64x16
    assert mask[:, :24].max() == mask[:, 40:].max() == 0
    assert torch.equal(frames.amax(1) > 0, mask > 0)
    object_ = np.zeros((40, 160), bool)
    object_[:, :80] = True
    masked = read_reference(rope, wide, object_, height=64, width=64, crop=Crop(padded=True)).mask
    assert masked[:, 24:40, :30].min() > 0.99
    assert masked.sum() == masked[:, 24:40, :34].sum()
    assert read_reference(rope, wide, height=16, width=64, crop=Crop(padded=True)).mask is None
    with pytest.raises(DitflowError, match="leave --mask and --crop none out"):
        MotionFeature().check_mask(mask)


def test_a_mask_is_cropped_alike(rope, wide):
    """One of half the resolution, too."""
    covered = np.zeros((40, 160), bool)
    covered[8:24, 100:116] = True
    for mask in (covered, covered[::2, ::2]):
        read = read_reference(rope, wide, mask, height=32, width=32, crop=Crop.parse("100,8,32,32"))
        assert torch.equal(read.mask[:, :14, :14], torch.ones(9, 14, 14))
        assert read.mask[:, 18:].max() == read.mask[:, :, 18:].max() == 0


@pytest.mark.parametrize("shape", [(10, 7), (7, 10), (2, 1000), (8, 8)])
def test_nothing_of_what_is_padded_is_lost(shape):
    frames = torch.ones(1, 1, *shape)
    padded = resize_and_crop(frames, 8, 12, Crop(padded=True))
    assert padded.shape == (1, 1, 8, 12)
    assert padded[..., 4, 6] == 1


@pytest.mark.parametrize("text", ["middle", "1,2,3", "0,0,0,5", "-1,0,5,5", "1.5,0,5,5", ""])
def test_what_is_no_crop_is_said(text):
    with pytest.raises(DitflowError, match=f"crop={text} must be center, none, or x,y,w,h"):
        Crop.parse(text)


def test_a_part_that_is_not_there(rope, wide):
    with pytest.raises(DitflowError, match="crop=100,0,100,40 reaches beyond .* 160 wide and 40"):
        read_reference(rope, wide, height=32, width=32, crop=Crop.parse("100,0,100,40"))
