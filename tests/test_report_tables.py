"""Pieces of reports: what they do where docstrings show no example."""

import pytest

from neural.results.intervals import Interval
from neural.results.text import by_word, direction, gain_text


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (0.1, 0.2, "up"),
        (-0.2, -0.1, "down"),
        (-0.1, 0.1, "unclear"),
        (0.0, 0.1, "unclear"),
        (-0.1, 0.0, "unclear"),
    ],
)
def test_direction_is_said_only_where_the_interval_excludes_zero(low, high, word):
    assert (
        direction(Interval((low + high) / 2, low, high, 3), up="up", down="down", unclear="unclear") == word
    )


def test_words_keep_the_order_of_first_use():
    assert by_word({"1": "b", "2": "a", "4": "b"}) == "b at 1, 4; a at 2"
    assert gain_text(Interval(-0.123, -0.2, 0.05, 3), 2) == "-0.12 [-0.20, +0.05]"
