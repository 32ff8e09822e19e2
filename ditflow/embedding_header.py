"""The header of a motion embedding: a stranger's text, taken at its word for nothing."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from ditflow.errors import DitflowError, shortened
from ditflow.json_files import parse_json

FORMAT_VERSION = 1

LONGEST = 1_000_000
"""Characters of a header at most; a fit's has some thousands."""

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


@dataclass(frozen=True)
class EmbeddingHeader:
    """Where a motion embedding comes from and where it fits.

    Attributes:
        ditflow_version: that wrote it.
        family, backbone, fingerprint: adapter family, name, and hash of the configurations.
        num_frames, height, width: of the video, in pixels.
        latent_shape: [1, F, C, h, w].
        target: `latents` or `positions`.
        parameterization: of positions, `values` or `coordinates`.
        scheduler: class name of the scheduler.
        timesteps: of every denoising step.
        guided_steps: how many of them, from the first, were guided.
        objective, block: what was optimised, and where it was read.
        prompts, seed: of the fit.
        reference, reference_sha256: the reference's file name and hash.
        fps: frames a second of the written videos.
        model: arguments of the run, from which `predict` takes what it is not told.
        injection: arguments of the fit's KV injection, likewise.
        scheduler_fingerprint: hash of the scheduler's noise schedule; empty in older files.
        masked: whether a mask restricted what guided; False in older files, of which it is not
            known.
        mask, mask_sha256: the mask's file name and hash; empty without one.
        confidence: whether displacements counted by how sure the attention was; as `masked`.
        format_version: of this file.
    """

    ditflow_version: str
    family: str
    backbone: str
    fingerprint: str
    num_frames: int
    height: int
    width: int
    latent_shape: tuple[int, ...]
    target: str
    parameterization: str
    scheduler: str
    timesteps: tuple[int, ...]
    guided_steps: int
    objective: str
    block: int
    prompts: tuple[str, ...]
    seed: int
    reference: str
    reference_sha256: str
    fps: float
    model: dict[str, Any] = field(default_factory=dict)
    injection: dict[str, Any] = field(default_factory=dict)
    scheduler_fingerprint: str = ""
    masked: bool = False
    mask: str = ""
    mask_sha256: str = ""
    confidence: bool = False
    format_version: int = FORMAT_VERSION

    def look_warning(self, prompts: Sequence[str]) -> str | None:
        """What to know before the motion is put into these prompts: latents bring their look.

        Returns:
            None where there is nothing to know.
        """
        others = [prompt for prompt in prompts if prompt not in self.prompts]
        if self.target != "latents" or not others:
            return None
        return (
            "The embedding holds latents, which carry the look of the video they were fitted for: "
            f"{shortened(others[0], 100)!r} will come out much like {self.prompts[0]!r}. To put a "
            "motion into other prompts, fit it with --target positions."
        )


def read_header(path: Path | str) -> EmbeddingHeader:
    """The header of a motion embedding, once it and the tensors' shapes are known to be a fit's.

    No tensor is read.

    Raises:
        DitflowError: no such file, not a whole motion embedding of a known format, or values that
            no fit writes.
    """
    path = Path(path)
    if not path.is_file():
        raise DitflowError(
            f"embedding={path} does not exist; give the motion.safetensors of a finished fit."
        )
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get("ditflow", "")
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            shapes = {name: tuple(part.get_shape()) for name, part in slices.items()}
            types = {name: part.get_dtype() for name, part in slices.items()}
    except (SafetensorError, OSError) as error:
        raise unreadable(path) from error
    values = _parse(path, text)
    version = values["format_version"]
    if version > FORMAT_VERSION:
        raise DitflowError(
            f"embedding={path} has format version {version}, this ditflow reads up to "
            f"{FORMAT_VERSION}; upgrade ditflow."
        )
    if not _is_plain(values.get("model", {})) or not _is_injection(values.get("injection", {})):
        raise DitflowError(
            f"embedding={path} carries settings that no fit writes, which could run code; "
            "get it again from a source you trust, or fit the motion yourself."
        )
    known = {field.name for field in fields(EmbeddingHeader)}
    values = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in values.items()
        if name in known  # a later version may add some
    }
    try:
        header = EmbeddingHeader(**values)
    except TypeError as error:
        raise DitflowError(f"embedding={path} has an incomplete header; fit again.") from error
    wrong = _wrong_value(header) or _wrong_shape(header, shapes, types)
    if wrong:
        raise DitflowError(
            f"embedding={path} is damaged or was made up: {wrong}; fit the motion again."
        )
    return header


def check_readable(header: EmbeddingHeader) -> None:
    """Refuse before a fit what the reader of its embedding would refuse after it.

    Raises:
        DitflowError: names the value.
    """
    length = len(json.dumps(asdict(header)))
    if length > LONGEST:
        raise DitflowError(
            f"prompts and settings would have {length} characters in the embedding's header, which "
            f"has at most {LONGEST}; give fewer or shorter prompts."
        )
    wrong = _wrong_value(header)
    if wrong is None and not _is_plain(header.model):
        wrong = f"model={shortened(header.model)}"
    if wrong is not None:
        raise DitflowError(
            f"{wrong} is more than an embedding can hold, or of another kind; give a shorter text, "
            "a smaller number or a plain value."
        )


def unreadable(path: Path | str) -> DitflowError:
    """The error of a file that is not safetensors."""
    return DitflowError(
        f"embedding={path} is not a whole safetensors file (truncated, or another format such as "
        "a pickle); give the motion.safetensors of a finished fit."
    )


def _parse(path: Path, text: str) -> dict[str, Any]:
    try:
        if len(text) > LONGEST:
            raise ValueError(f"{len(text)} characters")
        values = parse_json(text)
        if not _whole(1, 2**31)(values["format_version"]):
            raise ValueError("format_version")
        return values
    except (KeyError, TypeError, ValueError) as error:
        raise DitflowError(
            f"embedding={path} is a safetensors file, but not a motion embedding; "
            "give the motion.safetensors of a fit."
        ) from error


def _is_plain(model: Any) -> bool:
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


def _is_injection(arguments: Any) -> bool:
    kinds = {"enabled": bool, "block": int, "share": float | int}
    return isinstance(arguments, dict) and all(
        isinstance(value, kinds.get(name, ())) for name, value in arguments.items()
    )


def _wrong_value(header: EmbeddingHeader) -> str | None:
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


def _wrong_shape(
    header: EmbeddingHeader, shapes: Mapping[str, tuple[int, ...]], types: Mapping[str, str]
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


def _whole(least: int, most: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and least <= value <= most


def _all(fits: Callable[[Any], bool], least: int, most: int) -> Callable[[Any], bool]:
    return lambda values: (
        isinstance(values, tuple)
        and least <= len(values) <= most
        and all(fits(value) for value in values)
    )


def _text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= 10_000


_CHECKS: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("ditflow_version", "family", "backbone", "fingerprint", "scheduler"), _text),
    **dict.fromkeys(("objective", "reference", "reference_sha256", "scheduler_fingerprint"), _text),
    **dict.fromkeys(("mask", "mask_sha256"), _text),
    **dict.fromkeys(("masked", "confidence"), lambda value: type(value) is bool),
    "num_frames": _whole(1, 10_000),
    "height": _whole(1, 2**15),
    "width": _whole(1, 2**15),
    "latent_shape": _all(_whole(1, 2**15), 5, 5),
    "target": ("latents", "positions").__contains__,
    "parameterization": ("values", "coordinates").__contains__,
    "timesteps": _all(_whole(0, 10**6), 1, 10_000),
    "guided_steps": _whole(1, 10_000),
    "block": _whole(0, 10_000),
    "prompts": _all(_text, 1, 10_000),
    "seed": _whole(SEEDS.start, SEEDS.stop - 1),
    "fps": lambda value: type(value) in (int, float) and LEAST_FPS <= value <= MOST_FPS,
}
