"""JSON that may be a stranger's: plain values of reasonable size, or refused in one line."""

import json
from pathlib import Path
from typing import Any

from ditflow.errors import DitflowError, reason_of

MOST_BYTES = 2**23
DEEPEST = 50


def read_json(path: Path) -> Any:
    """The values of a JSON file.

    Raises:
        DitflowError: it is not there, larger than 8 MiB, or none that `parse_json` takes.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise ValueError("larger than 8 MiB")
        return parse_json(content.decode("utf-8"))
    except (OSError, ValueError) as error:
        raise DitflowError(
            f"{path} cannot be read as JSON ({reason_of(error)}); give a file that ditflow wrote."
        ) from error


def parse_json(text: str) -> Any:
    """The values of a JSON text, every text in which can be written as UTF-8.

    Raises:
        ValueError: it is no JSON, is nested deeper than 50, or has half of a surrogate pair.
    """
    try:
        content = json.loads(text)
    except RecursionError as error:
        raise ValueError(f"nested deeper than {DEEPEST}") from error
    level = [content]
    for _ in range(DEEPEST):
        for value in level:
            if isinstance(value, str):
                value.encode("utf-8")
        level = [inner for value in level for inner in _inside(value)]
        if not level:
            return content
    raise ValueError(f"nested deeper than {DEEPEST}")


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value, *value.values()]
    return value if isinstance(value, list) else []
