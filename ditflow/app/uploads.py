"""Files from a browser: checked, and kept where commands can be given them again."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from ditflow.embedding.reader import read_header
from ditflow.errors import DitflowError
from ditflow.runs.predictions import slug
from ditflow.utils.files import atomic_write, written
from ditflow.utils.hashing import hash_of_files
from ditflow.video.folder import IMAGE_SUFFIXES, read_picture
from ditflow.video.reading import frame_count

REFERENCES, MASKS, EMBEDDINGS = "references", "masks", "embeddings"
"""Folders of what is kept."""

VIDEO_SUFFIXES = (".mp4", ".mov", ".webm")
"""Of what a browser plays: it takes a gif for a picture."""

MASK_SUFFIXES = (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES)


def keep_video(upload: Path, root: Path, most_frames: int) -> Path:
    """Keep an uploaded reference; no part of it is decoded in this process.

    Args:
        upload: the file.
        root: of the app's output.
        most_frames: that it may have.

    Returns:
        the copy.

    Raises:
        DitflowError: it is no video, or too long a one.
    """
    _check_footage(upload, "video", VIDEO_SUFFIXES, most_frames)
    return _keep(upload, root / REFERENCES)


def keep_mask(upload: Path, root: Path, most_frames: int) -> Path:
    """Keep an uploaded mask, a picture or a video, as `keep_video` does.

    Whether it is one of the reference is seen when both are read.
    """
    _check_footage(upload, "mask", MASK_SUFFIXES, most_frames)
    return _keep(upload, root / MASKS)


def keep_embedding(upload: Path, root: Path) -> Path:
    """Keep an uploaded motion embedding, as `keep_video` does.

    Raises:
        DitflowError: it is none, or not one that a fit writes.
    """
    try:
        read_header(upload)
    except DitflowError as error:
        raise _by_its_name(error, upload) from error
    return _keep(upload, root / EMBEDDINGS)


def kept_references(root: Path) -> list[Path]:
    """The references that are kept, the latest first."""
    found = [p for p in written(root / REFERENCES, "*") if p.suffix.lower() in VIDEO_SUFFIXES]
    return sorted(found, key=lambda path: -path.stat().st_mtime)


def _check_footage(upload: Path, option: str, suffixes: Sequence[str], most_frames: int) -> None:
    """Refuse what is no video (of a mask also: no picture), or too long a one."""
    suffix, frames = upload.suffix.lower(), 1
    if suffix not in suffixes:
        raise DitflowError(f"{option}={upload.name} must be one of {', '.join(suffixes)}.")
    try:
        if suffix in IMAGE_SUFFIXES:
            read_picture(upload, "RGBA")
        else:
            frames = frame_count(upload, option)
    except DitflowError as error:
        raise _by_its_name(error, upload) from error
    except ValueError as error:
        raise DitflowError(
            f"{option}={upload.name} is not an image, or far too large a one."
        ) from error
    if frames > most_frames:
        raise DitflowError(
            f"{option}={upload.name} has {frames} frames, and this app takes at most "
            f"{most_frames}; cut it, or have the app started with a larger --max-frames."
        )


def _by_its_name(error: DitflowError, upload: Path) -> DitflowError:
    """What was wrong, with the name that the file has in the browser."""
    return DitflowError(str(error).replace(str(upload), upload.name))


def _keep(upload: Path, folder: Path) -> Path:
    """A copy named by the file's own name and its content, so that one file is kept once."""
    name = f"{slug(upload.stem, 40)}-{hash_of_files([upload], 8)}{upload.suffix.lower()}"
    kept = folder / name
    if kept.exists():
        kept.touch()  # it is the latest again
    else:
        with atomic_write(kept) as partial:
            shutil.copyfile(upload, partial)
    return kept
