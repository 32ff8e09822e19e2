"""Command lines from typed functions."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from ditflow.commands.table import COMMANDS
from ditflow.errors import DitflowError
from ditflow.settings.parsing import command_parser


def shown(
    folder: Path,
    name: str | None = None,
    *,
    video: Path,
    config: Sequence[str] | None = None,
    start_frame: int | None = None,
    blocks: Sequence[int] | None = None,
    prompts: Sequence[str] | None = None,
    private: bool | None = None,
    seed: int = 5,
) -> int:
    """Show something.

    Args:
        folder: Of what there is.
        start_frame: The first
            of the video.

    Returns:
        0 if it is there.
    """
    return 0


def parsed(line: str) -> dict:
    return vars(command_parser("shown", shown).parse_args(line.split()))


def test_a_signature_is_a_command_line():
    assert parsed("out --video v.mp4") == {
        "folder": Path("out"),
        "name": None,
        "video": Path("v.mp4"),
        "config": None,
        "start_frame": None,
        "blocks": None,
        "prompts": None,
        "private": None,
        "seed": 5,
    }
    line = "out x --start-frame 3 --blocks 1 2 -c a b --config c --prompt p q --video v"
    given = parsed(line)
    assert (given["name"], given["start_frame"], given["blocks"]) == ("x", 3, [1, 2])
    assert given["config"] == ["a", "b", "c"]
    assert given["prompts"] == ["p", "q"]
    for word, value in (("true", True), ("false", False), ("null", None)):
        assert parsed(f"out --video v --private {word}")["private"] is value


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("out", "required: video"),
        ("--video v", "required: folder"),
        ("out --video v --start-frame soon", 'key "start_frame": Expected a'),
        ("out --video v --blocks 1 two", 'key "blocks" element 2: Expected a'),
        ("out --video v --start 3", "unrecognized arguments: --start 3"),
    ],
)
def test_what_is_wrong_is_one_line(line, expected):
    with pytest.raises(DitflowError, match=expected) as raised:
        parsed(line)
    assert "\n" not in str(raised.value)


def test_a_docstring_is_its_help():
    said = " ".join(command_parser("shown", shown).format_help().split())
    assert "usage: ditflow shown" in said
    assert "Show something. Returns: 0 if it is there." in said
    assert "The first of the video. (type: int, default: null)" in said


def test_every_command_has_a_parser_that_says_what_it_is_for():
    for command in COMMANDS:
        assert command.parser().description, command.name
