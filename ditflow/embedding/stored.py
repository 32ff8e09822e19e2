"""A stored motion: the header and tensors of a motion embedding's file."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ditflow.embedding.header import EmbeddingHeader
from ditflow.embedding.hub import found_here
from ditflow.embedding.reader import read_header, unreadable
from ditflow.errors import DitflowError
from ditflow.functional.parameterization import Positions, initial_parameter, positions_of
from ditflow.utils.files import atomic_write


@dataclass(frozen=True)
class StoredMotion:
    """A learned motion, with all that its reuse needs and no reference video.

    Attributes:
        header: where it comes from and fits.
        tensors: `positions` [G, N, 3] (coordinates; [G, 2, N, 3] with copies of their own for
            queries and keys) or [G, P, N, D] (values), as differences from the stock ones, G the
            guided steps and P the parts of ρ; or `latents`
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

    @property
    def separate_query_key(self) -> bool:
        """Whether it holds rotary positions with copies of their own for queries and keys."""
        stored = self.tensors.get("positions")
        if stored is None:
            return False
        if self.header.parameterization == "coordinates":
            return stored.dim() == 4
        return stored.shape[1] == 4

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

        Raises:
            DitflowError: the backbone's positions have another shape.
        """
        stored, parameterization = self.tensors["positions"], self.header.parameterization
        initial = initial_parameter(stock, coordinates, parameterization, self.separate_query_key)
        if stored.shape[1:] != initial.shape:
            raise DitflowError(
                f"the embedding's positions are {tuple(stored.shape[1:])}, the backbone's "
                f"{tuple(initial.shape)}; use the fitted backbone, or fit again."
            )
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
        with atomic_write(Path(path)) as partial:
            # As bytes: a file that safetensors writes itself is readable by its owner only.
            partial.write_bytes(save(tensors, metadata))

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a file, or the `motion.safetensors` of a folder; nothing is ever unpickled.

        Raises:
            DitflowError: no such file, not a whole motion embedding of a known format, or values
                that no fit writes.
        """
        path = found_here(path)
        header = read_header(path)
        try:
            with safe_open(path, framework="pt") as file:
                names = file.keys()
                tensors = {name: file.get_tensor(name) for name in names}
        except SafetensorError as error:
            raise unreadable(path) from error
        for name, tensor in tensors.items():
            if not torch.isfinite(tensor).all():
                raise DitflowError(
                    f"embedding={path} is damaged: {name} holds values that are not finite; fit "
                    "the motion again."
                )
        return cls(header, tensors)
