"""Video files: a tiny one is written and read back in every format."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from subprocess import SubprocessError
from typing import Any

import imageio.v3 as iio
import imageio_ffmpeg
import torch

from ditflow.doctor.finding import Finding
from ditflow.errors import reason_of
from ditflow.video.reading import read_video
from ditflow.video.sizing import as_tensor
from ditflow.video.writing import write_video

FORMATS = {"mp4 (H.264)": "clip.mp4", "gif": "clip.gif", "webm (VP9)": "clip.webm"}
"""Written by ditflow are the first two; webm is a reference's."""

REINSTALL = "pip install --force-reinstall imageio-ffmpeg decord2"


def look_at_codecs() -> Iterator[Finding]:
    """ffmpeg, and each format's way to the disk and back."""
    try:
        said = f"{imageio_ffmpeg.get_ffmpeg_version()}, {imageio_ffmpeg.get_ffmpeg_exe()}"
        yield Finding("ffmpeg", said)
    except (OSError, RuntimeError, SubprocessError) as error:
        remedy = f"{REINSTALL}, or name one in IMAGEIO_FFMPEG_EXE"
        yield Finding("ffmpeg", reason_of(error), remedy, needed=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, file in FORMATS.items():
            amiss = round_trip(Path(folder) / file)
            needed = file != "clip.webm"
            remedy = REINSTALL if needed else "convert such references to mp4"
            yield Finding(
                name, amiss or "written and read back", remedy if amiss else "", needed=needed
            )


def round_trip(path: Path) -> str:
    """What is amiss with a format when a moving edge is written and read back; empty if nothing."""
    columns = torch.arange(64).expand(64, -1)
    video = torch.stack([(columns > 8 * t).float() for t in range(1, 6)])[:, None]
    video = video.expand(-1, 3, -1, -1)
    try:
        if path.suffix == ".webm":
            pixels = (video * 255).byte().permute(0, 2, 3, 1).numpy()
            options: dict[str, Any] = {"codec": "libvpx-vp9", "macro_block_size": 1}
            options["ffmpeg_log_level"] = "error"
            iio.imwrite(path, pixels, plugin="FFMPEG", fps=8, **options)
        else:
            write_video(video, path)
        read = as_tensor(read_video(path))
    except (OSError, RuntimeError, ValueError) as error:  # a DitflowError is a ValueError
        return f"fails: {reason_of(error)}"
    if read.shape != video.shape:
        return f"{len(video)} frames are read back as {len(read)}"
    if (read - video).abs().mean() > 0.05:
        return "is read back as another picture"
    return ""
