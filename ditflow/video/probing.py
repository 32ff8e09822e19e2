"""Look into a video file in a process that may crash alone.

What decodes videos makes room for what a file claims to hold before it looks at any of it, and
where there is not so much memory it ends its process, which no exception handler sees.

python -m ditflow.video.probing VIDEO
"""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ditflow.video.decoding import decoded, evenly_timed, open_video

DAMAGED = 3
"""Exit status: of frames that cannot be decoded."""

ROOM = 2**31
"""Bytes of address space that reading may take beyond what a process begins with."""


class Probed(NamedTuple):
    """What a video file holds.

    Attributes:
        frames: in the file.
        even: as many at even times, which differs if the rate is variable.
        height, width: of the first frame, in pixels.
    """

    frames: int
    even: int
    height: int
    width: int


def probe(path: Path) -> Probed | None:
    """What a video file holds, None if its first frame is damaged.

    Takes some tenths of a second, and at most half a minute and 1 s for each 10 MB.

    Raises:
        OSError: it is no video, or reading it crashes, takes too much memory or too long.
    """
    # The same modules as here, and none of the folder that a stranger's file may lie in.
    modules = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
    threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "ditflow.video.probing", str(path)],
        env={**os.environ, **threads, "PYTHONPATH": modules, "MALLOC_ARENA_MAX": "2"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=30 + path.stat().st_size / 1e7,
    )
    if done.returncode == DAMAGED:
        return None
    numbers = done.stdout.split()
    if done.returncode != 0 or len(numbers) != len(Probed._fields):
        raise OSError(f"status {done.returncode}")
    return Probed(*map(int, numbers))


def _limit_memory() -> None:
    """Bound what this process may take from now on, where the system can."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + ROOM
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        if hard != resource.RLIM_INFINITY:
            most = min(most, hard)
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _main(path: Path) -> int:
    import decord  # noqa: F401 - its libraries are none of the file's memory
    from decord._ffi.base import DECORDLimitReachedError

    _limit_memory()
    try:
        reader = open_video(path)
        print(len(reader), len(evenly_timed(reader)), *decoded(reader, 0).shape[:2])
    except DECORDLimitReachedError:
        return DAMAGED
    except Exception:
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(_main(Path(sys.argv[1])))
