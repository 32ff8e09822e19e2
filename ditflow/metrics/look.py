"""How much of a reference's look has come along, by CLIP."""

import torch

from ditflow.metrics.prompt_adherence import PromptAdherence


class Look(PromptAdherence):
    """Mean cosine of CLIP's embeddings of frames and the reference's caption, in [-1, 1].

    Of videos whose prompt says otherwise in everything: what is above the unguided model's has come
    from the reference. IQ, which is the cosine with the prompt, is cut at 0, and this is not: of
    what shows nothing of a caption the cosine is often below.
    """

    def compute(self) -> torch.Tensor:
        return self.score / self.n_samples / 100
