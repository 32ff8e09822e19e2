"""Count a video's frames, or make sure of a picture, in a process that may crash alone.

python -m ditflow.app.count_frames OPTION FILE

OPTION is what the file is for, `video` or `mask`, by which messages call it.
"""

import sys
from pathlib import Path

from ditflow.errors import DitflowError, printable
from ditflow.reading import IMAGE_SUFFIXES, frame_count, read_picture


def count(path: Path, option: str) -> int:
    """Frames of a video, or 1 of a picture.

    Raises:
        DitflowError: it is neither.
    """
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        return frame_count(path, option)
    try:
        read_picture(path, "RGBA")
    except ValueError as error:
        raise DitflowError(f"{option}={path} is not an image, or far too large a one.") from error
    return 1


if __name__ == "__main__":
    try:
        print(count(Path(sys.argv[2]), sys.argv[1]))
    except DitflowError as error:
        print(printable(str(error)), file=sys.stderr)
        raise SystemExit(2) from None
