"""DiTFlow's objective."""

import torch

from ditflow.backbones.base import BlockOutputs
from ditflow.errors import DitflowError
from ditflow.functional.attention_confidence import attention_confidence
from ditflow.functional.flow_loss import flow_loss, moving_patches
from ditflow.functional.motion_flow import HeadAverage, motion_flow
from ditflow.objectives.base import Objective


class AttentionMotionFlow(Objective):
    """DiTFlow's objective (equations 3 to 8): soft motion flow against the reference's hard one.

    Args:
        temperature: τ of the attention.
        head_average: `logits` averages the heads' products, `query_key` queries and keys.
        moving_only: compare only patches that move in the reference; see `flow_loss`.
        frame_window, patch_window: compare only frames and patches this near; see `motion_flow`.
        confidence: count each of the reference's displacements by how sure the attention is of it;
            see `attention_confidence`. By default, as in the paper, all count alike.

    Raises:
        DitflowError: an option out of its range.
    """

    reads = "query_key"

    def __init__(
        self,
        temperature: float = 2.0,
        head_average: HeadAverage = "logits",
        moving_only: bool = True,
        frame_window: int | None = None,
        patch_window: int | None = None,
        confidence: bool = False,
    ):
        if not temperature > 0:
            raise DitflowError(f"temperature={temperature} must be greater than 0.")
        for name, window in (("frame_window", frame_window), ("patch_window", patch_window)):
            if window is not None and window < 1:
                raise DitflowError(f"{name}={window} must be at least 1; leave it out for all.")
        self.temperature, self.head_average = temperature, head_average
        self.moving_only = moving_only
        self.frame_window, self.patch_window = frame_window, patch_window
        self.confidence = confidence

    def reference(self, outputs: BlockOutputs) -> torch.Tensor:
        """The hard motion flow [F, F, S, 2]."""
        return self._flow(outputs, hard=True)

    def flow(self, outputs: BlockOutputs) -> torch.Tensor:
        return self.reference(outputs)

    def reference_and_flow(self, outputs: BlockOutputs) -> tuple[torch.Tensor, torch.Tensor]:
        flow = self.reference(outputs)
        return flow, flow

    def loss(
        self, outputs: BlockOutputs, reference: torch.Tensor, weight: torch.Tensor | None = None
    ) -> torch.Tensor:
        flow = self._flow(outputs, hard=False)
        return flow_loss(flow, reference, moving_only=self.moving_only, weight=weight)

    def is_static(self, reference: torch.Tensor, weight: torch.Tensor | None = None) -> bool:
        """Whether no patch that counts moves, so that `moving_only` has nothing to choose."""
        moving = moving_patches(reference)
        return not (moving if weight is None else moving & (weight > 0)).any()

    def check_mask(self, mask: object | None) -> None:
        """Every patch is compared for itself: any part of them may be."""

    def weight(self, outputs: BlockOutputs, mask: torch.Tensor | None) -> torch.Tensor | None:
        """Mask [F, 1, S] times confidence [F, F, S], of those that are asked for."""
        weight = None if mask is None else mask[:, None]
        if self.confidence:
            sure = self.confidence_of(outputs)
            weight = sure if weight is None else weight * sure
        return weight

    def confidence_of(self, outputs: BlockOutputs) -> torch.Tensor:
        """How sure the attention is of each displacement, [F, F, S] in [0, 1]."""
        return attention_confidence(
            outputs.query,
            outputs.key,
            outputs.grid,
            temperature=self.temperature,
            head_average=self.head_average,
            frame_window=self.frame_window,
            patch_window=self.patch_window,
        )

    def _flow(self, outputs: BlockOutputs, hard: bool) -> torch.Tensor:
        return motion_flow(
            outputs.query,
            outputs.key,
            outputs.grid,
            temperature=self.temperature,
            hard=hard,
            head_average=self.head_average,
            frame_window=self.frame_window,
            patch_window=self.patch_window,
        )
