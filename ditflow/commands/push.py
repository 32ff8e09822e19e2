"""`ditflow push`: publish a fit's motion on the Hugging Face hub."""

import re
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch.nn.functional as F

from ditflow.embedding.motion_embedding import MotionEmbedding
from ditflow.runs.folder import EMBEDDING, REFERENCE
from ditflow.settings.parsing import CommandParser
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


def push(args: Sequence[str]) -> int:
    """Publish the motion embedding of a fit, with a model card, on the Hugging Face hub.

    The reference video is left out, its latents, file name and hash included, unless
    --include-reference is true. The card shows the fit's videos, and names its prompts.
    """
    parser = push_parser()
    given = parser.instantiate(parser.parse_args(list(args)))
    # Here, and never from the hub: a mistyped folder must not publish somebody else's.
    path = given.folder / EMBEDDING if given.folder.is_dir() else given.folder
    embedding = MotionEmbedding.load(path)
    with TemporaryDirectory() as temporary:
        picture = given.picture
        if picture is None:
            picture = animated(path.parent, Path(temporary) / "motion.gif", given.include_reference)
        address = embedding.push_to_hub(
            given.repo,
            private=given.private,
            include_reference=given.include_reference,
            picture=picture,
            license=given.license,
        )
    print(f"Published at {address}")
    if not given.include_reference:
        print(
            "Left out: the reference's latents, file name and hash. Videos made with it have no KV "
            "injection; --include-reference true publishes them too."
        )
    if given.license is None:
        print("Its card names no licence; --license cc-by-4.0 would.")
    return 0


def push_parser() -> CommandParser:
    """Of the command line."""
    parser = CommandParser(prog="ditflow push", description=push.__doc__)
    parser.add_argument("folder", type=Path, help="Of a fit, or its motion.safetensors.")
    parser.add_argument("repo", type=str, help="user/name on the hub, made if it is not there.")
    parser.add_argument(
        "--private",
        type=bool | None,
        help="By default as the account makes repositories; true refuses one that is public.",
    )
    parser.add_argument("--license", type=str, help="Such as cc-by-4.0; by default none is named.")
    parser.add_argument("--picture", type=Path, help="For the card, in place of the fit's videos.")
    parser.add_argument(
        "--include-reference",
        type=bool,
        default=False,
        help="Publish the reference's latents, file name and hash too.",
    )
    return parser


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
