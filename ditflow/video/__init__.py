"""Videos: files to frames and back, masks, pictures."""

from typing import TYPE_CHECKING

from ditflow.utils.lazy import importer

if TYPE_CHECKING:
    from ditflow.video.pictures import as_image, contact_sheet, grid, side_by_side
    from ditflow.video.reading import FrameRange, read_video
    from ditflow.video.sizing import as_tensor, fit_length, fit_size, fitting_count, resize_and_crop
    from ditflow.video.writing import encode_gif, write_video

__all__ = [
    "FrameRange",
    "as_image",
    "as_tensor",
    "contact_sheet",
    "encode_gif",
    "fit_length",
    "fit_size",
    "fitting_count",
    "grid",
    "read_video",
    "resize_and_crop",
    "side_by_side",
    "write_video",
]

# Who counts a video's frames has no need of torch, which takes seconds to import.
__getattr__ = importer(
    __name__,
    {
        **dict.fromkeys(("as_image", "contact_sheet", "grid", "side_by_side"), "pictures"),
        **dict.fromkeys(("FrameRange", "read_video"), "reading"),
        **dict.fromkeys(
            ("as_tensor", "fit_length", "fit_size", "fitting_count", "resize_and_crop"), "sizing"
        ),
        **dict.fromkeys(("encode_gif", "write_video"), "writing"),
    },
)
