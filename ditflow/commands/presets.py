"""`ditflow presets`: what is shipped to start from, presets and benchmark manifests."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from ditflow.errors import DitflowError, shortened
from ditflow.settings.parsing import CommandParser
from ditflow.utils.shipped import MANIFESTS, PRESETS, shipped_files


def presets(args: Sequence[str]) -> int:
    """List the shipped presets and benchmark manifests, or print one, to make one's own of it.

    For example: ditflow presets sprites-ablation > mine.yaml

    Returns:
        0.
    """
    given = presets_parser().parse_args(list(args))
    kinds = {
        "Presets of fit, preview, plan, selftest and app": shipped_files(PRESETS),
        "Manifests of benchmark": shipped_files(MANIFESTS),
    }
    if given.name is not None:
        files = {name: path for kind in kinds.values() for name, path in kind.items()}
        if given.name not in files:
            raise DitflowError(
                f"name={shortened(given.name)} is not shipped; these are: "
                f"{', '.join(sorted(files))}."
            )
        print(files[given.name].read_text(encoding="utf-8"), end="")
        return 0
    for title, files in kinds.items():
        print(f"{title}:")
        for name, path in files.items():
            print(f"  {name:<20} {' '.join(summary(path))}")
    return 0


def presets_parser() -> CommandParser:
    """Of the command line."""
    parser = CommandParser(prog="ditflow presets", description=presets.__doc__)
    parser.add_argument("name", type=str, nargs="?", help="Of the one to print.")
    return parser


def summary(path: Path) -> Iterator[str]:
    """The first sentence of the comment that a shipped file begins with, by lines."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("# "):
            return
        sentence, end, _ = re.sub("^# ", "", line).partition(". ")
        yield f"{sentence}." if end else sentence
        if end or sentence.endswith("."):
            return
