"""How far a command is, from what it writes to a terminal."""

import re
from dataclasses import dataclass

BAR = re.compile(r"([^\r\n|]+?): +\d+%\|[^|\r\n]*\| *(\d+)/(\d+)")
"""A progress bar of tqdm: its name, what is done and how much there is."""

WHOLE = re.compile(r"[^\r\n]*?%\|[^|\r\n]*\|[^\[\r\n]*\[[^\]\r\n]*\]")
"""Such a bar to its end, after which, where it was broken off, something else may follow."""

GUIDED = re.compile(r"Guided step (\d+)/(\d+)")
"""The name of a fit's bar, which counts the optimisation steps of one guided step."""

NAMES = {"Guided steps": "Guided steps, sampled again", "Predicting DataLoader 0": "Videos"}
"""Of bars whose own name says little on a page."""


@dataclass(frozen=True)
class Progress:
    """One phase of a command.

    Attributes:
        name: of the phase.
        done, total: of its steps.
        share: of the phase that is over, in [0, 1].
    """

    name: str
    done: int
    total: int
    share: float


def progress_of(output: str) -> Progress | None:
    """The phase that a command's output ends in; None before its first progress bar."""
    bars = BAR.findall(output)
    if not bars:
        return None
    name, done, total = bars[-1][0].strip(), int(bars[-1][1]), int(bars[-1][2])
    share = done / total if total else 0.0
    if guided := GUIDED.search(name):
        step, steps = int(guided[1]), int(guided[2])
        return Progress("Guided step", step, steps, (step - 1 + share) / steps)
    return Progress(NAMES.get(name, name), done, total, share)


def said(output: str) -> str:
    """What a command said: its lines, progress bars left out."""
    lines = (line.rstrip() for line in re.split(r"[\r\n]", WHOLE.sub("", output)))
    return "\n".join(line for line in lines if line)
