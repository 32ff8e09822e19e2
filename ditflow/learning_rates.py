"""How fast each target is optimised."""

from collections.abc import Callable
from dataclasses import dataclass

from ditflow.errors import DitflowError
from ditflow.functional.parameterization import Parameterization, Target


@dataclass(frozen=True)
class LearningRates:
    """First and last learning rate of each target; in between they fall linearly.

    Attributes:
        latents: z_t, in units of its own deviation.
        values: ρ itself, cosines and sines or sinusoidal values.
        coordinates: positions in tokens. Adam moves each coordinate by about the rate a step, so
            that `rate · 5 steps · guided steps` bounds how far a token can go.
        prediction: z_t, by an objective that reads the prediction, such as FlowMotion.
    """

    latents: tuple[float, float] = (0.002, 0.001)
    values: tuple[float, float] = (0.002, 0.001)
    coordinates: tuple[float, float] = (0.05, 0.025)
    prediction: tuple[float, float] = (0.003, 0.003)

    def __post_init__(self) -> None:
        for name in ("latents", "values", "coordinates", "prediction"):
            for rate in getattr(self, name):
                if not 0 < rate < float("inf"):
                    raise DitflowError(
                        f"learning_rates.{name}={rate} must be greater than 0, such as 0.002."
                    )

    def of(
        self, target: Target, parameterization: Parameterization, reads: str = ""
    ) -> tuple[float, float]:
        """Of a target, optimised by an objective that `reads` this."""
        if reads == "prediction":
            return self.prediction
        return self.latents if target == "latents" else getattr(self, parameterization)


def falling(first: float, last: float, steps: int) -> Callable[[int], float]:
    """The share of the first rate at each step, from the first to the last in a straight line.

    Example:
        >>> share = falling(0.002, 0.001, steps=3)
        >>> [share(step) for step in range(4)]
        [1.0, 0.75, 0.5, 0.5]
    """

    def share(step: int) -> float:
        done = min(step / max(1, steps - 1), 1.0)
        return (first + (last - first) * done) / first

    return share
