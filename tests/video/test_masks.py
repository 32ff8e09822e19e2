"""A mask is read, cut and cropped as its reference is, or refused; and it restricts what guides."""

import numpy as np
import pytest
import torch
from PIL import Image

from ditflow import DitflowError, MotionDataModule, MotionTransfer
from ditflow.commands.selftest import displacement
from ditflow.metrics import LucasKanade
from ditflow.objectives import AttentionMotionFlow, MotionFeature
from ditflow.reference import read_reference
from ditflow.runs.quiet import quiet_trainer
from ditflow.settings.stacked import read_settings
from ditflow.sprites.render import render
from ditflow.sprites.world import Clip
from ditflow.video.reading import FrameRange
from ditflow.video.writing import write_video


def write_frames(frames: np.ndarray, folder):
    """[T, height, width] of uint8 as a folder of grey PNGs."""
    folder.mkdir()
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{index}.png")
    return folder


@pytest.fixture
def square(tmp_path):
    """A white square that crosses a black picture of another shape than the model's."""
    frames = np.zeros((24, 80, 120), np.uint8)
    for time in range(24):
        frames[time, 30:50, 10 + 3 * time : 30 + 3 * time] = 255
    return write_frames(frames, tmp_path / "square")


@pytest.mark.parametrize("resample", [False, True])
def test_a_mask_is_cropped_as_its_reference(rope, square, resample, caplog):
    """Of a reference that is its own mask both come out the same."""
    chosen = FrameRange(2, 14, 1 if resample else 2, resample)
    frames, mask, *_ = read_reference(rope, square, square, chosen, 48, 32)
    assert mask.shape == ((13 if resample else 9), 48, 32)
    torch.testing.assert_close(mask, frames[:, 0])
    assert (mask[0] != mask[-1]).any()


def test_a_video_is_a_mask_too(rope, square, tmp_path):
    frames, *_ = read_reference(rope, square, None, FrameRange(0, 9), 80, 120)
    write_video(frames * 0.6, tmp_path / "mask.mp4")  # what is not quite white counts as well
    _, mask, *_ = read_reference(
        rope, tmp_path / "mask.mp4", tmp_path / "mask.mp4", FrameRange(), 80, 120
    )
    assert (mask - frames[:, 0]).abs().mean() < 5e-3


def test_one_image_is_for_all_frames(rope, square, tmp_path):
    pixels = np.zeros((40, 60, 4), np.uint8)  # half the reference's resolution
    pixels[:20, :, 0] = 128  # a colour of DAVIS annotations
    pixels[..., 3] = 255
    pixels[:, :30, 3] = 0  # transparent
    Image.fromarray(pixels).save(tmp_path / "mask.png")
    _, mask, *_ = read_reference(rope, square, tmp_path / "mask.png", FrameRange(), 80, 120)
    assert mask.shape == (21, 80, 120)
    assert (mask == mask[0]).all()
    assert mask[0, :38, 62:].min() == 1
    assert mask[0, 42:].max() == mask[0, :, :58].max() == 0


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("missing", "does not exist"),
        ("text", "has no readable video stream"),
        ("broken", "is not an image"),
        ("proportions", "is 80x80, but .* is 80x120"),
        ("short", "has 10 frames, but .* has 24"),
        ("empty", "leaves nothing"),
        ("outside", "leaves nothing"),
    ],
)
def test_bad_masks(rope, square, tmp_path, kind, expected):
    path = tmp_path / {"text": "mask.txt", "broken": "mask.png"}.get(kind, "mask")
    shape = (1 if kind == "proportions" else 24), 80, (80 if kind == "proportions" else 120)
    frames = np.zeros(shape, np.uint8)
    if kind in ("text", "broken"):
        path.write_text("no mask")
    elif kind == "proportions":
        path = tmp_path / "mask.jpg"
        Image.fromarray(frames[0]).save(path)
    elif kind == "outside":  # of the square that is left of it
        frames[:, :, :15] = 255
        write_frames(frames, path)
    elif kind != "missing":
        write_frames(frames[:10] if kind == "short" else frames, path)
    with pytest.raises(DitflowError, match=f"mask=.*{expected}"):
        read_reference(rope, square, path, FrameRange(), 64, 64)


def reference_motion(rope, frames, mask=None, **options):
    module = MotionTransfer(rope, objective=AttentionMotionFlow(temperature=4.0, **options))
    module.progress = False
    module.encode_reference(frames, mask=mask)
    return module


def test_the_mask_and_the_confidence_weigh_the_reference(rope, square):
    frames, mask, *_ = read_reference(rope, square, square, FrameRange(0, 5), 32, 32)
    plain = reference_motion(rope, frames)
    assert plain.reference_weight is None
    masked = reference_motion(rope, frames, mask)
    assert (masked.reference_motion == plain.reference_motion).all()
    weight = masked.reference_weight
    assert weight.shape == (2, 1, 16)
    assert (
        0.2 < weight[0, 0, 4] < 0.3
    )  # half the square is in the crop, on a quarter of two patches
    assert weight[0, 0, 12:].max() == 0
    sure = reference_motion(rope, frames, confidence=True).reference_weight
    both = reference_motion(rope, frames, mask, confidence=True).reference_weight
    assert sure.shape == (2, 2, 16)
    assert 0 <= sure.min() < sure.max() <= 1
    torch.testing.assert_close(both, sure * weight)


def test_what_holds_still_in_the_mask_is_said(rope, square, caplog):
    frames, mask, *_ = read_reference(rope, square, square, FrameRange(0, 5), 32, 32)
    frames = torch.cat([frames[:1].expand(5, -1, -1, -1)[..., :16], frames[..., 16:] * 0], dim=-1)
    reference_motion(rope, frames, mask)
    assert "Nothing moves in the mask's part of the reference" in caplog.text


def test_an_objective_of_whole_frames_takes_none(rope, square):
    module = MotionTransfer(rope, objective=MotionFeature())
    module.progress = False
    frames, mask, *_ = read_reference(rope, square, square, FrameRange(0, 5), 32, 32)
    with pytest.raises(DitflowError, match="mask: MotionFeature.*AttentionMotionFlow"):
        module.encode_reference(frames, mask=mask)


def test_the_data_of_a_fit_reads_its_mask_once(rope, square):
    data = MotionDataModule(video=square, mask=str(square), prompts=["x"], num_frames=9)
    read = data.read_reference(rope)
    assert data.read_reference(rope) is read
    assert read.mask.shape == (9, 64, 64) == (len(data.frames), *data.frames.shape[2:])


@pytest.mark.slow
def test_a_mask_chooses_which_of_two_sprites_is_followed(rope, tmp_path):
    """One moves right, one left, and the decoded video moves as the one in the mask."""
    right = tuple((0.25 + 0.5 * t / 24, 0.27) for t in range(25))
    left = tuple((0.75 - 0.5 * t / 24, 0.74) for t in range(25))
    clips = [
        Clip("circle", "red", "gray", 0.2, right, texture_seed=3),
        Clip("square", "blue", "gray", 0.2, left, texture_seed=3),
        Clip("circle", "red", "gray", 1e-6, right, texture_seed=3),  # the background alone
    ]
    *drawn, background = render(clips)
    covered = [((frames - background).abs().amax(1, True) > 0.08).float() for frames in drawn]
    both = torch.where(covered[1] > 0, drawn[1], drawn[0])
    write_video(both, tmp_path / "both.mp4")
    settings, moved = read_settings("sprites-rope"), {}
    for name, mask in {"no mask": None, "right": covered[0], "left": covered[1]}.items():
        path = None if mask is None else tmp_path / f"{name}.mp4"
        if path is not None:
            write_video(mask.expand(-1, 3, -1, -1), path)
        prompts = ["a green diamond on a brown background"]
        data = MotionDataModule(video=tmp_path / "both.mp4", mask=path, prompts=prompts)
        module = settings.module(rope)
        quiet_trainer(tmp_path, [], rope.device).fit(module, data)
        moved[name] = displacement(module.videos[0], LucasKanade())
        print(f"{name}: {moved[name]:+.2f} widths")
    assert abs(moved["no mask"]) < 0.1
    assert moved["right"] > 0.1
    assert moved["left"] < -0.1
