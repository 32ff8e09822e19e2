"""Folders of frames, and pictures."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ditflow.errors import DitflowError
from ditflow.utils.files import missing

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")

VIDEO_SUFFIXES = (".mp4", ".mov", ".webm", ".mkv", ".avi", ".gif", ".m4v", ".mpg", ".mts", ".ts")
"""Of what a folder holds that was given for one of frames."""

MOST_PIXELS = 2**25
"""Of a frame, height times width: 8K has 33,177,600."""


def frames_of_folder(
    path: Path, option: str, numbers: list[int], size: tuple[int, int]
) -> Iterator[np.ndarray]:
    """Images of a folder by number, [height, width, 3], uint8.

    Raises:
        DitflowError: one is damaged, or of another size.
    """
    images = images_of(path, option)
    for number in numbers:
        picture = read_frame(images[number], path, option)
        if picture.shape[:2] != size:
            raise DitflowError(
                f"{option}={path}: {images[number].name} differs in size from "
                f"{images[numbers[0]].name}; frames must all be of one size."
            )
        yield picture


def read_frame(image: Path, path: Path, option: str) -> np.ndarray:
    """An image of a folder that an option names."""
    try:
        return read_picture(image, "RGB")
    except ValueError as error:
        raise DitflowError(
            f"{option}={path}: {image.name} is not an image, or far too large a one."
        ) from error


def read_still(path: Path, option: str = "image") -> np.ndarray:
    """A picture that an option names, [1, height, width, 3], uint8.

    Raises:
        DitflowError: it is not there, or none.
    """
    if not path.exists():
        raise missing(option, path)
    try:
        return read_picture(path, "RGB")[None]
    except ValueError as error:
        raise DitflowError(
            f"{option}={path} is not a picture, or far too large a one; give such as a PNG or JPEG."
        ) from error


def read_picture(path: Path, mode: str) -> np.ndarray:
    """The pixels of a picture, upright, in Pillow's mode `RGB` or `RGBA`.

    Raises:
        ValueError: it is none, damaged, larger than `MOST_PIXELS`, or of numbers without a range.
    """
    try:
        with Image.open(path) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                raise ValueError(f"{opened.height}x{opened.width}")
            kind, image = opened.format, ImageOps.exif_transpose(opened)
            if image.mode.startswith("I;16") or (image.mode, kind) == ("I", "PNG"):
                # Pillow would cut these 16 bits off at 255; of colours it takes the upper 8.
                image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            if image.mode in ("I", "F"):
                raise ValueError(image.mode)
            return np.array(image.convert(mode))  # writable, as torch wants it
    except Exception as error:  # over damaged data decoders raise what they like: SyntaxError, ...
        raise ValueError(f"{path} is no picture") from error


def images_of(path: Path, option: str) -> list[Path]:
    """The images of a folder in the order of their numbers."""
    images = sorted(
        (p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and p.name[0] != "."),
        key=_natural,
    )
    if not images:
        videos = sorted(p.name for p in path.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES)
        if videos:
            raise DitflowError(
                f"{option}={path} is a folder of videos, not of frames; give one of them, such as "
                f"{path / videos[0]}."
            )
        raise DitflowError(f"{option}={path} holds no images ({', '.join(IMAGE_SUFFIXES)}).")
    return images


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sorts frame2 before frame10."""
    parts = re.split(r"(\d+)", path.name)
    return [(int(part) if part.isdecimal() else 0, part) for part in parts]
