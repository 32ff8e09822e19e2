"""A benchmark's tables and montages for TensorBoard."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from ditflow.runs.folder import TENSORBOARD
from ditflow.utils.files import atomic_write, written


def write_events(table: str, montages: Sequence[Path], folder: Path, name: str) -> Path:
    """Write one event file, in the place of those of earlier runs and of other processes.

    Args:
        table: in Markdown.
        montages: pictures.
        folder: of the benchmark.
        name: of the manifest.

    Returns:
        the folder to open with TensorBoard.

    Raises:
        DitflowError: the disk is full or does not take the file.
    """
    events = folder / TENSORBOARD
    with TemporaryDirectory() as folder_of_one:
        with SummaryWriter(folder_of_one) as writer:
            writer.add_text(f"{name}/table", table)
            for path in montages:
                with Image.open(path) as picture:
                    pixels = np.asarray(picture.convert("RGB"))
                writer.add_image(f"{name}/{path.stem}", pixels, dataformats="HWC")
        (made,) = Path(folder_of_one).iterdir()
        with atomic_write(events / made.name) as partial:
            shutil.copyfile(made, partial)
    for path in written(events, "events.*"):
        # Names begin with the time. Only those before this one: of several that processes write at
        # once, the last is left.
        if path.name < made.name:
            path.unlink(missing_ok=True)  # another process may be faster
    return events
