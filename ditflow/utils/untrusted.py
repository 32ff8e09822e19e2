"""YAML and JSON that may be a stranger's: plain values of reasonable size, or refused in one line.

PyYAML builds nested values by recursion, which its C parser does not survive, and a few aliases
can stand for billions of values: both are counted from the parser's events, before any value is.
"""

import json
import re
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from ditflow.errors import DitflowError, reason_of, shortened

T = TypeVar("T")

UNREADABLE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What PyYAML raises beside its own errors, such as for the date 2020-99-99, or `!!int ""`."""

MOST_YAML_BYTES = 2**20
MOST_JSON_BYTES = 2**23
MOST_VALUES = 50_000
DEEPEST = 50


def read_mapping(name: Path | str) -> dict[str, Any]:
    """The settings in a YAML file, or in a text that begins with `{`.

    Args:
        name: of the file, or the text.

    Raises:
        DitflowError: it is not there, is no UTF-8, no YAML, no mapping of names, larger than
            1 MiB, nested deeper than 50, or holds more than 50 000 values, aliases written out.
    """
    text = str(name)
    if text.lstrip().startswith("{"):
        called = "config"
    else:
        called, text = f"config={name}", _text(Path(name))
    try:
        problem = _problem(text)
        content = None if problem else yaml.safe_load(text)
    except (yaml.YAMLError, *UNREADABLE) as error:
        said = " ".join(str(error).split())
        raise DitflowError(f"{called} cannot be read as YAML ({said}).") from error
    if problem is not None:
        raise DitflowError(f"{called} {problem}; see the presets for its form.")
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise DitflowError(f"{called} holds no settings by name; see the presets for its form.")
    return content


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MOST_YAML_BYTES + 1)
        if len(content) > MOST_YAML_BYTES:
            raise DitflowError(f"config={path} is larger than 1 MiB; give a YAML file of settings.")
        return content.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DitflowError(f"config={path} cannot be read as text ({error}).") from error


def _problem(text: str) -> str | None:
    """What makes a text too much to build values of."""
    sizes: dict[str, int] = {}
    open_values: list[tuple[str | None, int]] = []  # anchor, and the count of values before it
    count = 0
    for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_values.pop()
            if anchor is not None:
                sizes[anchor] = count - before
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                return f"has the alias *{event.anchor} to what is not above it"
            count += sizes[event.anchor]
        elif isinstance(event, yaml.ScalarEvent):
            count += 1
            if event.anchor is not None:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            open_values.append((event.anchor, count))
            count += 1
        if len(open_values) > DEEPEST:
            return f"is nested deeper than {DEEPEST}"
        if count > MOST_VALUES:
            return f"holds more than {MOST_VALUES} values, aliases written out"
    return None


def read_json(path: Path, kind: type[T]) -> T:
    """The values of a JSON file.

    Args:
        path: of the file.
        kind: what they must be, see `checked`.

    Raises:
        DitflowError: it is not there, larger than 8 MiB, or none that `parse_json` takes.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_JSON_BYTES + 1)
        if len(content) > MOST_JSON_BYTES:
            raise ValueError("larger than 8 MiB")
        return parse_json(content.decode("utf-8"), kind)
    except (OSError, ValueError) as error:
        raise DitflowError(
            f"{path} cannot be read as JSON ({reason_of(error)}); give a file that ditflow wrote."
        ) from error


def parse_json(text: str, kind: type[T]) -> T:
    """The values of a JSON text, every text in which can be written as UTF-8.

    Raises:
        ValueError: it is no JSON, is nested deeper than 50, has half of a surrogate pair, or is of
            another kind.
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
            return checked(content, kind)
    raise ValueError(f"nested deeper than {DEEPEST}")


def checked(values: Any, kind: type[T]) -> T:
    """Plain values as a type says that they are: of its types and within its bounds, nothing
    converted but lists to tuples, whole numbers to floats and texts to paths.

    Args:
        values: as JSON has them.
        kind: a type, dataclass or `msgspec.Struct`; `Annotated` with `msgspec.Meta` for bounds.

    Raises:
        ValueError: one line that says, as `name=value`, which does not fit and why.
    """
    try:
        return msgspec.convert(values, kind, dec_hook=_path)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at ")
        name = re.match(r"`\$\.(\w+)", place)
        if name and isinstance(values, dict) and name[1] in values:
            reason = f"{name[1]}={shortened(values[name[1]])}: {reason}"
        raise ValueError(shortened(reason, 200)) from error


def _path(kind: type, value: Any) -> Any:
    """What msgspec itself has no values of."""
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise ValueError(f"Expected `{kind.__name__}`, got `{type(value).__name__}`")


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value, *value.values()]
    return value if isinstance(value, list) else []
