"""What a benchmark keeps of each fit beside its video: motion flows."""

import torch
import torch.nn.functional as F

from ditflow.module import MotionTransfer
from ditflow.video.pictures import flow_picture


def flows_of(module: MotionTransfer) -> torch.Tensor | None:
    """A fit's motion flows: at the left the reference's, at the right the video's after the last
    optimisation step.

    Returns:
        a picture [3, height, width] in [0, 1]; None of an objective that has no flow, or of a fit
        that optimised nothing.
    """
    outputs, reference = module.last_outputs, module.reference_flow
    if outputs is None or reference is None:
        return None
    if (made := module.objective.flow(outputs)) is None:
        return None
    pictures = [flow_picture(flow, module.grid) for flow in (reference, made)]
    return torch.cat([F.pad(pictures[0], (0, 12), value=1.0), pictures[1]], dim=2)
