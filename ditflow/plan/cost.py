"""What a fit costs, counted in passes of one transformer block."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """Passes of one block for one video of one prompt.

    Attributes:
        sampling: forward passes of plain sampling, both guidance branches counted.
        forward: forward passes that reading the reference and KV injection add.
        optimising: passes forward and backward (of inputs alone: no weight has a gradient).
    """

    sampling: int
    forward: int
    optimising: int

    def ratio(self, checkpointing: bool = False) -> float:
        """Times the cost of plain sampling, a backward pass counted as one forward; with gradient
        checkpointing it takes one forward more."""
        each = 3 if checkpointing else 2
        return 1 + (self.forward + each * self.optimising) / self.sampling


def cost(
    num_blocks: int,
    block: int,
    steps: int,
    guided_steps: int,
    optimization_steps: int,
    *,
    guidance: bool = True,
    injection: bool = True,
) -> Cost:
    """Count a fit's passes.

    Args:
        num_blocks: of the transformer.
        block: guided; only its queries and keys are computed, and no later block.
        steps: of denoising.
        guided_steps: of them.
        optimization_steps: K_opt at each.
        guidance: classifier-free, which runs every step twice.
        injection: KV injection, which needs block 0's keys and values at every guided step.
    """
    return Cost(
        sampling=num_blocks * steps * (2 if guidance else 1),
        forward=block + (guided_steps if injection else 0),
        optimising=block * optimization_steps * guided_steps,
    )
