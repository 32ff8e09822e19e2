"""Why a file is no video that can be read, and what to give instead."""

import re
from contextlib import suppress
from pathlib import Path

from PIL import Image

INSTEAD = "give an mp4, mov, webm or gif file, or a folder of frames"


def refusal(path: Path, printed: str) -> str:
    """What is wrong with a file that ffmpeg reads no frame of, as the end of a sentence that begins
    with its name.

    Args:
        path: of the file.
        printed: by ffmpeg.
    """
    if path.stat().st_size == 0:
        return f"is empty; {INSTEAD}."
    picture = refusal_of_picture(path)
    if picture is not None:
        return picture
    if "Format not on whitelist" in printed:
        return f"is a playlist, a text, or of another format that is no video's; {INSTEAD}."
    with path.open("rb") as file:
        boxed = file.read(8)[4:] == b"ftyp"
    if boxed and "moov atom not found" in printed:
        return "is cut short: its index (moov) is missing; copy or download it again."
    stream = re.search(r": Video: (?!.*attached pic)(\w+)(?:.*?\((\S+) / 0x)?", printed)
    if stream is None:
        sound = ": Audio: " in printed
        return f"has {'sound, but ' if sound else ''}no readable video stream; {INSTEAD}."
    if re.search(r"no decoder found|Decoder .*not found|Video: none", printed):
        named = re.search(r"AVCodecID (\S+?)\.?\s", printed)
        known = stream[1] if stream[1] != "none" else None
        codec = known or stream[2] or (named[1] if named else "something unknown")
        return (
            f"is encoded as {codec}, which ffmpeg cannot decode; encode it anew as H.264, or "
            "give a folder of frames."
        )
    return f"is damaged from its first frame on; {INSTEAD}."


def refusal_of_picture(path: Path) -> str | None:
    """What is wrong with a picture that was given as a video; None of what is none, or a gif."""
    with suppress(Exception), Image.open(path) as picture:
        if getattr(picture, "is_animated", False) and picture.format != "GIF":
            return (
                f"is an animated {picture.format}, which this ffmpeg does not read; make a gif or "
                "an mp4 of it, or a folder of frames."
            )
        if picture.format != "GIF":
            return f"is a picture ({picture.format}), and motion needs several; {INSTEAD}."
    return None
