"""What raters answered, by method: a table with intervals, and a figure as the paper's Figure 6."""

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ditflow.benchmark.bootstrap import Interval, interval
from ditflow.pages.templating import render
from ditflow.rating.answers import Answers
from ditflow.rating.study import LEVELS, STATEMENTS, Study
from ditflow.utils.files import write_text

COLORS = ("#b2541f", "#e8ae7d", "#dcdcdc", "#8fb8dd", "#2a659f")
"""Of the levels: apart for colour-blind eyes and in grey, disagreement and agreement alike."""

INKS = ("#ffffff", "#1d2129", "#1d2129", "#1d2129", "#ffffff")
BAR, LEAST = 300, 0.07
"""Width of a whole bar, and the share below which a level is too narrow for its number."""


@dataclass(frozen=True)
class Row:
    """One method's answers to one statement.

    Attributes:
        mean: of the answers, with a 95 % bootstrap interval over references.
        counts: of each level's answers, 1 to 5.
    """

    statement: str
    method: str
    mean: Interval
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Piece:
    """A level's part of a bar."""

    x: float
    width: float
    color: str
    ink: str
    text: str
    title: str


def tally(study: Study, answers: Sequence[Answers]) -> list[Row]:
    """Every statement's rows, methods from the highest mean to the lowest.

    The interval is over references, as in a benchmark's tables: all answers to one reference's
    videos are drawn together. The raters are taken as they are.
    """
    values: dict[tuple[str, str], dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for rater in answers:
        for name, given in rater.values.items():
            trial = study.trials[name]
            for statement in STATEMENTS:
                values[statement, trial.method][trial.video].append(given[statement])
    rows = []
    for (statement, method), by_video in values.items():
        counts = Counter(value for given in by_video.values() for value in given)
        levels = tuple(counts[level] for level in range(1, len(LEVELS) + 1))
        rows.append(Row(statement, method, interval(by_video), levels))
    order = list(STATEMENTS)
    return sorted(rows, key=lambda r: (order.index(r.statement), -r.mean.mean, r.method))


def comma_separated(rows: Sequence[Row], raters: int) -> str:
    """One line a statement and method."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    levels = [f"answers_{level}" for level in range(1, len(LEVELS) + 1)]
    writer.writerow(["statement", "method", "mean", "low", "high", "videos", "raters", *levels])
    for row in rows:
        writer.writerow([row.statement, row.method, *row.mean, raters, *row.counts])
    return text.getvalue()


def write_figure(study: Study, answers: Sequence[Answers], output: Path) -> list[Path]:
    """Write `ratings.csv` and `ratings.svg`.

    Args:
        study: what was rated.
        answers: of all raters, at least one.
        output: folder.

    Raises:
        DitflowError: a file cannot be written.
    """
    rows = tally(study, answers)
    panels = [
        (f"{name} adherence".capitalize(), text, [row for row in rows if row.statement == name])
        for name, text in STATEMENTS.items()
    ]
    longest = max(len(row.method) for row in rows)
    picture = render(
        "ratings.svg",
        panels=panels,
        pieces=_pieces,
        levels=list(zip(LEVELS, COLORS, strict=True)),
        methods=max(len(own) for _, _, own in panels),
        margin=24 + 7 * longest,
        bar=BAR,
        raters=len(answers),
        answers=sum(sum(row.counts) for row in rows),
    )
    texts = {
        output / "ratings.csv": comma_separated(rows, len(answers)),
        output / "ratings.svg": picture,
    }
    for path, text in texts.items():
        write_text(path, text)
    return list(texts)


def _pieces(row: Row) -> list[Piece]:
    """A bar's parts from left to right; levels that nobody chose have none."""
    total, x, found = sum(row.counts), 0.0, []
    for level, color, ink, count in zip(LEVELS, COLORS, INKS, row.counts, strict=True):
        share = count / total
        if count:
            text = f"{100 * share:.0f}" if share >= LEAST else ""
            title = f"{level}: {count} of {total}"
            found.append(Piece(round(x, 2), round(BAR * share, 2), color, ink, text, title))
        x += BAR * share
    return found
