"""What ditflow asks of a video diffusion transformer."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from ditflow.backbones.pipeline_hooks import Change
from ditflow.backbones.shapes import Shapes
from ditflow.backbones.solver import Solver
from ditflow.errors import DitflowError
from ditflow.functional.motion_flow import Grid
from ditflow.functional.parameterization import Positions


class PassInput(NamedTuple):
    """What a pass of the transformer is given.

    Attributes:
        latents: z_t, [B, F, C, h, w].
        timestep: t; 0 is a clean video.
        prompt: as `Backbone.encode_prompt` gives it.
        positions: ρ.
        condition: of a model that takes an image, as `Backbone.encode_image` gives it; for one
            that may go without, None is none.
    """

    latents: torch.Tensor
    timestep: int | torch.Tensor
    prompt: torch.Tensor
    positions: Positions
    condition: Any = None


@dataclass(frozen=True)
class BlockOutputs:
    """What objectives read: the guided block's image-token queries and keys of one video.

    Attributes:
        query, key: [M, F·S, D], after normalisation and rotary positions.
        grid: (F, H, W).
    """

    query: torch.Tensor
    key: torch.Tensor
    grid: Grid

    def detach(self) -> "BlockOutputs":
        return BlockOutputs(self.query.detach(), self.key.detach(), self.grid)


@dataclass(frozen=True)
class BlockFeatures:
    """What objectives may read instead: the guided block's output image tokens of one video.

    Attributes:
        features: [F·S, C].
        grid: (F, H, W).
    """

    features: torch.Tensor
    grid: Grid

    def detach(self) -> "BlockFeatures":
        return BlockFeatures(self.features.detach(), self.grid)


@dataclass(frozen=True)
class KeyValues:
    """Image-token keys (before rotary positions) and values of one block, each [1, M, N, D]."""

    block: int
    key: torch.Tensor
    value: torch.Tensor


class Backbone(ABC):
    """A frozen text-to-video transformer with its VAE, text encoder and scheduler.

    Latents are [B, F, C, h, w], scaled as the transformer sees them, whatever the family's own
    layout; frames are [T, 3, height, width] in [0, 1]; prompts are encoded once,
    [1, L, width of the text encoder].
    """

    name: str
    """Name or path it was loaded from."""
    family: str
    """Name of the adapter's family, such as `cogvideox`."""
    options: dict[str, Any]
    """Arguments of `load_backbone` that load it again, plain values; of a loader of one's own,
    what an embedding is to say of it."""
    chosen: Sequence[str] = ()
    """Names of those options that were `auto`, and are chosen anew where it is loaded again."""
    device: torch.device
    """Where it computes; under offloading not where all weights are."""
    takes_image: bool = False
    """Whether its videos may begin with an image, which passes are then given beside latents."""
    needs_image: bool = False
    """Whether they must."""

    @property
    def recorded_options(self) -> dict[str, Any]:
        """The options for records of a run, which are not to tie it to this machine."""
        return self.options | dict.fromkeys(self.chosen, "auto")

    @property
    @abstractmethod
    def dtype(self) -> torch.dtype:
        """Of the weights."""

    @property
    @abstractmethod
    def latents_dtype(self) -> torch.dtype:
        """Of z_t between passes, as the stock pipeline keeps it."""

    @property
    @abstractmethod
    def num_blocks(self) -> int: ...

    @property
    @abstractmethod
    def rotary(self) -> bool:
        """Whether positions are rotary, applied in every block, or added to the tokens once."""

    @property
    @abstractmethod
    def fps(self) -> float:
        """Frames a second of the videos it was trained on."""

    @property
    @abstractmethod
    def num_train_timesteps(self) -> int:
        """Denoising steps of its schedule, the most that a video can be sampled in."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Hash of the configuration that a motion embedding depends on."""

    # -- sizes -----------------------------------------------------------------------------------

    @property
    @abstractmethod
    def temporal_ratio(self) -> int:
        """Frames of video a latent frame stands for."""

    @property
    @abstractmethod
    def size_multiple(self) -> int:
        """Height and width in pixels are multiples of it."""

    @abstractmethod
    def default_size(self) -> tuple[int, int, int]:
        """(frames, height, width) it was trained on."""

    @abstractmethod
    def latent_shape(self, num_frames: int, height: int, width: int) -> tuple[int, ...]:
        """[1, F, C, h, w] of a video, padding included."""

    @abstractmethod
    def token_grid(self, latent_shape: tuple[int, ...]) -> Grid: ...

    def check_size(self, num_frames: int, height: int, width: int) -> None:
        """Raise `DitflowError` for a video size that VAE or patching cannot take."""
        ratio, multiple = self.temporal_ratio, self.size_multiple
        if num_frames < 1 + ratio or (num_frames - 1) % ratio:
            nearest = max(1 + ratio, (num_frames - 1) // ratio * ratio + 1)
            raise DitflowError(
                f"num_frames={num_frames} does not fit {self.name}, whose videos have "
                f"{ratio}k+1 frames, k at least 1; use {nearest} or {nearest + ratio}."
            )
        for option, value in (("height", height), ("width", width)):
            if value < multiple or value % multiple:
                below = max(multiple, value // multiple * multiple)
                raise DitflowError(
                    f"{option}={value} does not fit the patching of {self.name}; "
                    f"use a multiple of {multiple}, such as {below} or {below + multiple}."
                )

    def check_block(self, block: int, option: str = "block") -> None:
        """Raise `DitflowError`, which names the option, for a block that it has not."""
        if not 0 <= block < self.num_blocks:
            raise DitflowError(
                f"{option}={block} is out of range: {self.name} has blocks "
                f"0 to {self.num_blocks - 1}."
            )

    def check_guided(self, guided_steps: int, num_steps: int) -> None:  # noqa: B027
        """Raise `DitflowError` where not so many of the first of its denoising steps can be guided;
        by default any can."""

    # -- text and video --------------------------------------------------------------------------

    @abstractmethod
    def encode_prompt(self, prompt: str) -> torch.Tensor: ...

    def unheeded(self, prompt: str) -> Iterable[str]:
        """What of a prompt its text encoder does not heed, a line each; nothing where it heeds all,
        or a family does not tell."""
        return ()

    @abstractmethod
    def encode_video(self, frames: torch.Tensor) -> torch.Tensor: ...

    def encode_image(
        self,
        image: torch.Tensor,
        latent_shape: tuple[int, ...],
        generator: torch.Generator | None = None,
    ) -> Any:
        """What passes are given of the image that a video begins with, a batch of one.

        Args:
            image: [3, height, width] in [0, 1], of the video's size.
            latent_shape: of the video.
            generator: of the initial noise, which is drawn after this, where the stock pipeline
                draws from it for the image too; without one, the image's likeliest latents.
        """
        raise NotImplementedError(f"{self.family} takes no image")

    def finished(self, latents: torch.Tensor, condition: Any) -> torch.Tensor:
        """z_0 as the stock pipeline decodes it, which may give it the image once more."""
        return latents

    @abstractmethod
    def encoder_identity(self) -> list[str]:
        """All that `encode_video` depends on beside the frames, weights included."""

    @abstractmethod
    def decode_video(self, latents: torch.Tensor, num_frames: int) -> torch.Tensor: ...

    # -- positions -------------------------------------------------------------------------------

    @abstractmethod
    def positions(self, latent_shape: tuple[int, ...]) -> Positions:
        """The stock ρ, as the stock pipeline makes it for this size."""

    @abstractmethod
    def coordinates(self, latent_shape: tuple[int, ...]) -> torch.Tensor:
        """[N, 3] (frame, row, column) from which `positions_at` derives the stock ρ."""

    @abstractmethod
    def positions_at(self, coordinates: torch.Tensor) -> Positions:
        """ρ of tokens at any coordinates, differentiable."""

    # -- passes ----------------------------------------------------------------------------------

    def query_key(self, given: PassInput, block: int) -> BlockOutputs:
        """Run one video up to block's queries and keys, and no further."""
        return self.query_keys(given, [block])[0]

    @abstractmethod
    def query_keys(self, given: PassInput, blocks: Sequence[int]) -> list[BlockOutputs]:
        """Queries and keys of several blocks in one pass, up to the last of them."""

    @abstractmethod
    def features(self, given: PassInput, block: int) -> BlockFeatures:
        """Run one video to block's output, and no further."""

    @abstractmethod
    def record_key_values(self, given: PassInput, block: int = 0) -> KeyValues:
        """Run one video up to block's keys and values, without gradients."""

    @abstractmethod
    def injected(self, key_values: KeyValues) -> AbstractContextManager[None]:
        """Context in which the block's image keys and values are replaced."""

    @abstractmethod
    def denoise(
        self, given: PassInput, negative_prompt: torch.Tensor | None, guidance_scale: float
    ) -> torch.Tensor:
        """The guided prediction, fp32; without a negative prompt, the conditional one."""

    @abstractmethod
    def block_cache(self, threshold: float) -> AbstractContextManager[None]:
        """Context of one video's denoising passes, one after the other, in which what all blocks
        but the first added is kept until what the first adds has changed by more than `threshold`
        of itself; 0 keeps nothing."""

    # -- sampling --------------------------------------------------------------------------------

    def initial_noise(
        self, latent_shape: tuple[int, ...], generator: torch.Generator
    ) -> torch.Tensor:
        """The noise that the stock pipeline draws from this generator, which is on the CPU."""
        noise = torch.randn(latent_shape, generator=generator, dtype=self.latents_dtype)
        return noise.to(self.device)

    @abstractmethod
    def solver(self, num_steps: int) -> Solver:
        """A solver of one video, as the stock pipeline's scheduler."""

    # -- the stock pipeline's calls --------------------------------------------------------------

    @abstractmethod
    def applied(self, change: Change, separate_query_key: bool) -> AbstractContextManager[Any]:
        """Context in which the stock pipeline's own calls are changed; gives the pipeline.

        Args:
            change: what each pass of a call is given.
            separate_query_key: whether ρ may have tables of their own for queries and keys.
        """

    # -- memory ----------------------------------------------------------------------------------

    def release(self) -> None:  # noqa: B027  # a family may do without
        """Send the parts that offloading has brought to the device back to main memory, so that the
        next one is there alone; by default there are none."""

    # -- planning --------------------------------------------------------------------------------

    def shapes(self) -> "Shapes[Backbone]":
        """What a plan is made from; a family may do without.

        Raises:
            DitflowError: it does.
        """
        raise DitflowError(
            f"family {self.family} of backbone {self.name} tells no shapes to plan from; a fit "
            "with it goes without a plan."
        )
