"""What ditflow asks of a video diffusion transformer."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from ditflow.errors import DitflowError
from ditflow.functional.motion_flow import Grid
from ditflow.functional.parameterization import Positions

if TYPE_CHECKING:
    from ditflow.backbones.shapes import Shapes


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

    Latents are [B, F, C, h, w], scaled as the transformer sees them; frames are
    [T, 3, height, width] in [0, 1]; prompts are encoded once, [1, L, width of the text encoder].
    """

    name: str
    """Name or path it was loaded from."""
    family: str
    """Name of the adapter's family, such as `cogvideox`."""
    device: torch.device
    """Where it computes; under offloading not where all weights are."""

    @property
    @abstractmethod
    def dtype(self) -> torch.dtype: ...

    @property
    @abstractmethod
    def num_blocks(self) -> int: ...

    @property
    @abstractmethod
    def rotary(self) -> bool:
        """Whether positions are rotary, applied in every block, or added to the tokens once."""

    @property
    @abstractmethod
    def temporal_ratio(self) -> int:
        """Frames of video a latent frame stands for."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Hash of the configuration that a motion embedding depends on."""

    @abstractmethod
    def check_size(self, num_frames: int, height: int, width: int) -> None:
        """Raise `DitflowError` for a video size that the patching cannot take."""

    @abstractmethod
    def latent_shape(self, num_frames: int, height: int, width: int) -> tuple[int, ...]:
        """[1, F, C, h, w] of a video, padding included."""

    @abstractmethod
    def token_grid(self, latent_shape: tuple[int, ...]) -> Grid: ...

    @abstractmethod
    def encode_prompt(self, prompt: str) -> torch.Tensor: ...

    @abstractmethod
    def encode_video(self, frames: torch.Tensor) -> torch.Tensor: ...

    @abstractmethod
    def encoder_identity(self) -> list[str]:
        """All that `encode_video` depends on beside the frames, weights included."""

    @abstractmethod
    def decode_video(self, latents: torch.Tensor, num_frames: int) -> torch.Tensor: ...

    @abstractmethod
    def positions(self, latent_shape: tuple[int, ...]) -> Positions:
        """The stock ρ, as the stock pipeline makes it for this size."""

    @abstractmethod
    def coordinates(self, latent_shape: tuple[int, ...]) -> torch.Tensor:
        """[N, 3] (frame, row, column) from which `positions_at` derives the stock ρ."""

    @abstractmethod
    def positions_at(self, coordinates: torch.Tensor) -> Positions:
        """ρ of tokens at any coordinates, differentiable."""

    @abstractmethod
    def query_key(
        self,
        latents: torch.Tensor,
        timestep: int | torch.Tensor,
        prompt: torch.Tensor,
        positions: Positions,
        block: int,
    ) -> BlockOutputs:
        """Run one video up to block's queries and keys, and no further."""

    @abstractmethod
    def query_keys(
        self,
        latents: torch.Tensor,
        timestep: int | torch.Tensor,
        prompt: torch.Tensor,
        positions: Positions,
        blocks: Sequence[int],
    ) -> list[BlockOutputs]:
        """Queries and keys of several blocks in one pass, up to the last of them."""

    @abstractmethod
    def features(
        self,
        latents: torch.Tensor,
        timestep: int | torch.Tensor,
        prompt: torch.Tensor,
        positions: Positions,
        block: int,
    ) -> BlockFeatures:
        """Run one video to block's output, and no further."""

    @abstractmethod
    def record_key_values(
        self,
        latents: torch.Tensor,
        timestep: int | torch.Tensor,
        prompt: torch.Tensor,
        positions: Positions,
        block: int = 0,
    ) -> KeyValues:
        """Run one video up to block's keys and values, without gradients."""

    @abstractmethod
    def injected(self, key_values: KeyValues | None) -> Any:
        """Context in which the block's image keys and values are replaced; None does nothing."""

    @abstractmethod
    def denoise(
        self,
        latents: torch.Tensor,
        timestep: torch.Tensor,
        prompt: torch.Tensor,
        negative_prompt: torch.Tensor | None,
        positions: Positions,
        guidance_scale: float,
    ) -> torch.Tensor:
        """The guided prediction, fp32; without a negative prompt, the conditional one."""

    def shapes(self) -> "Shapes":
        """What a plan is made from; a family may do without.

        Raises:
            DitflowError: it does.
        """
        raise DitflowError(
            f"family {self.family} of backbone {self.name} tells no shapes to plan from; a fit "
            "with it goes without a plan."
        )
