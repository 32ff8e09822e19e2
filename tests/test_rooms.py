"""The picture of the rooms in the documentation is of today's imports."""

from tests.rooms import PICTURE, fewest, picture


def test_the_picture_is_of_the_code_as_it_is():
    drawn = PICTURE.read_text(encoding="utf-8")
    assert drawn == picture(), "draw it again: python -m tests.rooms"


def test_arrows_that_lead_by_way_of_others_are_left_out():
    edges = {"a": {"b", "c", "d"}, "b": {"c"}, "c": {"d"}, "d": set()}
    assert fewest(edges) == [("a", "b"), ("b", "c"), ("c", "d")]
