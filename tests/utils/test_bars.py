"""Progress, on a terminal and where there is none."""

import io

from ditflow.utils import bars
from ditflow.utils.bars import Bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_into_a_file_a_bar_is_a_line_at_its_end():
    file = io.StringIO()
    with Bar(desc="Guided step 1", total=2, file=file) as bar:
        for step in ("Guided step 1", "Guided step 2"):
            bar.reset()
            bar.set_description(step)
            for _ in range(2):
                bar.update()
            bar.set_postfix(loss=0.5)
    for _ in Bar(range(3), desc="Denoising", file=file):
        pass
    text = file.getvalue()
    assert "\r" not in text
    lines = [line.partition(":")[0] for line in text.splitlines()]
    assert lines == ["Guided step 1", "Guided step 2", "Denoising"]
    assert "2/2" in text
    assert "loss=0.5" in text


def test_a_long_one_says_in_between_how_far_it_is(monkeypatch):
    monkeypatch.setattr(bars, "EVERY", 0)
    file = io.StringIO()
    for _ in Bar(range(3), desc="Denoising", file=file, mininterval=0):
        pass
    assert [line.split()[1][:3] for line in file.getvalue().splitlines()] == ["33%", "67%", "100"]


def test_one_that_is_off_says_nothing_and_a_terminal_has_a_bar():
    file, terminal = io.StringIO(), Terminal()
    with Bar(total=1, file=file, disable=True) as bar:
        bar.reset()
        bar.update()
    assert file.getvalue() == ""
    for _ in Bar(range(3), file=terminal):
        pass
    assert "\r" in terminal.getvalue()
