"""What is chosen on the page as command lines."""

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from ditflow.data import read_prompts
from ditflow.errors import DitflowError
from ditflow.settings.stacked import Settings


@dataclass(frozen=True)
class Choices:
    """The options of a fit that the page offers.

    Attributes:
        target: `latents` or `positions`.
        seed: of the initial noise.
        injection: whether keys and values of the reference are injected.
        optimization_steps: Adam steps at each guided step.
        start_frame, stride: which frames are taken of the reference.
        num_frames: how many of them at most; None for what the presets say.
        block: that is guided.
        confidence: whether displacements count by how sure the attention is of them.
        mask: of the part of the reference that guides; None for all of it.
    """

    target: str
    seed: int
    injection: bool
    optimization_steps: int
    start_frame: int
    stride: int
    num_frames: int | None
    block: int
    confidence: bool
    mask: Path | None = None

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
            settings.data["num_frames"],
            settings.model["block"],
            getattr(settings.model["objective"], "confidence", False),
            settings.data["mask"],
        )


OPTIONS = {
    "target": "--target",
    "seed": "--seed",
    "injection": "--injection",
    "optimization_steps": "--model.optimization_steps",
    "start_frame": "--start-frame",
    "stride": "--stride",
    "num_frames": "--num-frames",
    "block": "--block",
    "confidence": "--confidence",
    "mask": "--mask",
}
"""Option of each choice."""

OF_PREVIEW = ("start_frame", "stride", "num_frames", "block", "mask")
"""Those that a preview has too: it shows how sure the attention is without being asked."""

LABELS = {
    "target": "Optimise",
    "seed": "Seed",
    "injection": "KV injection",
    "optimization_steps": "Adam steps a guided step",
    "start_frame": "First frame",
    "stride": "Every so many frames",
    "num_frames": "Frames",
    "block": "Guided block",
    "confidence": "Confidence",
    "mask": "Mask",
}
"""What the page calls each choice."""

KINDS: dict[str, Any] = {field.name: field.type for field in fields(Choices)}
"""Type of each choice."""


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
    configs: Sequence[str], video: Path, chosen: Choices, preset: Choices, out: Path
) -> list[str]:
    """Of `ditflow preview`; arguments as of `fit_args`."""
    given = _changes(chosen, preset, OF_PREVIEW)
    args = ["preview", *_stacked(configs), "--video", str(video)]
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


def choices_in(args: Sequence[str], configs: Sequence[str], preset: Choices) -> Choices:
    """The options that a fit or preview was given; the presets' where it had others than these.

    Args:
        args: as `fit_args` or `preview_args` made them.
        configs, preset: as theirs.
    """
    stacked = _stacked(configs)
    if list(args[1 : 1 + len(stacked)]) != stacked:
        return preset
    said = {}
    for token in args:
        option, _, value = token.partition("=")
        for name in (name for name in OPTIONS if OPTIONS[name] == option and value):
            with suppress(ValueError):  # not of this page
                said[name] = _read(name, value)
    return replace(preset, **said)


def on_page(text: str) -> str:
    """A command's message with its options as the page calls them."""
    for name, option in OPTIONS.items():
        more = "s?" if name == "block" else ""  # a preview's, which has those around it on the page
        text = re.sub(rf"{option}{more}(?![\w-])", f"“{LABELS[name]}”", text)
    return text


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
        _check(name, value)
        if value is not None and value != getattr(preset, name):
            said = str(value).lower() if isinstance(value, bool) else str(value)
            args.append(f"{OPTIONS[name]}={said}")
    return args


def _check(name: str, value: Any) -> None:
    """Refuse a value from a browser that is of another kind than the choice."""
    kind = KINDS[name]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise DitflowError(f"{name.replace('_', ' ')} is empty or of a wrong kind; give another.")


def _read(name: str, value: str) -> Any:
    """A value as `_changes` wrote it."""
    if KINDS[name] is bool:
        return value == "true"
    if name == "mask":
        return Path(value)
    return value if KINDS[name] is str else int(value)
