"""Files from a browser: checked, and kept where commands can be given them again."""

import hashlib
import shutil
from pathlib import Path

from ditflow.embedding_header import read_header
from ditflow.errors import DitflowError
from ditflow.files import whole
from ditflow.predictions import slug
from ditflow.reading import frame_count

REFERENCES, EMBEDDINGS = "references", "embeddings"
"""Folders of what is kept."""

VIDEO_SUFFIXES = (".mp4", ".mov", ".webm", ".gif")


def keep_video(upload: Path, root: Path, most_frames: int) -> Path:
    """Keep an uploaded reference.

    No part of it is decoded in this process.

    Args:
        upload: the file.
        root: of the app's output.
        most_frames: that it may have.

    Returns:
        the copy.

    Raises:
        DitflowError: it is no video, or too long a one.
    """
    if upload.suffix.lower() not in VIDEO_SUFFIXES:
        raise DitflowError(f"video={upload.name} must be one of {', '.join(VIDEO_SUFFIXES)}.")
    try:
        frames = frame_count(upload)
    except DitflowError as error:
        raise DitflowError(str(error).replace(str(upload), upload.name)) from error
    if frames > most_frames:
        raise DitflowError(
            f"video={upload.name} has {frames} frames, and this app takes at most {most_frames}; "
            "cut it, or have the app started with a larger --max-frames."
        )
    return _keep(upload, root / REFERENCES)


def keep_embedding(upload: Path, root: Path) -> Path:
    """Keep an uploaded motion embedding.

    Args:
        upload: the file.
        root: of the app's output.

    Returns:
        the copy.

    Raises:
        DitflowError: it is none, or not one that a fit writes.
    """
    try:
        read_header(upload)
    except DitflowError as error:
        raise DitflowError(str(error).replace(str(upload), upload.name)) from error
    return _keep(upload, root / EMBEDDINGS)


def _keep(upload: Path, folder: Path) -> Path:
    """A copy named by the file's own name and its content, so that one file is kept once."""
    digest = hashlib.sha256()
    with upload.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    name = f"{slug(upload.stem, 40)}-{digest.hexdigest()[:8]}{upload.suffix.lower()}"
    kept = folder / name
    if not kept.exists():
        with whole(kept) as partial:
            shutil.copyfile(upload, partial)
    return kept
