"""What is chosen on the page as command lines."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ditflow.data import read_prompts
from ditflow.errors import DitflowError
from ditflow.settings import Settings


@dataclass(frozen=True)
class Choices:
    """The options of a fit that the page offers.

    Attributes:
        target: `latents` or `positions`.
        seed: of the initial noise.
        injection: whether keys and values of the reference are injected.
        optimization_steps: Adam steps at each guided step.
        start_frame, stride: which frames are taken of the reference.
    """

    target: str
    seed: int
    injection: bool
    optimization_steps: int
    start_frame: int
    stride: int

    @classmethod
    def of(cls, settings: Settings) -> "Choices":
        """What presets say, so that only what differs has to be given."""
        return cls(
            settings.model["target"],
            settings.model["seed"],
            settings.injection["enabled"],
            settings.model["optimization_steps"],
            settings.data["start_frame"],
            settings.data["stride"],
        )


OPTIONS = {
    "target": "--target",
    "seed": "--seed",
    "injection": "--injection",
    "optimization_steps": "--model.optimization_steps",
    "start_frame": "--start-frame",
    "stride": "--stride",
}
"""Option of each choice."""


def fit_args(
    configs: Sequence[str], video: Path, prompts: str, chosen: Choices, preset: Choices, out: Path
) -> list[str]:
    """Of `ditflow fit`.

    Args:
        configs: presets, stacked.
        video: the reference.
        prompts: one a line.
        chosen: the options.
        preset: what the presets say; the same is not said again.
        out: folder of the output.

    Raises:
        DitflowError: no prompt, or a number that is none.
    """
    given = _changes(chosen, preset, tuple(OPTIONS))
    args = ["fit", *_stacked(configs), "--video", str(video), *_prompts(prompts)]
    return [*args, *given, "--output", str(out)]


def preview_args(
    configs: Sequence[str], video: Path, block: int, chosen: Choices, preset: Choices, out: Path
) -> list[str]:
    """Of `ditflow preview`, of the block alone that a fit reads; arguments as of `fit_args`."""
    given = _changes(chosen, preset, ("start_frame", "stride"))
    args = ["preview", *_stacked(configs), "--video", str(video), "--blocks", str(block)]
    return [*args, *given, "--output", str(out)]


def predict_args(embedding: Path, prompts: str, seeds: str, out: Path) -> list[str]:
    """Of `ditflow predict`.

    Args:
        embedding: the file.
        prompts: one a line.
        seeds: whole numbers with spaces between; none for the fit's.
        out: folder of the output.

    Raises:
        DitflowError: no prompt, or a seed that is no number.
    """
    given = seeds.replace(",", " ").split()
    if not all(seed.isdecimal() for seed in given):
        raise DitflowError(f"seeds={' '.join(given)} must be whole numbers, such as 0 1 2.")
    args = ["predict", "--embedding", str(embedding), *_prompts(prompts)]
    return [*args, *(["--seeds", *given] if given else []), "--output", str(out)]


def _stacked(configs: Sequence[str]) -> list[str]:
    return [token for config in configs for token in ("--config", config)]


def _prompts(text: str) -> list[str]:
    """Prompts as the command line takes them.

    One that looks like an option must not become one: with `--model.backbone` a stranger would have
    the app load what they like.
    """
    prompts = read_prompts(text.splitlines(), None)
    if any(prompt[0] in "-[" for prompt in prompts):
        return [f"--prompts={json.dumps(prompts, ensure_ascii=False)}"]
    return ["--prompts", *prompts]


def _changes(chosen: Choices, preset: Choices, names: Sequence[str]) -> list[str]:
    """Options, with their values, that differ from the presets'."""
    args = []
    for name in names:
        value = getattr(chosen, name)
        if value != getattr(preset, name):
            args.append(f"{OPTIONS[name]}={_checked(name, value, getattr(preset, name))}")
    return args


def _checked(name: str, value: Any, like: Any) -> str:
    """A value from a browser as text, if it is of the kind that the preset's is."""
    if type(value) is not type(like):
        raise DitflowError(f"{name.replace('_', ' ')} is empty or of a wrong kind; give another.")
    return str(value).lower() if isinstance(value, bool) else str(value)
