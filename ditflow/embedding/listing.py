"""Which motion embeddings there are in a folder."""

from pathlib import Path

from ditflow.embedding.header import EmbeddingHeader
from ditflow.embedding.reader import read_header
from ditflow.errors import DitflowError
from ditflow.utils.files import written


def list_embeddings(folder: Path | str) -> dict[Path, EmbeddingHeader]:
    """Every motion embedding in a folder and the folders in it, by path, with its header.

    Headers are checked, and no tensor is read: `MotionEmbedding.load` a path to use it. Files that
    are no motion embeddings, or damaged, are left out.

    Raises:
        DitflowError: no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DitflowError(f"folder={folder} does not exist; give a folder of motion embeddings.")
    found = {}
    for path in written(folder, "**/*.safetensors"):
        try:
            found[path] = read_header(path)
        except DitflowError:
            continue
    return found
