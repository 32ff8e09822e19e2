"""Raters' answers, read from the files that the page saved."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ditflow.errors import DitflowError, shortened
from ditflow.rating.study import LEVELS, STATEMENTS, Study
from ditflow.utils.untrusted import read_json


@dataclass(frozen=True)
class Answers:
    """One rater's: by trial and statement, 1 (strongly disagree) to 5 (strongly agree)."""

    rater: str
    values: dict[str, dict[str, int]]


def read_answers(paths: Sequence[Path], study: Study) -> list[Answers]:
    """Answers of all raters, each of them whole.

    Raises:
        DitflowError: names the first file that is not readable, is another study's, leaves a
            trial out or has a value that the page does not give, or two of one rater.
    """
    found: dict[str, tuple[Path, Answers]] = {}
    for path in paths:
        answers = _read(path, study)
        if answers.rater in found:
            raise DitflowError(
                f"answers={path} is of the same rater as {found[answers.rater][0]}; give one of "
                "them."
            )
        found[answers.rater] = path, answers
    return [answers for _, answers in found.values()]


def _read(path: Path, study: Study) -> Answers:
    try:
        content = read_json(path)
    except DitflowError as error:
        raise DitflowError(
            f"answers={path} cannot be read as JSON; give a file that the rating page saved."
        ) from error
    if not isinstance(content, dict) or not isinstance(content.get("answers"), dict):
        raise DitflowError(
            f"answers={path} holds no answers; give a file that the rating page saved."
        )
    if content.get("study") != study.name:
        raise DitflowError(
            f"answers={path} is of study {shortened(content.get('study'))}, the key of "
            f"{study.name}; give the key of its own study."
        )
    rater, values = content.get("rater"), content["answers"]
    if not isinstance(rater, str) or not rater:
        raise DitflowError(f"answers={path} does not say whose they are; leave it out.")
    unknown = [name for name in values if name not in study.trials]
    if unknown:
        raise DitflowError(
            f"answers={path} has trial {shortened(unknown[0])}, which the key has not."
        )
    missing = [name for name in study.trials if name not in values]
    if missing:
        raise DitflowError(
            f"answers={path} lacks {len(missing)} of {len(study.trials)} trials, the first "
            f"{missing[0]}; have it finished, or leave it out."
        )
    for name, given in values.items():
        for statement in STATEMENTS:
            value = given.get(statement) if isinstance(given, dict) else None
            if not _is_level(value):
                raise DitflowError(
                    f"answers={path}: {statement} of trial {name} is {shortened(value)}; it must "
                    f"be a whole number, 1 to {len(LEVELS)}."
                )
    return Answers(rater, values)


def _is_level(value: Any) -> bool:
    return type(value) is int and 1 <= value <= len(LEVELS)
