"""What a fit's TensorBoard events hold: losses and pictures of motion flows."""

from dataclasses import dataclass
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import (
    STORE_EVERYTHING_SIZE_GUIDANCE,
    EventAccumulator,
)

MOST_STEPS = 10_000
"""Guided steps of a fit; more are not drawn."""


@dataclass(frozen=True)
class Losses:
    """Of one part of a fit: all of it, or what was done between two interruptions.

    Attributes:
        steps: the guided step of each loss, from 0, and how much of it was over.
        values: the losses.
    """

    steps: list[float]
    values: list[float]


@dataclass(frozen=True)
class Events:
    """Attributes:
    losses: by part, in the order they were made.
    flows: pictures (PNG) of the motion flow by guided step, from 0, of the generation.
    reference: of the reference's motion flow, if there is one.
    wheel: which colour is which direction.
    """

    losses: list[Losses]
    flows: dict[int, bytes]
    reference: bytes | None
    wheel: bytes | None


def read_events(folder: Path) -> Events:
    """Read a run's event files: the first process' of the fit, and one more a resumption.

    Args:
        folder: with TensorBoard's files; nothing is found in one that is not there.
    """
    files = [_load(path) for path in sorted(folder.glob("events.out.tfevents.*"))]
    # A log that was damaged or cut off may have losses of no guided step, and of a fit that goes on
    # a loss may be there before the rest of its step.
    with_loss = [file for file in files if _losses(file).values]
    with_loss.sort(key=lambda file: file.Scalars("loss")[0].wall_time)
    flows: dict[int, bytes] = {}
    single: dict[str, bytes] = {}
    for file in with_loss:
        tags = file.Tags()["images"]
        if "flow/generation" in tags:
            flows |= {e.step: e.encoded_image_string for e in file.Images("flow/generation")}
        for tag in ("flow/reference", "flow/color wheel"):
            if tag in tags:
                single[tag] = file.Images(tag)[-1].encoded_image_string
    losses = map(_losses, with_loss)
    return Events(
        [part for part in losses if part.values],
        dict(sorted(flows.items())),
        single.get("flow/reference"),
        single.get("flow/color wheel"),
    )


def _load(path: Path) -> EventAccumulator:
    return EventAccumulator(str(path), STORE_EVERYTHING_SIZE_GUIDANCE).Reload()


def _losses(file: EventAccumulator) -> Losses:
    """Losses over guided steps: Lightning logs the epoch, which is the guided step, beside them."""
    if not {"loss", "epoch"} <= set(file.Tags()["scalars"]):
        return Losses([], [])
    epochs = {e.step: int(e.value) for e in file.Scalars("epoch") if 0 <= e.value < MOST_STEPS}
    losses = {e.step: e.value for e in file.Scalars("loss") if e.step in epochs}
    losses = {step: value for step, value in losses.items() if is_loss(value)}
    by_epoch: dict[int, list[float]] = {}
    for step, value in losses.items():
        by_epoch.setdefault(epochs[step], []).append(value)
    longest = max(map(len, by_epoch.values()), default=0)
    steps = [
        epoch + index / longest
        for epoch, values in by_epoch.items()
        for index in range(len(values))
    ]
    return Losses(steps, list(losses.values()))


def is_loss(value: float) -> bool:
    """Whether it is a number that can be drawn, as a fit's are."""
    return value == 0 or 1e-30 < abs(value) < 1e30
