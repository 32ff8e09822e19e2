"""`ditflow preview`: what a fit would be guided by, before it is paid for."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ditflow.assembly.loading import load
from ditflow.backbones.loading import Dtype
from ditflow.preview.reading import Preview, as_table, check_flow
from ditflow.runs.claim import claim
from ditflow.runs.progress import RunProgress
from ditflow.settings.options import over_default
from ditflow.settings.stacked import read_settings
from ditflow.utils.files import atomic_write, missing
from ditflow.video.writing import write_video


def preview(
    *,
    video: Path,
    output: Path,
    config: Sequence[str] | None = None,
    mask: Path | None = None,
    block: int | None = None,
    blocks: Sequence[int] | None = None,
    start_frame: int | None = None,
    num_frames: int | None = None,
    stride: int | None = None,
    height: int | None = None,
    width: int | None = None,
    crop: str | None = None,
    fps: float | None = None,
    backbone: str | None = None,
    device: str | None = None,
    dtype: Dtype | None = None,
) -> None:
    """Show the motion that a fit would read of a reference, and say what is wrong with it.

    One pass through the transformer and no optimisation: `preview.png` and `preview.mp4` have the
    motion flow of several blocks, how sure the attention is, and the nearest neighbours of plain
    latents to compare with.

    Args:
        video: The reference.
        output: Folder of what is made.
        config: Presets, stacked.
        mask: Image, or video, of what alone is to guide.
        block: That a fit would read; by default the preset's.
        blocks: To show; by default that one and some around it.
        num_frames: By default the preset's.
        stride: By default so many frames of a file a second as the video has.
        crop: center, none (black is added) or x,y,w,h.
        fps: Frames a second of the video; by default the preset's.
        backbone: In place of the preset's.
    """
    for name, path in (("video", video), ("mask", mask)):
        if path is not None and not path.exists():
            raise missing(name, path)
    configs = over_default(config or [])
    settings = read_settings(*configs)
    check_flow(settings, f"config={' '.join(configs)}")  # before anything is loaded
    given = _given(name=backbone, device=device, dtype=dtype)
    loaded = load(settings, (num_frames, height, width), **given)
    frames = {"start_frame": start_frame, "num_frames": num_frames, "stride": stride}
    size = {"height": height, "width": width, "crop": crop, "fps": fps}
    stated = _given(block=block, blocks=blocks, mask=mask, **size, **frames)
    paths = [output / name for name in ("preview.png", "preview.mp4")]
    with ExitStack() as held, RunProgress() as progress:
        shown = Preview.of(settings, loaded, video, **stated)
        held.enter_context(claim(output))
        progress.begin(output)
        sheet = shown.sheet()
        described = f"{sheet.title}\n{as_table(sheet.motion)}"
        print(described)
        progress.say("result", described)
        for line in sheet.notes:
            print(f"Warning: {line}")
            progress.say("warning", line)
        with atomic_write(paths[0]) as partial:
            sheet.picture().save(partial)
        write_video(sheet.video(), paths[1], fps or settings.data["fps"] or loaded.fps)
    print(f"Wrote to {output}:")
    for path in paths:
        print(f"  {path}")


def _given(**options: Any) -> dict[str, Any]:
    """Those options that were given."""
    return {name: value for name, value in options.items() if value is not None}
