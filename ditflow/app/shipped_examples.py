"""What the page offers to begin with: references, and words of prompts."""

from dataclasses import dataclass
from pathlib import Path

from jsonargparse import ArgumentParser

from ditflow.app.uploads import VIDEO_SUFFIXES
from ditflow.benchmark.references import References
from ditflow.errors import DitflowError, shortened
from ditflow.settings.options import manifest_path
from ditflow.sprites.world import BACKGROUNDS, COLORS, SHAPES, caption
from ditflow.utils.shipped import shipped
from ditflow.utils.untrusted import read_mapping

PROMPT = caption(SHAPES[0], next(iter(COLORS)), next(iter(BACKGROUNDS)))
"""One that the embedded models know."""


@dataclass(frozen=True)
class Example:
    """A reference that the page offers, and prompts to begin with."""

    video: Path
    prompt: str = ""


def examples(references: str | None, embedded: bool, folder: Path) -> list[Example]:
    """References to choose from, in the order they are shown.

    Args:
        references: a folder of videos, or a benchmark's manifest, by name or path; by default drawn
            ones for an embedded backbone, and none for others.
        embedded: whether the backbone is.
        folder: where those that have to be made are made.

    Raises:
        DitflowError: no such folder or manifest, or what it names is not there.
    """
    if references is None:
        return _of_manifest(shipped("configs") / "app.yaml", folder) if embedded else []
    if Path(references).is_dir():
        return _of_folder(Path(references))
    try:
        path = manifest_path(references)
    except DitflowError as error:  # which calls it a configuration
        known = str(error).rpartition("; ")[2]
        raise DitflowError(
            f"references={shortened(references)} is neither a folder of videos nor a manifest; "
            f"{known}"
        ) from error
    return _of_manifest(path, folder)


def known_words() -> str:
    """How to write a prompt for the embedded models, and every word that they know."""
    form = caption("SHAPE", "COLOUR", "BACKGROUND")
    return (
        f"The sprites know “{form}” alone. Shapes: {', '.join(SHAPES)}. Colours: "
        f"{', '.join(COLORS)}. Backgrounds: {', '.join(BACKGROUNDS)}."
    )


def _of_folder(folder: Path) -> list[Example]:
    found = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in VIDEO_SUFFIXES]
    if not found:
        raise DitflowError(
            f"references={folder} holds no videos ({', '.join(VIDEO_SUFFIXES)}); give another "
            "folder."
        )
    return [Example(path) for path in found]


def _of_manifest(path: Path, folder: Path) -> list[Example]:
    """Those of a manifest that the page can play."""
    section = read_mapping(path).get("references")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(References, "references")
    try:
        made = parser.instantiate(parser.parse_object({"references": section})).references
    except Exception as error:  # jsonargparse raises what the given classes raise
        reason = " ".join(str(error).split())
        raise DitflowError(f"references={path} is not usable: {reason}") from error
    problems = made.problems()
    if problems:
        raise DitflowError(f"references={path}: {problems[0]}.")
    listed = made.videos(folder)
    return [
        Example(each.video, each.subject)
        for each in listed
        if each.video.is_file() and each.video.suffix.lower() in VIDEO_SUFFIXES
    ]
