"""How to write a prompt for the embedded models, which know few words."""

from ditflow.sprites.world import BACKGROUNDS, COLORS, SHAPES, caption

EXAMPLE = caption(SHAPES[0], next(iter(COLORS)), next(iter(BACKGROUNDS)))
"""A prompt that they know."""


def known_words() -> str:
    """The form of their prompts and every word of it, in sentences."""
    form = caption("SHAPE", "COLOUR", "BACKGROUND")
    return (
        f"The sprites know “{form}” alone. Shapes: {', '.join(SHAPES)}. Colours: "
        f"{', '.join(COLORS)}. Backgrounds: {', '.join(BACKGROUNDS)}."
    )
