"""Reading, fitting and writing videos."""

import logging
import subprocess
import sys
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch

from ditflow import DitflowError
from ditflow.video import (
    FrameRange,
    fit_length,
    fit_size,
    fitting_count,
    read_video,
    side_by_side,
    write_video,
)


@pytest.fixture
def frames():
    """Eleven frames whose red says which one it is."""
    video = torch.zeros(11, 3, 32, 48)
    video[:, 0] = torch.linspace(0, 1, 11)[:, None, None]
    video[:, 1, :, :24] = 1
    return video


@pytest.mark.parametrize("suffix", [".mp4", ".gif", ".mov", ".webm"])
def test_round_trip(frames, tmp_path, suffix):
    path = tmp_path / f"video{suffix}"
    if suffix in (".mp4", ".gif"):
        write_video(frames, path)
    else:
        pixels = (frames * 255).byte().permute(0, 2, 3, 1).numpy()
        codec = "libx264" if suffix == ".mov" else "libvpx"
        iio.imwrite(path, pixels, plugin="FFMPEG", fps=8, codec=codec, macro_block_size=1)
    video = read_video(path)
    assert video.shape == (11, 32, 48, 3)
    red = video[:, 16, 40, 0] / 255
    assert np.abs(red - np.linspace(0, 1, 11)).max() < 0.08


def test_folder_of_frames(frames, tmp_path):
    for t, frame in enumerate((frames * 255).byte().permute(0, 2, 3, 1).numpy()):
        iio.imwrite(tmp_path / f"{t:03d}.png", frame)
    assert (read_video(tmp_path) == (frames * 255).byte().permute(0, 2, 3, 1).numpy()).all()
    chosen = read_video(tmp_path, FrameRange(start=2, count=3, stride=4))
    assert (chosen[:, 0, 0, 0] == (frames[[2, 6, 10], 0, 0, 0] * 255).byte().numpy()).all()


def test_frames_of_a_folder_come_in_the_order_of_their_numbers(tmp_path):
    for t in (1, 2, 10):
        iio.imwrite(tmp_path / f"frame{t}.png", np.full((8, 8, 3), t, dtype=np.uint8))
    (tmp_path / "._frame1.png").write_bytes(b"what some systems leave beside a file")
    assert read_video(tmp_path)[:, 0, 0, 0].tolist() == [1, 2, 10]


def test_frames_not_taken_are_said(caplog, frames, tmp_path):
    write_video(frames, tmp_path / "video.mp4")
    with caplog.at_level(logging.INFO):
        read_video(tmp_path / "video.mp4", FrameRange(start=1, count=5, stride=2))
    assert "5 of 11 frames taken (from frame 1, every 2)" in caplog.text


def test_too_few_frames_asked_for():
    with pytest.raises(DitflowError, match="num_frames=4 is too few; give at least 5"):
        fitting_count(4, 4)


def test_odd_sizes_are_written(tmp_path):
    write_video(torch.rand(5, 3, 31, 45), tmp_path / "odd.mp4")
    assert read_video(tmp_path / "odd.mp4").shape == (5, 32, 46, 3)


@pytest.mark.parametrize(("length", "kept"), [(24, 21), (25, 25), (5, 5), (8, 5), (100, 49)])
def test_length_is_cut_to_4k_plus_1_and_said(length, kept, caplog):
    video = np.arange(length)[:, None, None, None]
    with caplog.at_level(logging.INFO):
        cut = fit_length(video, 49, 4)
    assert len(cut) == kept
    assert (cut[:, 0, 0, 0] == np.arange(kept)).all()
    assert ("cut to" in caplog.text) == (kept != length)


def test_resampling_keeps_first_and_last(caplog):
    with caplog.at_level(logging.INFO):
        picked = FrameRange(count=21, resample=True).indices(60, Path("ref.mp4"))
    assert (len(picked), picked[0], picked[-1]) == (21, 0, 59)
    assert "60 frames resampled to 21" in caplog.text


def test_size_keeps_the_aspect_ratio(caplog):
    video = np.zeros((2, 100, 200, 3), dtype=np.uint8)
    video[:, 25:75, 75:125] = 255  # a square in the middle
    with caplog.at_level(logging.INFO):
        fitted = fit_size(video, 64, 64)
    assert fitted.shape == (2, 3, 64, 64)
    bright = fitted[0, 0] > 0.5
    assert abs(int(bright.sum(0).max()) - int(bright.sum(1).max())) <= 1
    assert "resized to 64x128" in caplog.text


def test_side_by_side_takes_the_shortest(frames):
    both = side_by_side([frames, torch.zeros(7, 3, 64, 48)])
    assert both.shape == (7, 3, 32, 48 + 4 + 24)


def write_audio(path):
    import wave

    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"\0\0" * 8000)


@pytest.mark.parametrize("kind", ["missing", "empty", "text", "audio", "one frame", "no images"])
def test_unusable_input_is_one_clear_line(kind, tmp_path, frames):
    path = tmp_path / "video.mp4"
    if kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("not a video")
    elif kind == "audio":
        write_audio(path)
    elif kind == "one frame":
        write_video(frames[:1], path)
    elif kind == "no images":
        path = tmp_path / "folder"
        path.mkdir()
    with pytest.raises(DitflowError, match="video=") as caught:
        read_video(path)
    assert "\n" not in str(caught.value)
    assert "give" in str(caught.value) or "holds no images" in str(caught.value)


@pytest.mark.parametrize("options", [{"start": -1}, {"stride": 0}, {"count": 0}])
def test_frame_range_out_of_range(options):
    with pytest.raises(DitflowError, match="at least"):
        FrameRange(**options)


def test_start_beyond_the_end(frames, tmp_path):
    write_video(frames, tmp_path / "video.mp4")
    with pytest.raises(DitflowError, match=r"start_frame=11.*use 0 to 10"):
        read_video(tmp_path / "video.mp4", FrameRange(start=11))


def test_nothing_half_written(tmp_path):
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever the encoder raises
        write_video(torch.rand(5, 3, 0, 0), tmp_path / "video.mp4")
    assert list(tmp_path.iterdir()) == []


WRITER = """
import sys, torch
from pathlib import Path
from ditflow.video import write_video
for _ in range(8):
    write_video(torch.zeros(5, 3, 16, 16), Path(sys.argv[1]))
"""


def test_two_processes_may_write_the_same_file(tmp_path):
    """As the ranks of a benchmark do with its references."""
    command = [sys.executable, "-c", WRITER, str(tmp_path / "clip.mp4")]
    processes = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]
