"""What a fit writes into a motion embedding's header, and what only a stranger would."""

import math
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ditflow.errors import shortened

if TYPE_CHECKING:
    from ditflow.embedding.header import EmbeddingHeader

TOKENS = 2**22
"""Patches of a video at most: thirty times CogVideoX's largest."""

LEAST_FPS, MOST_FPS = 0.01, 1000
"""Frames a second: ffmpeg takes two decimals."""

SEEDS = range(-(2**63), 2**64)
"""What torch takes."""

LOADER = "ditflow.load_backbone"
MODEL = frozenset(
    {
        "backbone",
        "target",
        "parameterization",
        "separate_query_key",
        "block",
        "num_inference_steps",
        "guidance_scale",
        "dynamic_guidance",
        "negative_prompt",
        "seed",
        "unguided_stride",
        "unguided_cache",
    }
)
"""Arguments of a run that a header may carry; none of them names a class but the loader."""


def is_plain(model: Any) -> bool:
    """Whether a header's settings are those of a fit, in plain values: they become a configuration,
    in which a class path from a stranger's file would run code."""
    if not isinstance(model, dict) or not set(model) <= MODEL:
        return False
    backbone = model.get("backbone", {})
    if not isinstance(backbone, dict) or not set(backbone) <= {"class_path", "init_args"}:
        return False
    options = backbone.get("init_args", {})
    if backbone.get("class_path", LOADER) != LOADER or not isinstance(options, dict):
        return False
    named = ("name", "dtype", "device", "scheduler", "offload", "quantization", "attention")
    if not all(isinstance(options[name], str) for name in named if name in options):
        return False
    values = [value for name, value in model.items() if name != "backbone"]
    return all(isinstance(value, str | int | float) for value in [*values, *options.values()])


def is_injection(arguments: Any) -> bool:
    kinds = {"enabled": bool, "block": int, "share": float | int}
    return isinstance(arguments, dict) and all(
        isinstance(value, kinds.get(name, ())) for name, value in arguments.items()
    )


def wrong_value(header: "EmbeddingHeader") -> str | None:
    """What no fit writes, if anything, as `name=value`."""
    for name, fits in _CHECKS.items():
        value = getattr(header, name)
        if not fits(value):
            return f"{name}={shortened(value)}"
    if not 1 <= header.guided_steps <= len(header.timesteps):
        return f"guided_steps={header.guided_steps} of {len(header.timesteps)}"
    if math.prod(header.latent_shape) > TOKENS * 64:
        return f"latent_shape={header.latent_shape}"
    steps = header.model.get("num_inference_steps", len(header.timesteps))
    # Rounding gives some numbers of steps, such as 61, one timestep more.
    if type(steps) is not int or len(header.timesteps) - steps not in (0, 1):
        return f"num_inference_steps={shortened(steps)} of {len(header.timesteps)}"
    settings = {**header.model, **header.model.get("backbone", {}).get("init_args", {})}
    for name, value in settings.items():
        if isinstance(value, float) and not math.isfinite(value):
            return f"{name}={value}"
    return None


def wrong_shape(
    header: "EmbeddingHeader", shapes: Mapping[str, tuple[int, ...]], types: Mapping[str, str]
) -> str | None:
    """The first tensor that a fit with this header would not write, if any."""
    _, *latent = header.latent_shape
    frames, _, rows, columns = latent
    patches = frames * rows * columns  # and a patch is of 1 to 64 of them
    for name, shape in shapes.items():
        if types[name] not in ("F32", "F16", "BF16"):
            return f"{name} of type {types[name]}"
        if name == "reference_latents":
            fits = shape == tuple(header.latent_shape)
        elif name in ("latents", "previous_prediction"):
            fits = shape == (len(header.prompts), *latent)
            # Before the first step a sampler has nothing to remember.
            fits = fits and (name == "latents" or header.guided_steps > 1)
        elif name == "positions":
            coordinates = header.parameterization == "coordinates"
            # Of coordinates one copy or two, of values the parts of ρ.
            copies = ((), (2,)) if coordinates else ((1,), (2,), (4,))
            tokens = shape[-2] if len(shape) > 2 else 0
            fits = shape[:1] == (header.guided_steps,) and shape[1:-2] in copies
            fits = fits and 0 < tokens <= TOKENS and tokens <= patches <= 64 * tokens
            fits = fits and (not coordinates or shape[-1] == 3)
        else:
            return f"a tensor named {shortened(name)}"
        if not fits:
            return f"{name} of shape {shape}"
    needed = header.target
    return None if needed in shapes else f"there are no {needed}"


def whole_number(least: int, most: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and least <= value <= most


def _all(fits: Callable[[Any], bool], least: int, most: int) -> Callable[[Any], bool]:
    return lambda values: (
        isinstance(values, tuple)
        and least <= len(values) <= most
        and all(fits(value) for value in values)
    )


def _text(value: Any) -> bool:
    # Half of a surrogate pair, as of a command line that is no UTF-8, cannot be written.
    return (
        isinstance(value, str) and len(value) <= 10_000 and not re.search("[\ud800-\udfff]", value)
    )


_CHECKS: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("ditflow_version", "family", "backbone", "fingerprint", "scheduler"), _text),
    **dict.fromkeys(("objective", "reference", "reference_sha256", "scheduler_fingerprint"), _text),
    **dict.fromkeys(("mask", "mask_sha256"), _text),
    **dict.fromkeys(("masked", "confidence"), lambda value: type(value) is bool),
    "num_frames": whole_number(1, 10_000),
    "height": whole_number(1, 2**15),
    "width": whole_number(1, 2**15),
    "latent_shape": _all(whole_number(1, 2**15), 5, 5),
    "target": ("latents", "positions").__contains__,
    "parameterization": ("values", "coordinates").__contains__,
    # Whole numbers in one family, others in another.
    "timesteps": _all(lambda value: type(value) in (int, float) and 0 <= value <= 10**6, 1, 10_000),
    "guided_steps": whole_number(1, 10_000),
    "block": whole_number(0, 10_000),
    "prompts": _all(_text, 1, 10_000),
    "seed": whole_number(SEEDS.start, SEEDS.stop - 1),
    "fps": lambda value: type(value) in (int, float) and LEAST_FPS <= value <= MOST_FPS,
}
