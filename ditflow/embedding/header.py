"""The header of a motion embedding, and what a fit may write into each of its fields."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from msgspec import Meta

from ditflow.errors import shortened
from ditflow.functional.parameterization import Parameterization, Target

FORMAT_VERSION = 1

LEAST_FPS, MOST_FPS = 0.01, 1000
"""Frames a second: ffmpeg takes two decimals."""

SEEDS = range(-(2**63), 2**64)
"""What torch takes."""

# Half of a surrogate pair, as of a command line that is no UTF-8, cannot be written.
Text = Annotated[str, Meta(max_length=10_000, pattern="^[^\ud800-\udfff]*$")]
MOST_COUNT = 10_000
Count = Annotated[int, Meta(ge=1, le=MOST_COUNT)]
Size = Annotated[int, Meta(ge=1, le=2**15)]
Frame = Annotated[int, Meta(ge=0, le=2**31)]
Timestep = Annotated[int, Meta(ge=0, le=10**6)] | Annotated[float, Meta(ge=0, le=10**6)]


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
        masked: whether a mask restricted what guided; False in older files, of which it is not
            known.
        mask, mask_sha256: the mask's file name and hash; empty without one.
        confidence: whether displacements counted by how sure the attention was; as `masked`.
        frames_taken: numbers of the reference's frames, counted from 0; empty in older files.
        crop: how they came to the size: `center`, `none` or `x,y,w,h`.
        format_version: of this file.
    """

    ditflow_version: Text
    family: Text
    backbone: Text
    fingerprint: Text
    num_frames: Count
    height: Size
    width: Size
    latent_shape: Annotated[tuple[Size, ...], Meta(min_length=5, max_length=5)]
    target: Target
    parameterization: Parameterization
    scheduler: Text
    timesteps: Annotated[tuple[Timestep, ...], Meta(min_length=1, max_length=10_000)]
    guided_steps: Count
    objective: Text
    block: Annotated[int, Meta(ge=0, le=10_000)]
    prompts: Annotated[tuple[Text, ...], Meta(min_length=1, max_length=10_000)]
    seed: int
    reference: Text
    reference_sha256: Text
    fps: Annotated[float, Meta(ge=LEAST_FPS, le=MOST_FPS)]
    model: dict[str, Any] = field(default_factory=dict)
    injection: dict[str, Any] = field(default_factory=dict)
    scheduler_fingerprint: Text = ""
    masked: bool = False
    mask: Text = ""
    mask_sha256: Text = ""
    confidence: bool = False
    frames_taken: Annotated[tuple[Frame, ...], Meta(max_length=10_000)] = ()
    crop: Text = "center"
    format_version: int = FORMAT_VERSION

    def look_warning(self, prompts: Sequence[str]) -> str | None:
        """What to know before the motion is put into these prompts: latents bring their look.

        Returns:
            None where there is nothing to know.
        """
        others = [prompt for prompt in prompts if prompt not in self.prompts]
        if self.target != "latents" or not others:
            return None
        return (
            "The embedding holds latents, which carry the look of the video they were fitted for: "
            f"{shortened(others[0], 100)!r} will come out much like {self.prompts[0]!r}. To put a "
            "motion into other prompts, fit it with --target positions."
        )
