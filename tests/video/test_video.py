"""Reading, fitting and writing videos."""

import logging
import random
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path

import imageio.v3 as iio
import imageio_ffmpeg
import numpy as np
import pytest
import torch
from PIL import Image

from ditflow import DitflowError
from ditflow.video import folder, reading
from ditflow.video.file import evenly_timed
from ditflow.video.folder import read_picture
from ditflow.video.pictures import side_by_side
from ditflow.video.reading import FrameRange, frame_count, read_video
from ditflow.video.sizing import fit_length, fit_size, fitting_count
from ditflow.video.writing import write_video
from tests.mutation import mutated


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


@pytest.mark.parametrize("width", [8, 16, 24, 32, 40, 48, 96, 100])
def test_widths_whose_rows_are_padded(width, tmp_path):
    ramp = torch.linspace(0, 1, width).expand(3, 3, 16, width)
    write_video(ramp, tmp_path / "video.mp4")
    read = read_video(tmp_path / "video.mp4")
    assert read.shape == (3, 16, width, 3)
    assert np.abs(read / 255 - ramp.permute(0, 2, 3, 1).numpy()).mean() < 0.02


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
    assert "50% of it cut off at the sides: it keeps 50,0,100,100" in caplog.text


def test_side_by_side_takes_the_shortest(frames):
    both = side_by_side([frames, torch.zeros(7, 3, 64, 48)])
    assert both.shape == (7, 3, 32, 48 + 4 + 24)


def ffmpeg(*options: str) -> None:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", *options]
    subprocess.run(command, check=True)


SOURCE = ("-f", "lavfi", "-i", "testsrc=size=96x64:rate=12:duration=2")
PLAIN = ("-c:v", "libx264", "-pix_fmt", "yuv420p")
LATER = "setpts='if(lt(N,10),N,10+3*(N-10))/12/TB'"
"""From the tenth frame on each is shown three times as long."""


@pytest.mark.parametrize(
    ("name", "options", "shape"),
    [
        ("ten-bit.mp4", ("-c:v", "libx264", "-pix_fmt", "yuv420p10le"), (24, 64, 96)),
        ("odd.mp4", ("-vf", "crop=95:63", "-c:v", "libx264", "-pix_fmt", "yuv444p"), (24, 63, 95)),
        ("alpha.gif", ("-vf", "format=rgba"), (24, 64, 96)),
        ("alpha.webm", ("-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p"), (24, 64, 96)),
        ("uneven.mp4", ("-vf", LATER, "-fps_mode", "vfr", *PLAIN), (10 + 13 * 3 + 1, 64, 96)),
    ],
)
def test_odd_videos_are_read_right(name, options, shape, tmp_path):
    ffmpeg(*SOURCE, *options, str(tmp_path / name))
    video = read_video(tmp_path / name)
    assert video.shape == (*shape, 3)
    ffmpeg(*SOURCE, *PLAIN, str(tmp_path / "plain.mp4"))
    plain = read_video(tmp_path / "plain.mp4").astype(float)
    height, width = shape[1:]
    expected = plain[0, :height, :width] if name != "odd.mp4" else plain[0, :63, :95]
    assert np.abs(video[0] - expected).mean() < 12
    if name == "uneven.mp4":
        shown = [*range(10), *(n for n in range(10, 23) for _ in range(3)), 23]
        assert np.abs(video - plain[shown]).mean() < 2


def test_a_rotated_video_is_upright(tmp_path):
    ffmpeg(*SOURCE, *PLAIN, str(tmp_path / "plain.mp4"))
    rotated = tmp_path / "rotated.mp4"
    ffmpeg("-display_rotation", "90", "-i", str(tmp_path / "plain.mp4"), "-c", "copy", str(rotated))
    plain, video = read_video(tmp_path / "plain.mp4"), read_video(rotated)
    assert (video == np.rot90(plain, 1, axes=(1, 2))).all()


def test_a_size_that_changes_midway(tmp_path):
    for name, size in (("a", "96x64"), ("b", "128x80")):
        source = ("-f", "lavfi", "-i", f"testsrc=size={size}:rate=12:duration=1")
        ffmpeg(*source, *PLAIN, "-f", "mpegts", str(tmp_path / f"{name}.ts"))
    joined = b"".join((tmp_path / f"{name}.ts").read_bytes() for name in "ab")
    (tmp_path / "joined.mp4").write_bytes(joined)
    # As players do: the later ones are scaled to the first ones' size.
    read = read_video(tmp_path / "joined.mp4")
    assert read.shape == (24, 64, 96, 3)
    assert np.abs(read[12:].astype(float) - read[:12]).mean() < 30


def claiming(content: bytes, place: bytes, after: int, claim: bytes) -> bytes:
    """A file with other bytes so far after where a name ends."""
    at = content.index(place) + len(place) + after
    return content[:at] + claim + content[at + len(claim) :]


@pytest.mark.parametrize(
    ("suffix", "codec", "place", "after", "claim"),
    [
        (".mp4", PLAIN, b"stts", 8, struct.pack(">I", 2**31)),
        (".avi", ("-c:v", "mpeg4"), b"strh", 36, struct.pack("<I", 0x5A000000)),
        (".webm", ("-c:v", "libvpx"), b"\x44\x89\x88", 0, struct.pack(">d", 1e14)),
    ],
)
def test_frames_that_a_file_only_claims(suffix, codec, place, after, claim, tmp_path):
    """What is there is read, and no room is made for the rest."""
    path = tmp_path / f"video{suffix}"
    ffmpeg(*SOURCE, *codec, str(path))
    good = path.read_bytes()
    assert frame_count(path) == 24
    path.write_bytes(claiming(good, place, after, claim) + bytes(10**6))
    assert read_video(path).shape == (24, 64, 96, 3)


def test_what_is_beside_a_hostile_file_is_not_run(tmp_path, monkeypatch, frames):
    write_video(frames, tmp_path / "video.mp4")
    for name in ("imageio_ffmpeg", "json", "numpy", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('run')")
    monkeypatch.chdir(tmp_path)
    assert frame_count("video.mp4") == 11


def test_an_index_of_nothing_but_names_takes_no_time(tmp_path):
    path = tmp_path / "video.mp4"
    path.write_bytes(struct.pack(">I4s", 100_000, b"moov") + b"stts" * 25_000)
    with pytest.raises(DitflowError, match="no readable video stream"):
        read_video(path)


def test_times_too_far_apart_are_not_made_even():
    """Of frames a millionth of a second apart, and one an hour later."""
    starts = np.append(np.arange(20) * 1e-6, 3600.0)

    tracemalloc.start()
    assert evenly_timed(starts)[0] == list(range(21))
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_frames_too_large_are_refused(frames, tmp_path, monkeypatch):
    write_video(frames, tmp_path / "video.mp4")
    (tmp_path / "folder").mkdir()
    for t in range(2):
        Image.new("L", (48, 32)).save(tmp_path / "folder" / f"{t}.png")
    for module in (folder, reading):
        monkeypatch.setattr(module, "MOST_PIXELS", 48 * 32 - 1)
    with pytest.raises(DitflowError, match="frames of 32x48, more than 1535 pixels"):
        read_video(tmp_path / "video.mp4")
    with pytest.raises(DitflowError, match="0.png is not an image, or far too large a one"):
        read_video(tmp_path / "folder")


@pytest.mark.parametrize("shape", [(2, 8000), (8000, 2)])
def test_extreme_proportions_take_no_more_than_the_result(shape):
    video = np.zeros((2, *shape, 3), dtype=np.uint8)
    video[:, shape[0] // 2 - 1 : shape[0] // 2 + 1, shape[1] // 2 - 1 : shape[1] // 2 + 1] = 255
    resized = []
    own = torch.nn.functional.interpolate

    def watched(frames: torch.Tensor, **options) -> torch.Tensor:
        resized.append(own(frames, **options))
        return resized[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.functional, "interpolate", watched)
        fitted = fit_size(video, 48, 72)
    assert fitted.shape == (2, 3, 48, 72)
    assert fitted[:, :, 24, 36].min() > 0.9
    assert all(frames.numel() <= 8 * 3 * 48 * 72 for frames in resized)


def test_pictures_are_upright_and_of_8_bits(tmp_path):
    ramp = np.arange(16 * 24, dtype=np.uint16).reshape(16, 24) * 170
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    read = read_picture(tmp_path / "deep.png", "RGB")
    assert (read == (ramp >> 8)[..., None]).all()
    plain = Image.fromarray((ramp >> 8).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned right by a quarter
    plain.save(tmp_path / "turned.png", exif=exif)
    assert (read_picture(tmp_path / "turned.png", "RGB") == np.rot90(read, -1)).all()
    Image.fromarray(ramp.astype(np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(ValueError, match="no picture"):
        read_picture(tmp_path / "float.tif", "RGB")


@pytest.mark.parametrize("count", [6, pytest.param(500, marks=pytest.mark.slow)])
@pytest.mark.parametrize("suffix", [".mp4", ".gif", ".webm"])
def test_mutated_videos(count, suffix, tmp_path):
    """Read or refused in a line, whatever bytes are changed."""
    codec = {".mp4": PLAIN, ".gif": (), ".webm": ("-c:v", "libvpx")}[suffix]
    good, path = tmp_path / f"good{suffix}", tmp_path / f"mutated{suffix}"
    ffmpeg(*SOURCE, *codec, str(good))
    chance = random.Random(suffix)
    for _ in range(count):
        path.write_bytes(mutated(good.read_bytes(), chance))
        try:
            assert read_video(path).shape[0] >= 2
        except DitflowError as error:
            said = str(error)
            assert "\n" not in said


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
from ditflow.video.writing import write_video
for _ in range(8):
    write_video(torch.zeros(5, 3, 16, 16), Path(sys.argv[1]))
"""


def test_two_processes_may_write_the_same_file(tmp_path):
    """As the ranks of a benchmark do with its references."""
    command = [sys.executable, "-c", WRITER, str(tmp_path / "clip.mp4")]
    processes = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]
