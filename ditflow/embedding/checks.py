"""What a fit writes into a motion embedding, and what only a stranger would."""

import math
import sys
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from ditflow.embedding.header import SEEDS, EmbeddingHeader, Text
from ditflow.errors import shortened
from ditflow.functional.parameterization import Parameterization, Target
from ditflow.utils.untrusted import checked

TOKENS = 2**22
"""Patches of a video at most: thirty times CogVideoX's largest."""

LOADER = "ditflow.load_backbone"

Finite = Annotated[float, Meta(ge=-sys.float_info.max, le=sys.float_info.max)]
Plain = bool | int | Finite | str


class BackboneArguments(Struct, frozen=True, forbid_unknown_fields=True):
    """What loads the fit's backbone again: no other function than the loader may be named, for
    this becomes a configuration, in which a stranger's class path would run code."""

    class_path: Literal["ditflow.load_backbone"] = "ditflow.load_backbone"
    init_args: dict[str, Plain | None] = {}


class ModelArguments(Struct, frozen=True, forbid_unknown_fields=True):
    """The one list of what decides how a run samples, as arguments of `MotionTransfer`: a header
    carries these and no others, and so do the records of a run."""

    backbone: BackboneArguments = BackboneArguments()
    target: Target = "latents"
    parameterization: Parameterization = "coordinates"
    separate_query_key: bool = True
    block: int = 0
    num_inference_steps: Plain = 0  # compared with the timesteps below
    guidance_scale: Finite = 0.0
    dynamic_guidance: bool = False
    negative_prompt: Text = ""
    seed: int = 0
    unguided_stride: int = 1
    unguided_cache: Finite = 0.0


class InjectionArguments(Struct, frozen=True, forbid_unknown_fields=True):
    """Of the fit's KV injection."""

    enabled: bool = False
    block: int = 0
    share: Finite = 1.0


class PredictArguments(Struct):
    """Of a header, what `predict` takes as a configuration; its other fields say less."""

    model: ModelArguments = ModelArguments()
    injection: InjectionArguments = InjectionArguments()


SAMPLING = tuple(name for name in ModelArguments.__struct_fields__ if name != "backbone")
"""Names of what decides how a run samples, with any backbone."""


def check_header(values: Mapping[str, Any]) -> EmbeddingHeader:
    """A header of plain values, each of its kind and within its bounds, once they are known to have
    `PredictArguments`. What a later version may have added is dropped.

    Raises:
        ValueError: says, as `name=value`, what no fit writes.
    """
    header = checked(values, EmbeddingHeader)
    for wrong in _contradictions(header):
        raise ValueError(wrong)
    return header


def check_tensors(
    header: EmbeddingHeader, shapes: Mapping[str, tuple[int, ...]], types: Mapping[str, str]
) -> None:
    """Refuse tensors that a fit with this header would not write.

    Args:
        header: beside them.
        shapes, types: of each tensor by name, types as safetensors calls them.

    Raises:
        ValueError: names the first.
    """
    each = (len(header.prompts), *header.latent_shape[1:])
    latents = {"reference_latents": header.latent_shape, "latents": each}
    if header.guided_steps > 1:  # before the first step a sampler has nothing to remember
        latents["previous_prediction"] = each
    for name, shape in shapes.items():
        if types[name] not in ("F32", "F16", "BF16"):
            raise ValueError(f"{name} of type {types[name]}")
        if name not in (*latents, "positions"):
            raise ValueError(f"a tensor named {shortened(name)}")
        if not (shape == latents[name] if name in latents else _are_positions(header, shape)):
            raise ValueError(f"{name} of shape {shape}")
    if header.target not in shapes:
        raise ValueError(f"there are no {header.target}")


def _contradictions(header: EmbeddingHeader) -> Iterator[str]:
    steps = len(header.timesteps)
    if header.seed not in SEEDS:
        yield f"seed={header.seed}"
    if header.guided_steps > steps:
        yield f"guided_steps={header.guided_steps} of {steps}"
    if math.prod(header.latent_shape) > TOKENS * 64:
        yield f"latent_shape={header.latent_shape}"
    if list(header.frames_taken) != sorted(header.frames_taken):
        yield f"frames_taken={shortened(header.frames_taken)}"
    told = header.model.get("num_inference_steps", steps)
    # Rounding gives some numbers of steps, such as 61, one timestep more.
    if type(told) is not int or steps - told not in (0, 1):
        yield f"num_inference_steps={shortened(told)} of {steps}"
    name = header.model.get("backbone", {}).get("init_args", {}).get("name", "")
    if not isinstance(name, str):
        yield f"name={name}"


def _are_positions(header: EmbeddingHeader, shape: tuple[int, ...]) -> bool:
    """Whether positions have a row for each patch, at each guided step."""
    _, frames, _, rows, columns = header.latent_shape
    coordinates = header.parameterization == "coordinates"
    # Of coordinates one copy or two, of values the parts of ρ.
    copies = ((), (2,)) if coordinates else ((1,), (2,), (4,))
    if len(shape) < 3 or shape[0] != header.guided_steps or shape[1:-2] not in copies:
        return False
    tokens, width = shape[-2:]
    patches = frames * rows * columns  # and a patch is of 1 to 64 of them
    fits = 0 < tokens <= TOKENS and tokens <= patches <= 64 * tokens
    return fits and (width == 3 or not coordinates)
