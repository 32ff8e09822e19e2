"""Run the ffmpeg that imageio-ffmpeg brings, over a file that may be a stranger's.

It is a process of its own, with bounded memory and time, so that a file may crash it alone; what
its libraries print is kept from the terminal. It opens no other file, and no network.
"""

import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from imageio_ffmpeg import get_ffmpeg_exe

FORMATS = (
    "mov matroska avi mpegts mpeg mpegvideo m4v h264 hevc vvc obu av1 ivf h263 h261 vc1 vc1test "
    "dirac flv live_flv kux ogg asf asf_o mjpeg mpjpeg jpeg_pipe yuv4mpegpipe mxf dv nut gif apng "
    "webp_anim swf rm wtv gxf filmstrip dnxhd roq film_cpk avs2 avs3 cavsvideo smjpeg nuv flic "
    "wav mp3 flac aac aiff ac3 amr caf au"
)
"""What holds its video, or sound, itself: no playlists, which would have other files opened."""

ROOM = 2**32
"""Bytes of address space for ffmpeg: of 8K and 10 bits it holds 16 frames of 100 MB."""


class Failed(OSError):
    """ffmpeg gave nothing, or took too long; the text is what it printed."""


def output_of(path: Path, before: Sequence[str], after: Sequence[str]) -> tuple[str, str]:
    """What ffmpeg writes of a file's first video stream, and what it prints.

    Args:
        path: of the file.
        before, after: options before and after the input; those after it name a format of text.

    Raises:
        Failed: it wrote nothing, or took too long.
    """
    with _started(path, before, after, subprocess.PIPE) as process, _at_most(path, process):
        written, printed = process.communicate()
    text = printed.decode(errors="replace")
    if not written:
        raise Failed(text)
    return written.decode("ascii", errors="replace"), text


def pieces_of(
    path: Path, before: Sequence[str], after: Sequence[str], size: int
) -> Iterator[bytes]:
    """What ffmpeg writes of a file's first video stream, in whole pieces of so many bytes; it waits
    for who takes them."""
    with _started(path, before, after, subprocess.DEVNULL) as process:
        assert process.stdout is not None
        while True:
            with _at_most(path, process):
                piece = process.stdout.read(size)
            if len(piece) < size:
                return
            yield piece


@contextmanager
def _started(
    path: Path, before: Sequence[str], after: Sequence[str], errors: int
) -> Iterator[subprocess.Popen[bytes]]:
    safe = ["-protocol_whitelist", "file", "-format_whitelist", FORMATS.replace(" ", ",")]
    # Absolute and with its protocol, so that no name is an option or another protocol.
    given = ["-nostdin", "-hide_banner", "-nostats", "-copyts", *before, *safe]
    given += ["-threads", "2", "-i", f"file:{path.absolute()}", "-map", "0:V:0", *after, "pipe:1"]
    with subprocess.Popen(
        [get_ffmpeg_exe(), *given],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
    ) as process:
        try:
            _limit_memory(process.pid)
            yield process
        finally:
            process.kill()


@contextmanager
def _at_most(path: Path, process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Context in which ffmpeg is killed after half a minute and 1 s for each 10 MB of the file."""
    timer = threading.Timer(30 + path.stat().st_size / 1e7, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _limit_memory(pid: int) -> None:
    """Bound what a process may take, where the system can."""
    with suppress(ImportError, AttributeError, OSError, ValueError):
        import resource

        resource.prlimit(pid, resource.RLIMIT_AS, (ROOM, ROOM))
        resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))
