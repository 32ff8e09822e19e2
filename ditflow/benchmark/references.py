"""Reference videos of a benchmark, with a prompt for each category."""

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ditflow.errors import shortened

CATEGORIES = ("caption", "subject", "scene")
"""Of prompts: one that describes the reference; another subject in its scene; all different."""


@dataclass(frozen=True)
class Reference:
    """A reference video and its prompts.

    Attributes:
        name: unique in a benchmark; results are filed under it.
        video: file or folder of frames.
        caption, subject, scene: prompts, see `CATEGORIES`.
        mask: image, video or folder of what alone is to guide; None for all of the video.
        start_frame, num_frames, stride: what is taken of the video; without a stride, of a file
            as many frames a second as the results have.
        seed: the manifest's seeds are added to it. With a seed of its own, each video starts from
            other noise; with one noise for all, a method's mean hangs on what that one draws.
    """

    name: str
    video: Path
    caption: str
    subject: str
    scene: str
    mask: Path | None = None
    start_frame: int = 0
    num_frames: int | None = None
    stride: int | None = None
    seed: int = 0

    def prompt(self, category: str) -> str:
        return getattr(self, category)


class References(ABC):
    """Where a benchmark's videos come from."""

    @abstractmethod
    def problems(self) -> list[str]:
        """What is missing or wrong, found without any work."""

    def masked(self) -> bool:
        """Whether any of them has a mask."""
        return False

    @abstractmethod
    def videos(self, folder: Path) -> list[Reference]:
        """The references; those that have to be made are made in `folder`."""

    def extra(self, video: torch.Tensor, reference: torch.Tensor, prompt: str) -> dict[str, float]:
        """Further scores that only these references allow."""
        return {}


class VideoList(References):
    """References listed in the manifest.

    Args:
        videos: the references; relative paths, of masks too, start at `root`.
        root: folder of the videos, such as a local DAVIS's `JPEGImages/480p`.
    """

    def __init__(self, videos: list[Reference], root: Path = Path()):
        self.listed, self.root = videos, root

    def problems(self) -> list[str]:
        empty = [
            f"references: number {number} has {name}: null"
            for number, reference in enumerate(self.listed, 1)
            for name, value in vars(reference).items()
            if value is None and name not in ("mask", "num_frames", "stride")
        ]
        if empty:
            return empty
        files = [(r.name, r.video) for r in self.listed]
        files += [(r.name, r.mask) for r in self.listed if r.mask is not None]
        found = [
            f"{shortened(name)}: {shortened(str(self.root / path), 200)} does not exist"
            for name, path in files
            if not _exists(self.root / path)
        ]
        names = [reference.name for reference in self.listed]
        found += unfit_names("references", names)
        found += [
            f"{shortened(name)}: listed twice"
            for name in sorted(set(names))
            if names.count(name) > 1
        ]
        for reference in self.listed:
            found += [
                f"{shortened(reference.name)}: no {category} prompt"
                for category in CATEGORIES
                if not reference.prompt(category).strip()
            ]
        if not self.listed:
            found.append("videos: none listed")
        return found

    def masked(self) -> bool:
        return any(reference.mask is not None for reference in self.listed)

    def videos(self, folder: Path) -> list[Reference]:
        return [
            replace(
                reference,
                video=self.root / reference.video,
                mask=None if reference.mask is None else self.root / reference.mask,
                # Of a folder every frame is taken, and results' keys are those of before.
                stride=reference.stride or (1 if (self.root / reference.video).is_dir() else None),
            )
            for reference in self.listed
        ]


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # such as of a name too long for one
        return False


FORBIDDEN = set("/\\" + '<>:"|?*' * (sys.platform == "win32"))
"""In names of folders."""


def unfit_names(kind: str, names: Iterable[str]) -> list[str]:
    """What is wrong with names of a manifest as those of folders."""
    return [
        f"{kind}: {shortened(name)!r} must be a name of up to 100 letters that begins with one or "
        f"a digit, with none of {' '.join(sorted(FORBIDDEN))}"
        for name in names
        if not (
            name.isprintable()
            and 0 < len(name) <= 100
            and name[0].isalnum()
            and not set(name) & FORBIDDEN
            and (sys.platform != "win32" or name[-1] not in ". ")
        )
    ]
