"""A preview's picture and video: blocks side by side, pairs of frames below one another."""

import textwrap
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from ditflow.preview.drawing import draw_confidence, draw_flow, draw_frame, heat
from ditflow.preview.motion import Motion, ReferenceMotion
from ditflow.video.pictures import as_image, color_wheel

LONGER_SIDE = 256
"""Of one picture in the sheet, in pixels; frames of 64 and of 720 are both scaled to it."""
PAIRS = 6
"""Pairs of neighbouring frames at most: a long reference's are taken evenly."""
GAP, MARGIN, HEADING, TITLE = 6, 104, 40, 76


class Sheet:
    """Draws one reference's motion.

    Args:
        motion: to draw.
        title: above everything, one line.
        notes: below the picture, one paragraph each.
    """

    def __init__(self, motion: ReferenceMotion, title: str, notes: Sequence[str] = ()):
        self.motion, self.title, self.notes = motion, title, notes
        height, width = motion.reference.frames.shape[-2:]
        scale = LONGER_SIDE / max(height, width)
        self.cell = round(height * scale), round(width * scale)
        lengths = motion.guided.flow.norm(dim=-1)
        moving = lengths[lengths > 0]
        # The longest but a few: an odd match across the frame would leave all else pale.
        longest = np.quantile(moving.numpy(), 0.95) if len(moving) else 0.0
        self.strongest = max(1.0, float(longest))
        sure = motion.guided.confidence
        self.confidence, self.most = sure, 0.0 if sure is None else max(1e-6, sure.max().item())

    def headings(self) -> list[str]:
        """Of the columns, two lines each."""
        columns = ["reference\n"]
        for shown in (*self.motion.blocks, self.motion.latents):
            said = f"{shown.moving_share(self.motion.mask):.0%} move"
            if shown.confidence is not None:
                said += f", confidence {shown.median_confidence(self.motion.mask):.2f}"
            guided = " (guided)" if shown is self.motion.guided else ""
            nearest = ", nearest" if shown is self.motion.latents else ""
            columns.append(f"{shown.name}{guided}{nearest}\n{said}")
        if self.most is not None:
            columns.append(f"confidence\nof {self.motion.guided.name}, 0 to {self.most:.2f}")
        return columns

    def row(self, frame: torch.Tensor, start: int, end: int | None) -> list[np.ndarray]:
        """A frame [3, h, w] with what every signal says of its way from one token frame to another;
        without another, the frame alone."""
        picture = draw_frame(frame, self.cell)
        motion = self.motion
        if end is None:
            return [picture] * (len(motion.blocks) + 2 + (self.most is not None))
        size = motion.grid[1:]
        mask = None if motion.mask is None else motion.mask[start].reshape(size)

        def flow(shown: Motion) -> np.ndarray:
            away = shown.flow[start, end].reshape(*size, 2)
            return draw_flow(picture, away, self.strongest, mask)

        drawn = [picture, *(flow(shown) for shown in (*motion.blocks, motion.latents))]
        if self.confidence is not None:
            confidence = self.confidence[start, end].reshape(size)
            drawn.append(draw_confidence(picture, confidence, self.most, mask))
        return drawn

    def picture(self) -> Image.Image:
        """Rows of neighbouring token frames, and the first to the last."""
        frames = self.motion.grid[0]
        starts = torch.linspace(0, frames - 2, min(PAIRS, frames - 1)).round().long().tolist()
        pairs = [(start, start + 1) for start in starts]
        if (0, frames - 1) not in pairs:
            pairs.append((0, frames - 1))
        rows, labels = [], []
        for start, end in pairs:
            first, last = self.motion.middle(start), self.motion.middle(end)
            rows.append(self.row(self.motion.reference.frames[first], start, end))
            labels.append(f"frame {first}\nto {last}")
        return self._compose(rows, [self.headings()], labels, self.notes)

    def video(self, columns: int = 4) -> torch.Tensor:
        """[T, 3, height, width] in [0, 1]: every frame with the way to the next token frame."""
        headings = self.headings()
        named = [headings[first : first + columns] for first in range(0, len(headings), columns)]
        drawn = []
        for time, frame in enumerate(self.motion.reference.frames):
            start = self.motion.frame_at(time)
            end = start + 1 if start + 1 < self.motion.grid[0] else None
            cells = self.row(frame, start, end)
            rows = [cells[first : first + columns] for first in range(0, len(cells), columns)]
            drawn.append(np.asarray(self._compose(rows, named)))
        return torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2) / 255

    def _compose(
        self,
        rows: Sequence[Sequence[np.ndarray]],
        headings: Sequence[Sequence[str]],
        labels: Sequence[str] = (),
        notes: Sequence[str] = (),
    ) -> Image.Image:
        """Cells in rows, each under the headings given for it, or all under the first ones."""
        height, width = self.cell
        left = MARGIN if labels else GAP
        longest = max(map(len, rows))
        across = left + longest * (width + GAP)
        # About as many letters as a line takes of a font of this size.
        wrapped = [line for note in notes for line in textwrap.wrap(note, across // 8)]
        below = HEADING * len(headings) + len(rows) * (height + GAP)
        sheet = Image.new("RGB", (across, TITLE + below + 20 * len(wrapped) + GAP), "white")
        draw = ImageDraw.Draw(sheet)
        self._legend(sheet, draw)
        top = TITLE
        for index, row in enumerate(rows):
            if index < len(headings):
                for column, text in enumerate(headings[index]):
                    draw.text((left + column * (width + GAP), top), text, "black", _font(14))
                top += HEADING
            if labels:
                draw.text((GAP, top + height // 2 - 18), labels[index], "black", _font(14))
            for column, cell in enumerate(row):
                sheet.paste(Image.fromarray(cell), (left + column * (width + GAP), top))
            top += height + GAP
        for line in wrapped:
            draw.text((GAP, top), line, (180, 30, 0), _font(14))
            top += 20
        return sheet

    def _legend(self, sheet: Image.Image, draw: ImageDraw.ImageDraw) -> None:
        """Title, colour wheel and the scale of confidence."""
        sheet.paste(as_image(color_wheel(63, 63)), (GAP, GAP))
        draw.text((GAP + 76, GAP), self.title, "black", _font(16))
        draw.text(
            (GAP + 76, GAP + 24),
            f"colour is direction, strongest from {self.strongest:.1f} tokens; a patch without "
            "colour stays",
            "black",
            _font(14),
        )
        if self.most is None:
            return
        scale = heat(torch.linspace(0, 1, 120).expand(12, -1))
        sheet.paste(Image.fromarray(scale), (GAP + 76, GAP + 50))
        draw.text((GAP + 204, GAP + 46), f"confidence 0 to {self.most:.2f}", "black", _font(14))


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
