"""`ditflow push`: publish a fit's motion on the Hugging Face hub."""

import re
from pathlib import Path
from tempfile import TemporaryDirectory

import torch.nn.functional as F

from ditflow.embedding.motion_embedding import MotionEmbedding
from ditflow.runs.folder import EMBEDDING, REFERENCE
from ditflow.video.pictures import side_by_side
from ditflow.video.reading import read_video
from ditflow.video.sizing import as_tensor
from ditflow.video.writing import write_video

FITTED = re.compile(r"video(-\d+-.*)?\.mp4")
"""Names that a fit gives its videos; others in its folder are nobody's to publish."""

SHOWN = 4
"""Videos on a card at most."""

HEIGHT = 240
"""Pixels of the card's videos at most: a gif of more takes many megabytes."""


def push(
    folder: Path,
    repo: str,
    *,
    private: bool | None = None,
    license: str | None = None,
    picture: Path | None = None,
    include_reference: bool = False,
) -> None:
    """Publish the motion embedding of a fit, with a model card, on the Hugging Face hub.

    The reference video is left out, its latents, file name and hash included, unless
    --include-reference is true. The card shows the fit's videos, and names its prompts.

    Args:
        folder: Of a fit, or its motion.safetensors.
        repo: user/name on the hub, made if it is not there.
        private: By default as the account makes repositories; true refuses one that is public.
        license: Such as cc-by-4.0; by default none is named.
        picture: For the card, in place of the fit's videos.
        include_reference: Publish the reference's latents, file name and hash too.
    """
    # Here, and never from the hub: a mistyped folder must not publish somebody else's.
    path = folder / EMBEDDING if folder.is_dir() else folder
    embedding = MotionEmbedding.load(path)
    with TemporaryDirectory() as temporary:
        if picture is None:
            picture = animated(path.parent, Path(temporary) / "motion.gif", include_reference)
        address = embedding.push_to_hub(
            repo,
            private=private,
            include_reference=include_reference,
            picture=picture,
            license=license,
        )
    print(f"Published at {address}")
    if not include_reference:
        print(
            "Left out: the reference's latents, file name and hash. Videos made with it have no KV "
            "injection; --include-reference true publishes them too."
        )
    if license is None:
        print("Its card names no licence; --license cc-by-4.0 would.")


def animated(folder: Path, path: Path, include_reference: bool) -> Path | None:
    """A fit's videos side by side as a gif, None if there are none.

    Args:
        folder: of the fit.
        path: of the gif.
        include_reference: whether the reference comes first.
    """
    named = (path for path in folder.glob("video*.mp4") if FITTED.fullmatch(path.name))
    found = sorted(named, key=_number)[:SHOWN]
    if not found:
        return None
    reference = folder / REFERENCE
    if include_reference and reference.exists():
        found = [reference, *found]
    videos = [as_tensor(read_video(video)) for video in found]
    scale = min(1.0, HEIGHT / videos[0].shape[-2])
    if scale < 1:
        videos = [
            F.interpolate(video, scale_factor=scale, mode="bilinear", antialias=True)
            for video in videos
        ]
    write_video(side_by_side(videos), path)
    return path


def _number(path: Path) -> tuple[int, str]:
    """Sorts a fit's videos as its prompts: video.mp4, video-1-..., video-2-..."""
    number = path.stem.removeprefix("video-").partition("-")[0]
    return int(number) if number.isdecimal() else 0, path.name
