"""What of a motion embedding is published: the motion, not where it came from."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path

from PIL import Image

from ditflow.embedding.header import EmbeddingHeader
from ditflow.embedding.model_card import model_card
from ditflow.embedding.stored import StoredMotion
from ditflow.errors import DitflowError
from ditflow.runs.folder import EMBEDDING
from ditflow.utils.files import atomic_write, make_output, write_text
from ditflow.utils.shipped import is_hub_name

PICTURES = {"GIF": ".gif", "JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}
"""Formats of pictures, and their suffixes."""


def write_published(
    embedding: StoredMotion,
    folder: Path | str,
    *,
    include_reference: bool = False,
    picture: Path | str | None = None,
    license: str | None = None,
    repo_id: str | None = None,
) -> Path:
    """Write `motion.safetensors`, a model card and its picture; see
    `MotionEmbedding.save_pretrained`."""
    folder, shown = Path(folder), None
    kept = published(embedding, include_reference)
    content, suffix = (b"", "") if picture is None else read_picture(Path(picture))
    there = [name for name in (EMBEDDING, "README.md") if (folder / name).exists()]
    if there:
        raise DitflowError(
            f"folder={folder} holds a {there[0]} already, which would be lost; give a new folder."
        )
    make_output(folder)
    if picture is not None:
        shown = f"motion{suffix}"
        with atomic_write(folder / shown) as partial:
            partial.write_bytes(content)
    kept.save(folder / EMBEDDING)
    write_text(folder / "README.md", model_card(kept, repo_id, license, shown))
    return folder


def read_picture(path: Path) -> tuple[bytes, str]:
    """A picture that a model card can show: its bytes, and the suffix of its format.

    Raises:
        DitflowError: it is none, or cannot be read.
    """
    try:
        content = path.read_bytes()
        with Image.open(BytesIO(content)) as image:
            return content, PICTURES[image.format or ""]
    except (OSError, KeyError, Image.DecompressionBombError) as error:
        raise DitflowError(
            f"picture={path} cannot be read as one; give a {', '.join(PICTURES.values())} file."
        ) from error


def published(embedding: StoredMotion, include_reference: bool = False) -> StoredMotion:
    """An embedding without what tells of its reference, and always without what tells of this
    machine.

    Of the reference these are its latents (from which it can be decoded), its file name, and its
    hash, by which anyone who has the file could tell that it was this one, and of its mask, if it
    had one, likewise name and hash. Prompts stay: latents
    are found by them. Of the machine these are the device, and the path of a backbone that is a
    folder, of which the last part stays.

    Args:
        embedding: as fitted.
        include_reference: keep its latents, for KV injection, its name and its hash.
    """
    header, tensors = embedding.header, dict(embedding.tensors)
    if not include_reference:
        tensors.pop("reference_latents", None)
        header = replace(header, reference="", reference_sha256="", mask="", mask_sha256="")
    return StoredMotion(_without_machine(header), tensors)


def _without_machine(header: EmbeddingHeader) -> EmbeddingHeader:
    backbone = dict(header.model.get("backbone", {}))
    options = {
        name: value for name, value in backbone.get("init_args", {}).items() if name != "device"
    }
    if "name" in options:
        options["name"] = _public_name(options["name"])
    if backbone:
        backbone["init_args"] = options
    model = header.model | ({"backbone": backbone} if backbone else {})
    return replace(header, backbone=_public_name(header.backbone), model=model)


def _public_name(name: str) -> str:
    """A model's name as it is, of a folder the last part."""
    if is_hub_name(name) and not Path(name).exists():
        return name
    return name.replace("\\", "/").rstrip("/").rpartition("/")[2]
