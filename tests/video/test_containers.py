"""Every container that the shipped ffmpeg writes is read to the pixel as ffmpeg itself reads it."""

import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from ditflow.video.reading import FrameRange, frame_count, read_video

H264 = "-c:v libx264 -pix_fmt yuv420p -g 10 -bf 2"
HEVC = "-c:v libx265 -g 10 -x265-params log-level=none"
MPEG2 = "-c:v mpeg2video -g 10 -bf 2 -b:v 800k"
MPEG4 = "-c:v mpeg4 -g 10 -bf 2 -b:v 800k"
VP9 = "-c:v libvpx-vp9 -g 10 -lag-in-frames 10 -deadline realtime"
LARGE = "-pix_fmt yuv422p -s 1280x720 -c:v dnxhd -b:v 75M -t 0.8"

QUICK = {
    "mp4": H264,
    "mp4 open": f"{H264} -x264-params open-gop=1",
    "mp4 mpeg2": MPEG2,
    "matroska": f"{H264} -live 1",
    "matroska mpeg4": MPEG4,
    "webm": f"{VP9} -live 1",
    "mpegts": H264,
    "mpeg": MPEG2,
    "avi": MPEG4,
    "h264": H264,
    "ogg": "-c:v libtheora -g 10",
    "apng": "-c:v apng",
}
"""Muxers, some with what is particular, and options."""

SLOW = {
    "mp4 in pieces": f"{H264} -movflags frag_keyframe+empty_moov",
    "mp4 each in a piece": f"{H264} -movflags frag_every_frame+empty_moov+default_base_moof",
    "mp4 hevc": HEVC,
    "mp4 av1": "-c:v libsvtav1 -g 10",
    "mov prores": "-c:v prores_ks",
    "ipod": H264,
    "f4v": H264,
    "ismv": H264,
    "3gp": "-c:v h263 -s 176x144",
    "3g2": MPEG4,
    "matroska hevc": HEVC,
    "matroska ffv1": "-c:v ffv1",
    "webm vp8": "-c:v libvpx -g 10 -auto-alt-ref 1 -lag-in-frames 10 -b:v 300k",
    "webm av1": "-c:v libsvtav1 -g 10",
    "mpegts mpeg2": MPEG2,
    "mpegts hevc": HEVC,
    "mpegts m2ts": f"{H264} -mpegts_m2ts_mode 1",
    "mpeg h264": H264,
    "mpeg mpeg1": "-c:v mpeg1video -g 10 -bf 2",
    "vob": MPEG2,
    "svcd": MPEG2,
    "dvd": MPEG2,
    "avi h264": H264,
    "avi mjpeg": "-c:v mjpeg",
    "hevc": HEVC,
    "vvc": "-c:v libvvenc -t 0.8",
    "m4v": MPEG4,
    "mpeg1video": "-c:v mpeg1video -g 10 -bf 2",
    "mpeg2video": MPEG2,
    "h261": "-c:v h261 -s 176x144",
    "h263": "-c:v h263 -s 176x144",
    "obu": "-c:v libsvtav1 -g 10",
    "ivf": VP9,
    "dirac": "-c:v vc2",
    "avs2": "-c:v libxavs2",
    "flv": H264,
    "flv flv1": "-c:v flv",
    "asf": "-c:v wmv2 -g 10",
    "asf mpeg4": MPEG4,
    "asf msmpeg4": "-c:v msmpeg4v2",
    "mjpeg": "-c:v mjpeg",
    "mpjpeg": "-c:v mjpeg",
    "smjpeg": "-c:v mjpeg",
    "yuv4mpegpipe": "-pix_fmt yuv420p",
    "mxf": MPEG2,
    "mxf_opatom": LARGE,
    "dnxhd": LARGE,
    "gxf": "-c:v mpeg2video -s 720x576",
    "dv": "-c:v dvvideo -s 720x576 -pix_fmt yuv420p",
    "nut": H264,
    "nut mpeg4": MPEG4,
    "wtv": MPEG2,
    "swf": "-c:v flv",
    "rm": "-c:v rv20",
    "roq": "-c:v roqvideo -r 30",
    "film_cpk": "-c:v cinepak -t 0.8",
    "gif": "",
    "webp": "-c:v libwebp_anim -lossless 1",
}


def ffmpeg(*options: str) -> bytes:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-nostdin", "-v", "error", *options]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def of_ffmpeg(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    raw = ("-map", "0:v:0", "-fps_mode", "passthrough", "-pix_fmt", "rgb24", "-f", "rawvideo", "-")
    return np.frombuffer(ffmpeg("-i", str(path), *raw), np.uint8).reshape(-1, *shape)


@pytest.mark.parametrize(
    ("kind", "options"),
    [*QUICK.items(), *(pytest.param(*each, marks=pytest.mark.slow) for each in SLOW.items())],
)
def test_a_container_is_read_as_ffmpeg_reads_it(kind, options, tmp_path):
    muxer, path = kind.split()[0], tmp_path / "video.mp4"  # whatever it is called
    source = "testsrc2=size=96x64:rate=25:duration=1.6"
    ffmpeg("-f", "lavfi", "-i", source, *options.split(), "-f", muxer, str(path))
    read = read_video(path)
    expected = of_ffmpeg(path, read.shape[1:])
    assert len(expected) >= 20
    assert (read == expected).all()
    # Where it is sought in, too.
    for start, stride in ((5, 1), (len(read) - 3, 1), (1, 9)):
        assert (read_video(path, FrameRange(start, stride=stride)) == read[start::stride]).all()


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_frames_far_from_the_first_are_the_same(suffix, tmp_path):
    """Of groups of pictures that are open, and of streams that begin late."""
    path = tmp_path / f"video{suffix}"
    source = ("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=10:duration=20")
    coded = f"{H264} -g 20 -bf 3 -x264-params open-gop=1".split()
    ffmpeg("-f", "lavfi", "-i", "anullsrc=d=21", "-itsoffset", "1.5", *source, *coded, str(path))
    whole = read_video(path)
    assert (whole == of_ffmpeg(path, (48, 64, 3))).all()
    for start in (20, 39, 41, 123, 198):
        assert (read_video(path, FrameRange(start, 2)) == whole[start : start + 2]).all()


def test_a_video_that_says_no_duration(tmp_path):
    """As browsers record, to a stream that they cannot go back in."""
    source = ("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=15:duration=2")
    (tmp_path / "a.webm").write_bytes(ffmpeg(*source, *VP9.split(), "-f", "webm", "pipe:1"))
    assert frame_count(tmp_path / "a.webm") == 30


def test_nothing_reaches_the_terminal(tmp_path, capfd):
    path = tmp_path / "video.mp4"
    ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=size=96x64:rate=25:duration=1.6", *H264.split(), str(path)
    )
    content = bytearray(path.read_bytes())
    middle = content.index(b"mdat") + 3000
    content[middle : middle + 800] = b"\xff" * 800
    path.write_bytes(content)
    read_video(path, FrameRange(count=2))
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""
