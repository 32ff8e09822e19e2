"""Open a video file by decord, which is loaded only where one is read."""

from pathlib import Path
from typing import Any

import numpy as np


def open_video(path: Path) -> Any:
    """decord's reader of a file with at least one frame.

    Raises:
        Exception: it is none, of whatever kind decord makes of it.
    """
    import decord

    if path.stat().st_size == 0:
        raise OSError("an empty file")
    # Absolute, so that no name is one of ffmpeg's protocols. In the place of a frame that it cannot
    # decode, as after a change of size, decord gives memory that nothing was written to; with the
    # least of tolerances it raises.
    reader = decord.VideoReader(str(path.absolute()), num_threads=1, fault_tol=1e-9)
    if len(reader) == 0:
        raise OSError("no frames")
    return reader


def evenly_timed(reader: Any) -> list[int]:
    """Frame numbers at even times: of a variable rate, such as a phone's, some come twice."""
    count = len(reader)
    try:
        starts = reader.get_frame_timestamp(list(range(count)))[:, 0]
    except IndexError as error:
        raise OSError("frames without times") from error
    steps = np.diff(starts)
    if count < 3 or not (steps > 0).all():
        return list(range(count))
    step = np.percentile(steps, 10)  # not the shortest, which may be a slip
    camera = (starts[-1] - starts[0]) / step <= 10 * count
    if steps.max() < 1.5 * step or not camera:
        return list(range(count))
    times = np.arange(starts[0], starts[-1] + step / 2, step)
    # The frame that is shown at each time, with some room for how times were rounded.
    return (np.searchsorted(starts, times + step / 4, side="right") - 1).tolist()


def decoded(reader: Any, index: int) -> np.ndarray:
    """One frame, [height, width, 3], uint8."""
    from decord.bridge import _BridgeScope  # decord itself has no name for the scope of its own

    with _BridgeScope():  # whoever has set another for all of the process
        frame = reader[index].asnumpy()
    height, width, channels = frame.shape
    if channels > 3:
        # Where rows are padded to a multiple of the width (of 48 and 96 pixels, on some machines of
        # 16 and 32), decord takes the padding for further channels.
        rows = frame.reshape(height, width * channels)
        frame = rows[:, : width * 3].reshape(height, width, 3)
    return frame
