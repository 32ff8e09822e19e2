"""Prompts as they are given, and what of them a text encoder does not heed: libraries say so in
notices that are silenced."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ditflow.errors import DitflowError, shortened

FEW = 1000
"""Pieces at most of a vocabulary whose words can be listed."""


def read_prompts(prompts: Sequence[str], file: Path | str | None) -> list[str]:
    """Prompts as given and from a file, one a line; blank lines do not count."""
    collected = list(prompts)
    if file is not None:
        try:
            collected += Path(file).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DitflowError(
                f"prompts_file={file} cannot be read as text; give a file with one prompt a line."
            ) from error
    kept = [prompt.strip() for prompt in collected if prompt.strip()]
    if not kept:
        raise DitflowError('prompts is empty; give at least one, such as --prompts "a red circle".')
    return kept


def dropped_words(prompt: str, tokenizer: Any, limit: int) -> str:
    """The words of a prompt that are cut off, in part or whole; empty where all of it is taken.

    Args:
        prompt: as given.
        tokenizer: of transformers.
        limit: of the encoder, in tokens, those included that mark the beginning and the end.
    """
    found = tokenizer(prompt, verbose=False, return_offsets_mapping=tokenizer.is_fast)
    whole = found.input_ids
    if len(whole) <= limit:
        return ""
    kept = tokenizer(prompt, truncation=True, max_length=limit).input_ids
    same = next(index for index, token in enumerate(whole) if token not in kept[index : index + 1])
    if not tokenizer.is_fast:
        return tokenizer.decode(whole[same:], skip_special_tokens=True)
    begin = found["offset_mapping"][same][0]
    return prompt[prompt.rfind(" ", 0, begin + 1) + 1 or begin :]


def known_words(prompt: str, tokenizer: Any) -> list[str]:
    """All words of a small vocabulary, where a prompt has none of them; else nothing.

    Words of one or two letters do not count, and letters do not make a word.
    """
    vocabulary = tokenizer.get_vocab()
    words = {piece[1:] for piece in vocabulary if piece.startswith("▁") and len(piece) > 3}
    if len(vocabulary) > FEW or not prompt.strip():
        return []
    pieces = tokenizer.convert_ids_to_tokens(tokenizer(prompt, verbose=False).input_ids)
    used = {piece.removeprefix("▁") for piece in pieces}
    return [] if words & used else sorted(words)


def unheeded(prompt: str, tokenizer: Any, limit: int, encoder: str) -> Iterator[str]:
    """What of a prompt an encoder does not heed, a line each; nothing where it heeds all.

    Args:
        prompt, tokenizer, limit: see `dropped_words`.
        encoder: its name, for the message.
    """
    if dropped := dropped_words(prompt, tokenizer, limit):
        yield (
            f"The prompt {shortened(prompt, 40)!r} has more than the {limit} tokens that {encoder} "
            f"takes; dropped: {shortened(dropped, 300)}"
        )
    if words := known_words(prompt, tokenizer):
        yield (
            f"{encoder} knows no word of the prompt {shortened(prompt, 40)!r}; its words are "
            f"{', '.join(words)}."
        )
