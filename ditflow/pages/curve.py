"""The loss over guided steps, as the numbers that an SVG needs."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ditflow.pages.event_files import Losses

WIDTH, HEIGHT = 420, 220
LEFT, RIGHT, TOP, BOTTOM = 44, 10, 10, 38
SHOWN = 150
"""Points that are drawn and named one by one; more would hide the line."""


@dataclass(frozen=True)
class Tick:
    """A place on an axis and its label."""

    place: float
    label: str


@dataclass(frozen=True)
class Part:
    """One line of the curve: its points, and where each is in words."""

    line: str
    points: list[tuple[float, float, str]]
    start: float
    text: str


@dataclass(frozen=True)
class Curve:
    """A drawing of WIDTH × HEIGHT."""

    parts: list[Part]
    across: list[Tick]
    up: list[Tick]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


def loss_curve(parts: Sequence[Losses]) -> Curve | None:
    """The curve of all parts of a fit; None if no loss was logged."""
    if not parts:
        return None
    values = [value for part in parts for value in part.values]
    ticks = even_ticks(min(values), max(values))
    low, high = min(ticks[0], min(values)), max(ticks[-1], max(values))
    end = math.floor(max(step for part in parts for step in part.steps)) + 1

    def x(step: float) -> float:
        return round(LEFT + step / end * (WIDTH - LEFT - RIGHT), 1)

    def y(value: float) -> float:
        return round(TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM), 1)

    every = max(1, math.ceil(end / 10))
    return Curve(
        [_part(part, x, y) for part in parts],
        [Tick(x(step), str(step + 1)) for step in range(0, end, every)],
        [Tick(y(value), f"{value:g}") for value in ticks],
    )


def even_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round values, from at most `low` to at least `high`."""
    spread = high - low or abs(high) or 1.0
    power = 10 ** math.floor(math.log10(spread / count))
    step = next(power * m for m in (1, 2, 5, 10) if power * m * count >= spread)
    first, last = math.floor(round(low / step, 9)), math.ceil(round(high / step, 9))
    last = max(last, first + 1)
    return [float(f"{step * index:.10g}") for index in range(first, last + 1)]


def _part(losses: Losses, x: Callable[[float], float], y: Callable[[float], float]) -> Part:
    places = [(x(s), y(v)) for s, v in zip(losses.steps, losses.values, strict=True)]
    points = [
        (*place, f"guided step {math.floor(step) + 1}: {value:.4g}")
        for place, step, value in zip(places, losses.steps, losses.values, strict=True)
    ]
    first, last = math.floor(losses.steps[0]) + 1, math.floor(losses.steps[-1]) + 1
    return Part(
        " ".join(f"{across},{up}" for across, up in places),
        points if len(points) <= SHOWN else [],
        places[0][0],
        f"guided steps {first} to {last}: from {losses.values[0]:.4g} to {losses.values[-1]:.4g}",
    )
