"""What is chosen on the page as command lines."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, cast

from ditflow.errors import DitflowError
from ditflow.settings.options import SHORT
from ditflow.settings.stacked import Settings
from ditflow.utils.prompts import read_prompts


def _choice(option: str, label: str, in_preview: bool = False, **default: Any) -> Any:
    """A field with its command-line option, what the page calls it, and whether previews have it:
    they show how sure the attention is without being asked."""
    named = {"option": option, "label": label, "in_preview": in_preview}
    return field(metadata=named, **default)


@dataclass(frozen=True)
class Choices:
    """The options of a fit that the page offers: all that is known of them stands here.

    Attributes:
        num_frames: None for what the presets say.
        stride: None for as many frames a second as the video has.
        mask: of the part of the reference that guides; None for all of it.
    """

    target: str = _choice("--target", "Optimise")
    seed: int = _choice("--seed", "Seed")
    injection: bool = _choice("--injection", "KV injection")
    optimization_steps: int = _choice("--model.optimization_steps", "Adam steps a guided step")
    start_frame: int = _choice("--start-frame", "First frame", True)
    stride: int | None = _choice("--stride", "Every so many frames", True)
    num_frames: int | None = _choice("--num-frames", "Frames", True)
    block: int = _choice("--block", "Guided block", True)
    confidence: bool = _choice("--confidence", "Confidence")
    mask: Path | None = _choice("--mask", "Mask", True, default=None)

    @classmethod
    def of(cls, settings: Settings) -> "Choices":
        """What presets say, so that only what differs has to be given."""
        said = {"model": settings.model, "data": settings.data, "kv_injection": settings.injection}
        chosen = {}
        for each in fields(cls):
            option = each.metadata["option"]
            section, *path = SHORT.get(option, option).removeprefix("--").split(".")
            chosen[each.name] = said[section][path[0]]
            if len(path) > 1:  # the confidence of an objective, which another may not have
                chosen[each.name] = getattr(chosen[each.name], path[1], False)
        return cls(**chosen)

    def changes(self, preset: "Choices", of_preview: bool = False) -> Iterator[str]:
        """Options, with their values, that differ from the presets'.

        Raises:
            DitflowError: a value from the browser is of another kind than the option's.
        """
        for each in fields(self):
            value, kind = getattr(self, each.name), cast(type, each.type)
            if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
                name = each.name.replace("_", " ")
                raise DitflowError(f"{name} is empty or of a wrong kind; give another.")
            if of_preview and not each.metadata["in_preview"]:
                continue
            if value is not None and value != getattr(preset, each.name):
                said = str(value).lower() if isinstance(value, bool) else str(value)
                yield f"{each.metadata['option']}={said}"


@dataclass(frozen=True)
class Form:
    """What a page had when a fit or preview was begun on it: the presets, stacked, and choices."""

    configs: tuple[str, ...]
    choices: Choices


LABELS: dict[str, str] = {each.name: each.metadata["label"] for each in fields(Choices)}
"""What the page calls each choice."""


def fit_args(
    configs: Sequence[str], video: Path, prompts: str, chosen: Choices, preset: Choices, out: Path
) -> list[str]:
    """Arguments of `ditflow fit`.

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
    given = chosen.changes(preset)
    args = ["fit", *_stacked(configs), "--video", str(video), *_prompts(prompts)]
    return [*args, *given, "--output", str(out)]


def preview_args(
    configs: Sequence[str], video: Path, chosen: Choices, preset: Choices, out: Path
) -> list[str]:
    """Arguments of `ditflow preview`, from what `fit_args` takes."""
    given = chosen.changes(preset, of_preview=True)
    args = ["preview", *_stacked(configs), "--video", str(video)]
    return [*args, *given, "--output", str(out)]


def predict_args(embedding: Path, prompts: str, seeds: str, out: Path) -> list[str]:
    """Arguments of `ditflow predict`.

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


def on_page(text: str) -> str:
    """A command's message with its options as the page calls them."""
    for each in fields(Choices):
        more = "s?" if each.name == "block" else ""  # those around it are a preview's
        option, label = each.metadata["option"], each.metadata["label"]
        text = re.sub(rf"{option}{more}(?![\w-])", f"“{label}”", text)
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
