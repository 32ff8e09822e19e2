"""A benchmark's tables and montages for TensorBoard."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torch.utils.tensorboard import SummaryWriter


def write_events(table: str, montages: Sequence[Path], folder: Path, name: str) -> Path:
    """Write one event file, in the place of those of earlier runs and of other processes.

    Args:
        table: in Markdown.
        montages: pictures.
        folder: of the benchmark.
        name: of the manifest.

    Returns:
        the folder to open with TensorBoard.
    """
    events = folder / "tensorboard"
    for path in events.glob("events.*"):
        path.unlink(missing_ok=True)  # another process may be faster
    with SummaryWriter(events) as writer:
        writer.add_text(f"{name}/table", table)
        for path in montages:
            with Image.open(path) as picture:
                pixels = np.asarray(picture.convert("RGB"))
            writer.add_image(f"{name}/{path.stem}", pixels, dataformats="HWC")
    return events
