"""The motion embedding: what a fit learned, in one safetensors file with a JSON header."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self

import torch
from msgspec.structs import asdict

from ditflow.embedding.checks import ModelArguments
from ditflow.embedding.hub import embedding_file, publish
from ditflow.embedding.publishing import write_published
from ditflow.embedding.stored import StoredMotion

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

    from ditflow.backbones.base import Backbone


class MotionEmbedding(StoredMotion):
    """A learned motion, with all that its reuse needs and no reference video; see `StoredMotion`.

    Read and write it as a file, on the hub, or put it into a pipeline's calls.
    """

    @classmethod
    def from_pretrained(
        cls, name: Path | str, *, revision: str | None = None, token: str | None = None
    ) -> Self:
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
        self, pipeline: "DiffusionPipeline | Backbone", prompt: str | None = None
    ) -> Iterator["DiffusionPipeline"]:
        """Put the motion into an ordinary pipeline's calls, without KV injection.

        The pipeline is itself again after the block, exceptions included.

        Args:
            pipeline: of the fitted backbone, with the scheduler of the fit; in its place the
                `Backbone` itself, of any family, whose pipeline is then given.
            prompt: of latents fitted to several prompts, the one to start from.

        Raises:
            DitflowError: a pipeline of another family or of other configurations; at a call,
                another size, frame count, scheduler or number of steps.
        """
        from ditflow.embedding.pipeline import applied_to

        with applied_to(self, pipeline, prompt) as applied:
            yield applied

    def call_arguments(self, seed: int | None = None) -> dict[str, Any]:
        """What a pipeline's call needs, beside a prompt, to sample as the fit did.

        Where the fit had a negative prompt, `negative_prompt_embeds` need `negative_prompt=None`.

        Args:
            seed: of the initial noise; the fit's own carries the motion best.
        """
        header = self.header
        model = asdict(ModelArguments()) | header.model  # a header may leave some out
        own: dict[str, Any] = {"use_dynamic_cfg": True} if model["dynamic_guidance"] else {}
        if model["negative_prompt"]:  # else not said, so that its embedding can be given instead
            own["negative_prompt"] = model["negative_prompt"]
        return own | {
            "num_frames": header.num_frames,
            "height": header.height,
            "width": header.width,
            "num_inference_steps": len(header.timesteps),
            "guidance_scale": model["guidance_scale"],
            "generator": torch.Generator().manual_seed(header.seed if seed is None else seed),
        }
