"""What a predict has made, so that the same command makes only what is missing."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ditflow.errors import DitflowError
from ditflow.utils.files import write_text
from ditflow.utils.untrusted import read_json

Item = tuple[str, int]
"""A video's prompt and seed."""


class Predictions:
    """A predict's videos in a folder, `<prompt>-seed<seed>.mp4`, and beside each what it was made
    with, `<prompt>-seed<seed>.json`, written when the video is whole.

    Args:
        folder: of the output.
        items: prompt and seed of each video.
        made_with: all that the videos depend on beside these, primitives only.
    """

    def __init__(self, folder: Path, items: Sequence[Item], made_with: Mapping[str, Any]):
        self.items, self._made_with = items, made_with
        self._paths = paths_of(folder, items)

    def path(self, item: Item) -> Path:
        """Of a video."""
        return self._paths[item]

    def paths(self) -> list[Path]:
        """Of all videos."""
        return list(self._paths.values())

    def begin(self, item: Item) -> None:
        """Forget a video before it is replaced: an old record beside a new video would say of it
        what is not so, if the process were killed between the two."""
        self._record_path(item).unlink(missing_ok=True)

    def file(self, item: Item) -> None:
        """Note that a video has been written."""
        text = json.dumps(self._record(item), indent=1, ensure_ascii=False)
        write_text(self._record_path(item), text)

    def finished(self) -> set[Item]:
        """The items whose videos are there.

        Raises:
            DitflowError: a video of the same name was made with something else.
        """
        return {item for item in self.items if self._is_finished(item)}

    def _is_finished(self, item: Item) -> bool:
        path = self.path(item)
        try:
            record = read_json(self._record_path(item), dict[str, Any])
        except DitflowError:
            return False
        if not path.exists():
            return False
        own = self._record(item)
        if record == own:
            return True
        different = next(name for name in [*own, "format"] if record.get(name) != own.get(name))
        raise DitflowError(
            f"output: {path} was made with another {different}; replace it by --overwrite true, "
            "or give another folder."
        )

    def _record_path(self, item: Item) -> Path:
        return self.path(item).with_suffix(".json")

    def _record(self, item: Item) -> dict[str, Any]:
        prompt, seed = item
        return {"prompt": prompt, "seed": seed, **self._made_with}


def paths_of(folder: Path, items: Sequence[Item]) -> dict[Item, Path]:
    """A video's path for each item; prompts that shorten to the same words are numbered."""
    paths: dict[Item, Path] = {}
    for item in items:
        prompt, seed = item
        name = f"{slug(prompt)}-seed{seed}"
        taken = {path.stem for path in paths.values()}
        number = 1
        while name in taken and item not in paths:
            number += 1
            name = f"{slug(prompt)}-{number}-seed{seed}"
        paths.setdefault(item, folder / f"{name}.mp4")
    return paths


def slug(prompt: str, length: int = 60) -> str:
    """A prompt as part of a file name: lower-case words joined by hyphens."""
    words = re.sub(r"[^\w]+", "-", prompt.lower()).strip("-")
    return words[:length].rstrip("-") or "prompt"
