"""What of a prompt is not heeded is said."""

import logging

import torch

from ditflow.assembly.run import Run
from ditflow.metrics.clip import load_clip
from ditflow.metrics.prompt_adherence import PromptAdherence
from ditflow.metrics.scorer import Scorer
from ditflow.settings.stacked import read_settings
from ditflow.utils.prompts import dropped_words, unheeded

SHORT = "a red ring on a black background"
LONG = f"{SHORT} and a blue square on a white background"


class Slow:
    """A tokenizer of words that knows no places in a text."""

    is_fast = False

    def __call__(self, text, max_length=None, **_):
        words = text.split()
        ids = [*words[: max_length - 1 if max_length else None], "."]
        return type("Encoding", (), {"input_ids": ids})

    def decode(self, ids, **_):
        return " ".join(ids[:-1])


def test_words_beyond_the_limit_are_named(rope):
    tokenizer, limit = rope.pipeline.tokenizer, rope.prompt_length
    assert dropped_words(SHORT, tokenizer, limit) == ""
    assert dropped_words(LONG, tokenizer, limit) == "white background"
    assert dropped_words("a fox jumps over it", tokenizer, limit) == "over it"  # letter by letter
    assert 80 < len(dropped_words("x" * 99, tokenizer, limit)) < 99  # no word to begin at
    assert dropped_words("one two three", Slow(), 3) == "three"
    assert dropped_words("one two", Slow(), 3) == ""


def test_a_prompt_of_unknown_words_gets_those_that_are_known(rope):
    tokenizer = rope.pipeline.tokenizer
    (hint,) = unheeded("a fox", tokenizer, 16, "sprites-rope")
    assert hint.startswith("sprites-rope knows no word of the prompt 'a fox'; its words are ")
    assert "teal, triangle" in hint
    assert not list(unheeded("a fox, red", tokenizer, 16, "sprites-rope"))
    assert not list(unheeded("", tokenizer, 16, "sprites-rope"))


def test_each_prompt_of_a_run_is_told_of_once(rope, caplog):
    settings = read_settings("sprites-rope", {"model": {"negative_prompt": "a fox"}})
    run = Run.of(settings, rope, {"prompts": [LONG, SHORT, LONG]})
    with caplog.at_level(logging.WARNING, "ditflow"):
        run.warn_of_prompts()
    assert [record.message.partition(" ")[0] for record in caplog.records] == [
        "The",
        "sprites-rope",
    ]
    assert "dropped: white background" in caplog.text


def test_clip_cuts_a_prompt_and_keeps_its_end(caplog):
    clip = load_clip()
    encoded = clip.processor(text=[LONG, SHORT], return_tensors="pt", padding=True).input_ids
    assert encoded.shape == (2, 16)
    assert encoded[0, -1] == clip.processor.tokenizer.eos_token_id
    metric = PromptAdherence(clip)
    metric.update(torch.rand(2, 3, 64, 64), LONG)
    assert metric.compute() <= 1
    scorer, video = Scorer(grid=4), torch.rand(5, 3, 64, 64)
    with caplog.at_level(logging.WARNING, "ditflow"):
        for _ in range(2):
            scorer.score(video, video, LONG)
    assert caplog.text.count("clip=sprites-clip takes; dropped: white background") == 1
