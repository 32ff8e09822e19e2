"""The loss curve's numbers."""

import pytest

from ditflow.pages.curve import even_ticks, loss_curve
from ditflow.pages.event_files import Losses


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (1.58, 2.34, [1.4, 1.6, 1.8, 2.0, 2.2, 2.4]),
        (0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (-3.0, 12.0, [-5.0, 0.0, 5.0, 10.0, 15.0]),
        (1e-5, 3e-5, [1e-5, 1.5e-5, 2e-5, 2.5e-5, 3e-5]),
    ],
)
def test_ticks_are_round_and_around_all_values(low, high, ticks):
    assert even_ticks(low, high) == pytest.approx(ticks)


@pytest.mark.parametrize("value", [0.0, 2.0, -7.5])
def test_equal_values_have_an_axis(value):
    first, *_, last = even_ticks(value, value)
    assert first <= value <= last
    assert first < last


def test_a_curve_falls_as_its_losses_and_stays_inside():
    curve = loss_curve([Losses([0.0, 0.5, 1.0], [3.0, 2.0, 1.0])])
    places = [(x, y) for x, y, _ in curve.parts[0].points]
    assert places == sorted(places)  # y grows downwards
    assert all(curve.left <= x <= curve.right for x, _ in places)
    assert all(curve.top <= y <= curve.bottom for _, y in places)
    assert [tick.label for tick in curve.across] == ["1", "2"]
    assert curve.across[1].place == places[2][0]


def test_a_long_fit_is_a_line_with_few_ticks():
    steps = [index / 10 for index in range(1000)]
    curve = loss_curve([Losses(steps, steps)])
    assert curve.parts[0].points == []
    assert len(curve.parts[0].line.split()) == 1000
    assert len(curve.across) == 10


def test_no_loss_has_no_curve():
    assert loss_curve([]) is None
