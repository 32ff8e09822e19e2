"""Which part of a frame the model is to see."""

import re
from typing import NamedTuple, Self

from ditflow.errors import DitflowError, shortened

NOTICED = 1 / 3
"""Of a picture: what is lost beyond it is warned of."""


class Box(NamedTuple):
    """A part of a frame, in its pixels."""

    left: int
    top: int
    width: int
    height: int

    def __str__(self) -> str:
        return ",".join(map(str, self))


class Crop(NamedTuple):
    """How frames come to the proportions of the model's size.

    Attributes:
        box: the part of the frames that is taken first; None takes all.
        padded: black is added; else what is too wide or too high is cut off on both sides.
    """

    box: Box | None = None
    padded: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """`center`, `none` (padded) or `x,y,w,h`.

        Raises:
            DitflowError: it is none of these.

        Example:
            >>> Crop.parse("10,0,640,480")
            Crop(box=Box(left=10, top=0, width=640, height=480), padded=False)
        """
        if text in ("center", "none"):
            return cls(padded=text == "none")
        if re.fullmatch(r"\d{1,6}(,[1-9]\d{0,5}|,0){3}", text, re.ASCII):
            box = Box(*map(int, text.split(",")))
            if box.width and box.height:
                return cls(box)
        raise DitflowError(
            f"crop={shortened(text)} must be center, none, or x,y,w,h in pixels of the video, such "
            "as 280,0,720,720."
        )

    def __str__(self) -> str:
        return "none" if self.padded else "center" if self.box is None else str(self.box)

    def taken(self, height: int, width: int, named: str) -> Box:
        """The part of frames of a size that is resized.

        Raises:
            DitflowError: the box is not inside of them.
        """
        box = self.box or Box(0, 0, width, height)
        if box.left + box.width > width or box.top + box.height > height:
            raise DitflowError(
                f"crop={box} reaches beyond {named}, which is {width} wide and {height} high; give "
                "x,y,w,h inside of it."
            )
        return box

    def scaled(self, down: float, across: float) -> "Crop":
        """The same of frames that are so many times as high and as wide."""
        if self.box is None:
            return self
        left, top, width, height = self.box
        edges = [round(left * across), round((left + width) * across)]
        edges += [round(top * down), round((top + height) * down)]
        wide, high = max(1, edges[1] - edges[0]), max(1, edges[3] - edges[2])
        return Crop(Box(edges[0], edges[2], wide, high))

    def kept(self, source: tuple[int, int], size: tuple[int, int]) -> Box:
        """The part of a frame that is seen after all, to the nearest pixel.

        Args:
            source, size: (height, width) of the frame and of what it is fitted to.

        Example:
            >>> str(Crop().kept((720, 1280), (64, 64)))
            '280,0,720,720'
        """
        left, top, width, height = self.box or Box(0, 0, source[1], source[0])
        if self.padded:
            return Box(left, top, width, height)
        scale = max(size[0] / height, size[1] / width)
        seen = min(width, round(size[1] / scale)), min(height, round(size[0] / scale))
        return Box(left + (width - seen[0]) // 2, top + (height - seen[1]) // 2, *seen)
