"""What is no video is told apart, in a line that says what to give instead."""

import subprocess
import wave

import imageio_ffmpeg
import pytest
from PIL import Image

from ditflow import DitflowError
from ditflow.reference import read_reference
from ditflow.video.reading import FrameRange, read_video

PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:1,\nvideo.ts\n#EXT-X-ENDLIST\n"


def encoded(path, *options: str) -> bytes:
    source = ("-f", "lavfi", "-i", "testsrc2=size=96x64:rate=25:duration=1")
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error", *source, *options, str(path)]
    subprocess.run(command, check=True)
    return path.read_bytes()


def make(name: str, path) -> None:
    kind = name.rpartition(".")[0]
    if kind in ("hls", "concat"):
        encoded(path.with_name("video.ts"))
        lists = {"hls": PLAYLIST, "concat": "ffconcat version 1.0\nfile video.ts\n"}
        path.write_text(lists[kind])
    elif kind == "sound":
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes(b"\0\0" * 8000)
    elif kind == "text":
        path.write_text("not a video\n" * 20)
    elif kind == "empty":
        path.touch()
    elif kind == "picture":
        Image.new("RGB", (64, 48)).save(path)
    elif kind == "cut":
        path.write_bytes(encoded(path, "-c:v", "libx264")[:3000])
    else:
        codec = {"fourcc": "mpeg4", "named": "libx264"}[kind]
        unknown = {b"FMP4": b"QQQQ", b"V_MPEG4/ISO/AVC": b"V_QQQQQ/ISO/AVC"}
        content = encoded(path, "-c:v", codec)
        for known, other in unknown.items():
            content = content.replace(known, other)
        path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hls.m3u8", "a playlist"),
        ("hls.mp4", "no readable video stream"),
        ("concat.mp4", "a playlist"),
        ("sound.wav", "has sound, but no readable video stream"),
        ("text.mp4", "has no readable video stream"),
        ("empty.mp4", "is empty"),
        ("picture.jpg", r"is a picture \(JPEG\)"),
        ("picture.png", r"is a picture \(PNG\)"),
        ("cut.mp4", r"is cut short: its index \(moov\) is missing"),
        ("fourcc.avi", "is encoded as QQQQ, which ffmpeg cannot decode"),
        ("named.mkv", "is encoded as V_QQQQQ/ISO/AVC, which"),
    ],
)
def test_what_is_no_video_is_told_apart(name, expected, tmp_path):
    make(name, tmp_path / name)
    with pytest.raises(DitflowError, match=f"video=.*{name} .*{expected}") as error:
        read_video(tmp_path / name)
    assert "\n" not in str(error.value)


def test_a_folder_of_videos(tmp_path):
    encoded(tmp_path / "b.mp4")
    with pytest.raises(DitflowError, match="is a folder of videos.*one of them, such as .*b.mp4"):
        read_video(tmp_path)


def test_an_address_is_to_be_downloaded_first():
    with pytest.raises(DitflowError, match=r"curl -LO https://example.org/a.mp4"):
        read_video("https://example.org/a.mp4")


def test_frames_before_the_damage_are_used(rope, tmp_path, caplog):
    """Of frames that are all key frames the one that is destroyed is the first that is missed."""
    path = tmp_path / "video.mp4"
    whole = encoded(path, "-c:v", "mjpeg", "-q:v", "9")
    expected = read_video(path)
    starts = [at for at in range(len(whole) - 3) if whole[at : at + 3] == b"\xff\xd8\xff"]
    assert len(starts) == 25
    content = bytearray(whole)
    content[starts[18] : starts[19]] = bytes(starts[19] - starts[18])
    path.write_bytes(content)
    assert (read_video(path, FrameRange(count=18)) == expected[:18]).all()
    with pytest.raises(DitflowError, match=r"frame 18 on, .* 19 .*at most 18 by --num-frames"):
        read_video(path, FrameRange(count=19))
    with pytest.raises(DitflowError, match=r"frame 18 on, .* 13 .*at most 9 by --num-frames"):
        read_video(path, FrameRange(stride=2))
    assert (read_video(path, FrameRange(start=19)) == expected[19:]).all()
    read = read_reference(rope, path, frames=FrameRange(stride=1))  # as of a shorter one
    assert read.numbers == tuple(range(17))
    assert "damaged from frame 18 on: the 18 frames to take before it are taken" in caplog.text
    with pytest.raises(DitflowError, match="frame 18 on"):
        read_reference(rope, path, frames=FrameRange(start=15, stride=1))
