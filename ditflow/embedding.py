"""The motion embedding: what a fit learned, in one safetensors file with a JSON header."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from diffusers import CogVideoXPipeline
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ditflow.backbones.base import Positions
from ditflow.errors import DitflowError
from ditflow.files import whole
from ditflow.targets import initial_parameter, positions_of

FORMAT_VERSION = 1

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
    format_version: int = FORMAT_VERSION


@dataclass(frozen=True)
class MotionEmbedding:
    """A learned motion, with all that its reuse needs and no reference video.

    Attributes:
        header: where it comes from and fits.
        tensors: `positions` [G, N, 3] (coordinates) or [G, P, N, D] (values, as differences from
            the stock ones), G the guided steps and P the parts of ρ; or `latents`
            [prompts, F, C, h, w], z_t before the last guided step, and with a sampler that
            remembers, `previous_prediction`. `reference_latents` [1, F, C, h, w] for KV
            injection, unless left out.
    """

    header: EmbeddingHeader
    tensors: dict[str, torch.Tensor]

    @property
    def first_step(self) -> int:
        """The denoising step from which a run differs: latents start at the last guided one."""
        return self.header.guided_steps - 1 if self.header.target == "latents" else 0

    def latents_for(self, prompt: str | None) -> tuple[torch.Tensor, torch.Tensor | None]:
        """z_t and the sampler's memory fitted with this prompt, or with the first one."""
        prompts = self.header.prompts
        row = prompts.index(prompt) if prompt in prompts else 0
        previous = self.tensors.get("previous_prediction")
        return (
            self.tensors["latents"][row : row + 1],
            None if previous is None else previous[row : row + 1],
        )

    def positions_at_step(
        self,
        step: int,
        stock: Positions,
        coordinates: torch.Tensor,
        positions_at: Callable[[torch.Tensor], Positions],
    ) -> Positions:
        """ρ of a guided step.

        Args:
            step: of denoising, from 0.
            stock, coordinates, positions_at: the backbone's, at the embedding's size.
        """
        stored, parameterization = self.tensors["positions"], self.header.parameterization
        separate = parameterization == "values" and stored.shape[1] == 4
        initial = initial_parameter(stock, coordinates, parameterization, separate)
        return positions_of(initial + stored[step].to(initial), parameterization, positions_at)

    def save(self, path: Path | str) -> None:
        """Write the file whole or not at all.

        Raises:
            DitflowError: the disk is full or does not take it.
        """
        tensors = {
            name: tensor.detach().cpu().contiguous() for name, tensor in self.tensors.items()
        }
        metadata = {"ditflow": json.dumps(asdict(self.header))}
        with whole(Path(path)) as partial:
            # As bytes: a file that safetensors writes itself is readable by its owner only.
            partial.write_bytes(save(tensors, metadata))

    @classmethod
    def load(cls, path: Path | str) -> "MotionEmbedding":
        """Read a file; nothing is ever unpickled.

        Raises:
            DitflowError: no such file, or not a whole motion embedding of a known format.
        """
        header = read_header(path)
        try:
            with safe_open(path, framework="pt") as file:
                names = file.keys()
                tensors = {name: file.get_tensor(name) for name in names}
        except SafetensorError as error:
            raise _unreadable(path) from error
        needed = "latents" if header.target == "latents" else "positions"
        if needed not in tensors:
            raise DitflowError(f"embedding={path} holds no {needed}; fit the motion again.")
        return cls(header, tensors)

    @contextmanager
    def applied_to(
        self, pipeline: CogVideoXPipeline, prompt: str | None = None
    ) -> Iterator[CogVideoXPipeline]:
        """Put the motion into an ordinary pipeline's calls, without KV injection.

        The pipeline is itself again after the block, exceptions included.

        Args:
            pipeline: of the fitted backbone, with the scheduler of the fit.
            prompt: of latents fitted to several prompts, the one to start from.

        Raises:
            DitflowError: a pipeline of other configurations; at a call, another size, frame
                count, scheduler or number of steps.
        """
        from ditflow.applied import applied_to

        with applied_to(self, pipeline, prompt):
            yield pipeline

    def call_arguments(self, seed: int | None = None) -> dict[str, Any]:
        """What a pipeline's call needs, beside a prompt, to sample as the fit did.

        Args:
            seed: of the initial noise; the fit's own carries the motion best.
        """
        header, model = self.header, self.header.model
        return {
            "num_frames": header.num_frames,
            "height": header.height,
            "width": header.width,
            "num_inference_steps": len(header.timesteps),
            "guidance_scale": model["guidance_scale"],
            "use_dynamic_cfg": model["dynamic_guidance"],
            "negative_prompt": model["negative_prompt"],
            "generator": torch.Generator().manual_seed(header.seed if seed is None else seed),
        }


def read_header(path: Path | str) -> EmbeddingHeader:
    """Only the header of a motion embedding, without its tensors."""
    path = Path(path)
    if not path.is_file():
        raise DitflowError(
            f"embedding={path} does not exist; give the motion.safetensors of a finished fit."
        )
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise _unreadable(path) from error
    try:
        values = json.loads(metadata["ditflow"])
        version = values["format_version"]
    except (KeyError, TypeError, ValueError) as error:
        raise DitflowError(
            f"embedding={path} is a safetensors file, but not a motion embedding; "
            "give the motion.safetensors of a fit."
        ) from error
    if version > FORMAT_VERSION:
        raise DitflowError(
            f"embedding={path} has format version {version}, this ditflow reads up to "
            f"{FORMAT_VERSION}; upgrade ditflow."
        )
    injection = values.get("injection", {})
    if not _is_plain(values.get("model", {})) or not _is_injection(injection):
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
        return EmbeddingHeader(**values)
    except TypeError as error:
        raise DitflowError(f"embedding={path} has an incomplete header; fit again.") from error


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
    values = [value for name, value in model.items() if name != "backbone"]
    return all(isinstance(value, str | int | float) for value in [*values, *options.values()])


def _is_injection(arguments: Any) -> bool:
    kinds = {"enabled": bool, "block": int, "share": float | int}
    return isinstance(arguments, dict) and all(
        isinstance(value, kinds.get(name, ())) for name, value in arguments.items()
    )


def _unreadable(path: Path | str) -> DitflowError:
    return DitflowError(
        f"embedding={path} is not a whole safetensors file (truncated, or another format such as "
        "a pickle); give the motion.safetensors of a finished fit."
    )
