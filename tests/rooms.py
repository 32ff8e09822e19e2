"""Draw the rooms of the package and what they import, from its own files, as docs/rooms.svg.

    python -m tests.rooms

One row a layer, the highest first. An arrow says that a room imports another; one that goes by way
of others is left out, so that what is drawn is the fewest that tell the order.
"""

import ast
from html import escape
from pathlib import Path

from tests.test_layers import LAYER, LAYERS, PACKAGE, files, imports

PICTURE = PACKAGE.parent / "docs" / "rooms.svg"

WIDTH, ROW, BOX, GAP, MARGIN = 1080, 92, 52, 14, 16
"""Pixels: of the picture, from one row to the next, of a box' height, between boxes, around."""


def rooms() -> dict[str, str]:
    """Each room that is there and the first line of what it says of itself."""
    found = {}
    for room in " ".join(LAYERS).split():
        path = PACKAGE / room / "__init__.py"
        path = path if path.exists() else PACKAGE / f"{room}.py"
        if path.exists():
            said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            found[room] = said.partition("\n")[0]
    return found


def imported() -> dict[str, set[str]]:
    """Which rooms each room imports."""
    found: dict[str, set[str]] = {room: set() for room in rooms()}
    for path in files(PACKAGE):
        room = path.relative_to(PACKAGE).with_suffix("").parts[0]
        targets = {name.split(".")[1] for _, name in imports(path) if "." in name}
        if room in found:
            # What points up is the test's to say.
            found[room] |= {to for to in targets & set(found) if LAYER[to] < LAYER[room]}
    return found


def fewest(edges: dict[str, set[str]]) -> list[tuple[str, str]]:
    """The edges without those that lead where others lead by way of a third room."""

    def reached(room: str) -> set[str]:
        return set().union(*({below} | reached(below) for below in edges[room]))

    return [
        (room, target)
        for room in edges
        for target in sorted(edges[room])
        if not any(target in reached(other) for other in edges[room] - {target})
    ]


def picture() -> str:
    """The SVG."""
    said, places = rooms(), {}
    rows = [row for row in ([r for r in layer.split() if r in said] for layer in LAYERS) if row]
    boxes = []
    for index, row in enumerate(reversed(rows)):
        width = (WIDTH - 2 * MARGIN - GAP * (max(len(row), 3) - 1)) / max(len(row), 3)
        left = (WIDTH - width * len(row) - GAP * (len(row) - 1)) / 2
        for column, room in enumerate(row):
            x, y = left + column * (width + GAP), MARGIN + index * ROW
            places[room] = x, y, width
            name = f"{room}/" if (PACKAGE / room).is_dir() else f"{room}.py"
            boxes += [
                f'<rect x="{x:.0f}" y="{y}" width="{width:.0f}" height="{BOX}" rx="6"/>',
                f'<text class="name" x="{x + 10:.0f}" y="{y + 20}">{escape(name)}</text>',
                *(
                    f'<text x="{x + 10:.0f}" y="{y + 34 + 12 * line}">{escape(text)}</text>'
                    for line, text in enumerate(wrapped(said[room], int((width - 16) / 5.7)))
                ),
            ]
    arrows = []
    for room, target in fewest(imported()):
        (x, y, width), (below, bottom, other) = places[room], places[target]
        start, end = x + width / 2, below + other / 2
        middle = (y + BOX + bottom) / 2
        arrows.append(
            f'<path d="M{start:.0f} {y + BOX} C{start:.0f} {middle:.0f} {end:.0f} {middle:.0f} '
            f'{end:.0f} {bottom - 3}"/>'
        )
    height = 2 * MARGIN + ROW * (len(rows) - 1) + BOX
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'width="{WIDTH}" height="{height}">',
            "<title>The rooms of ditflow: imports point down</title>",
            "<style>rect{fill:#f4f7fb;stroke:#5b7aa5}path{fill:none;stroke:#9aa9bd;"
            "marker-end:url(#tip)}text{font:10px sans-serif;fill:#333}"
            ".name{font:bold 13px monospace;fill:#123}</style>",
            '<defs><marker id="tip" viewBox="0 0 6 6" refX="5" refY="3" markerWidth="6" '
            'markerHeight="6" orient="auto"><path d="M0 0L6 3L0 6" '
            'style="fill:#9aa9bd;stroke:none"/></marker></defs>',
            f'<rect width="{WIDTH}" height="{height}" style="fill:#fff;stroke:none"/>',
            *arrows,
            *boxes,
            "</svg>\n",
        ]
    )


def wrapped(text: str, length: int) -> list[str]:
    """At most two lines of so many letters."""
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) > length and lines[-1]:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines if len(lines) < 3 else [lines[0], f"{lines[1][: length - 1]}…"]


if __name__ == "__main__":
    Path(PICTURE).write_text(picture(), encoding="utf-8")
    print(f"Wrote {PICTURE}")
