"""Files from a browser: checked, and kept where commands can be given them again."""

import shutil
import subprocess
import sys
from pathlib import Path

from ditflow.embedding_header import read_header
from ditflow.errors import DitflowError
from ditflow.files import whole
from ditflow.hashing import hash_of_files
from ditflow.predictions import slug

REFERENCES, EMBEDDINGS = "references", "embeddings"
"""Folders of what is kept."""

VIDEO_SUFFIXES = (".mp4", ".mov", ".webm", ".gif")

SLOW = 60
"""Seconds that counting a video's frames may take; it reads no picture."""


def keep_video(upload: Path, root: Path, most_frames: int) -> Path:
    """Keep an uploaded reference.

    A process of its own reads the file, for a hostile one may crash what decodes it.

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
    counting = [sys.executable, "-m", "ditflow.app.count_frames", str(upload)]
    try:
        done = subprocess.run(counting, capture_output=True, text=True, timeout=SLOW)
    except subprocess.TimeoutExpired as error:
        raise DitflowError(f"video={upload.name} takes too long to read.") from error
    if done.returncode == 2:
        said = done.stderr.strip().splitlines()[-1]  # after what decoders write themselves
        raise DitflowError(said.replace(str(upload), upload.name))
    if done.returncode != 0 or not done.stdout.strip().isdecimal():
        raise DitflowError(f"video={upload.name} cannot be read; give another file.")
    frames = int(done.stdout)
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
    name = f"{slug(upload.stem, 40)}-{hash_of_files([upload], 8)}{upload.suffix.lower()}"
    kept = folder / name
    if not kept.exists():
        with whole(kept) as partial:
            shutil.copyfile(upload, partial)
    return kept
