"""Raters' answers, read from the files that the page saved."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import Struct

from ditflow.errors import DitflowError, shortened
from ditflow.rating.study import LEVELS, STATEMENTS, Study
from ditflow.utils.untrusted import read_json


@dataclass(frozen=True)
class Answers:
    """One rater's: by trial and statement, 1 (strongly disagree) to 5 (strongly agree)."""

    rater: str
    values: dict[str, dict[str, int]]


class Saved(Struct):
    """What the page saves of a rater."""

    answers: dict[str, Any]
    study: Any = None
    rater: str | None = None


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
        saved = read_json(path, Saved)
    except DitflowError as error:
        raise DitflowError(
            f"answers={path} holds no answers that the rating page saved ({error})"
        ) from error
    if saved.study != study.name:
        raise DitflowError(
            f"answers={path} is of study {shortened(saved.study)}, the key of "
            f"{study.name}; give the key of its own study."
        )
    if not saved.rater:
        raise DitflowError(f"answers={path} does not say whose they are; leave it out.")
    values = saved.answers
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
            if type(value) is not int or not 1 <= value <= len(LEVELS):
                raise DitflowError(
                    f"answers={path}: {statement} of trial {name} is {shortened(value)}; it must "
                    f"be a whole number, 1 to {len(LEVELS)}."
                )
    return Answers(saved.rater, values)
