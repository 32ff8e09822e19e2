"""What a fit costs, counted in passes of one transformer block."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """Passes of one block for one video of one prompt.

    Attributes:
        sampling: forward passes of plain sampling, both guidance branches counted.
        forward: forward passes that reading the reference and KV injection add, and optimising by
            the prediction.
        optimising: passes forward and backward (of inputs alone: no weight has a gradient).
    """

    sampling: int
    forward: int
    optimising: int

    def ratio(self, passes: float) -> float:
        """Times the cost of plain sampling.

        Args:
            passes: what an optimising pass costs, in forward passes: `Plan.passes`.
        """
        return 1 + (self.forward + passes * self.optimising) / self.sampling


def cost(
    num_blocks: int,
    block: int,
    steps: int,
    guided_steps: int,
    gradients: int,
    *,
    guidance: bool = True,
    injected_steps: int = 0,
    injected_block: int = 0,
    renewed: bool = False,
    predicting: bool = False,
) -> Cost:
    """Count a fit's passes.

    Args:
        num_blocks: of the transformer.
        block: guided; only its queries and keys are computed, and no later block.
        steps: of denoising that are taken.
        guided_steps: of them.
        gradients: computed at each, K_opt unless some are reused.
        guidance: classifier-free, which runs every step twice.
        injected_steps: guided steps with KV injection, which needs its block's keys and values.
        injected_block: that block.
        renewed: whether every pass of such a step needs them anew, because ρ changes.
        predicting: whether the whole model's guided prediction is read in place of the block, of
            the reference at every guided step.
    """
    recordings = injected_steps * (gradients + 1 if renewed else 1)
    whole = num_blocks * (2 if guidance else 1)
    read = whole * (gradients + 1) * guided_steps if predicting else block
    return Cost(
        sampling=whole * steps,
        forward=read + recordings * (injected_block + 1),
        optimising=0 if predicting else block * gradients * guided_steps,
    )
