"""The motion embedding: what a fit learned, in one safetensors file with a JSON header."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ditflow.backbones.base import Positions
from ditflow.embedding_header import EmbeddingHeader, read_header, unreadable
from ditflow.errors import DitflowError
from ditflow.files import whole
from ditflow.hub import embedding_file, publish
from ditflow.targets import initial_parameter, positions_of

if TYPE_CHECKING:
    from diffusers import CogVideoXPipeline


@dataclass(frozen=True)
class MotionEmbedding:
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
        with whole(Path(path)) as partial:
            # As bytes: a file that safetensors writes itself is readable by its owner only.
            partial.write_bytes(save(tensors, metadata))

    @classmethod
    def load(cls, path: Path | str) -> "MotionEmbedding":
        """Read a file; nothing is ever unpickled.

        Raises:
            DitflowError: no such file, not a whole motion embedding of a known format, or values
                that no fit writes.
        """
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

    @classmethod
    def from_pretrained(
        cls, name: Path | str, *, revision: str | None = None, token: str | None = None
    ) -> "MotionEmbedding":
        """Read an embedding that is here, or fetch it from the Hugging Face hub.

        From the hub only `motion.safetensors` is fetched, once, and what it holds is checked like
        any other file; what is here by this name goes first, with no network.

        Args:
            name: a file, a folder that holds a `motion.safetensors`, or `user/name` on the hub,
                also `user/name@revision`.
            revision: branch, tag or commit on the hub.
            token: of the hub, by default the one logged in with.

        Raises:
            DitflowError: the hub does not have it or cannot be reached; and as `load`.
        """
        return cls.load(embedding_file(name, revision, token))

    def save_pretrained(
        self,
        folder: Path | str,
        *,
        include_reference: bool = False,
        picture: Path | str | None = None,
        license: str | None = None,
        repo_id: str | None = None,
    ) -> Path:
        """Write what `push_to_hub` would put on the hub: the embedding, a model card, a picture.

        Args:
            folder: made if it is not there.
            include_reference: keep the reference's latents (for KV injection), file name and hash.
            picture: shown on the card, a gif, jpg, png or webp file.
            license: of the embedding, such as `cc-by-4.0`; yours to choose, and to have the rights
                for. The card says that the backbone's own holds for videos.
            repo_id: `user/name` for the card's examples.

        Returns:
            the folder.

        Raises:
            DitflowError: the picture cannot be read, or the folder not be written to.
        """
        from ditflow.publishing import write_published

        return write_published(
            self,
            folder,
            include_reference=include_reference,
            picture=picture,
            license=license,
            repo_id=repo_id,
        )

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        token: str | None = None,
        include_reference: bool = False,
        picture: Path | str | None = None,
        license: str | None = None,
    ) -> str:
        """Publish the embedding with a model card on the Hugging Face hub, in one commit.

        Args:
            repo_id: `user/name`, made if it is not there.
            private: of a new repository; None is the account's default, in general public. With
                true, one that is there already and public is refused.
            token: of the hub, by default the one logged in with.
            include_reference, picture, license: see `save_pretrained`.

        Returns:
            the repository's address.

        Raises:
            DitflowError: the hub cannot be reached or does not let this user write; and as
                `save_pretrained`.
        """
        with TemporaryDirectory() as folder:
            self.save_pretrained(
                folder,
                include_reference=include_reference,
                picture=picture,
                license=license,
                repo_id=repo_id,
            )
            return publish(Path(folder), repo_id, private=private, token=token)

    @contextmanager
    def applied_to(
        self, pipeline: "CogVideoXPipeline", prompt: str | None = None
    ) -> Iterator["CogVideoXPipeline"]:
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
