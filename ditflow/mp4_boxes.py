"""How many frames an mp4 says it has, read without a decoder.

Decord makes room for as many before it looks at any of them, and where there is not so much memory
the process is aborted, which no exception handler sees.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

LARGEST = 2**26
"""Bytes of an index that are looked at: that of an hour has some hundred thousand."""


def claimed_frames(path: Path) -> int:
    """The largest number of frames that a track of an mp4 or mov file claims; 0 of other files.

    Raises:
        OSError: the file cannot be read.
    """
    index, most = _index(path), 0
    for box in _boxes(index, b"stts"):  # entries, and of each how many frames and how long they are
        (entries,) = struct.unpack(">I", box[4:8])
        table = box[8 : 8 + 8 * entries]
        counts = struct.iter_unpack(">II", table[: len(table) // 8 * 8])
        most = max(most, sum(count for count, _ in counts))
    for box in _boxes(index, b"stsz"):  # the size of all frames, and how many they are
        most = max(most, *struct.unpack(">I", box[8:12]))
    return most


def _index(path: Path) -> bytes:
    """The file's `moov` box; nothing if there is none."""
    at, end = 0, path.stat().st_size
    with path.open("rb") as file:
        while at + 16 <= end:
            file.seek(at)
            size, kind, large = struct.unpack(">I4sQ", file.read(16))
            size = large if size == 1 else size or end
            if kind == b"moov":
                file.seek(at)
                return file.read(min(size, LARGEST))
            at += max(size, 8)
    return b""


def _boxes(index: bytes, kind: bytes) -> Iterator[bytes]:
    """What comes after the name of each box of a kind, wherever it is."""
    at = index.find(kind)
    while 0 <= at <= len(index) - 16:
        yield index[at + 4 :]
        at = index.find(kind, at + 4)
