"""Pieces of reports: what they do where docstrings show no example."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neural.results.intervals import (
    Interval,
    mean_interval,
)
from neural.results.text import by_word, direction, gain_text, text_table
from tests.strategies import seeds


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


@given(seeds, st.integers(1, 5), st.integers(0, 6))
def test_table_columns_are_aligned_and_hold_the_cells(seed, width, n):
    rng = np.random.default_rng(seed)
    words = ["", "x", "x + y", "a longer arm", "θ", "0.25"]
    rows = [[words[i] for i in rng.integers(0, len(words), width)] for _ in range(n)]
    header = [words[1 + i] for i in rng.integers(0, len(words) - 1, width)]
    lines = text_table(header, rows).split("\n")
    assert len(lines) == n + 2
    rule = lines[1]
    assert re.fullmatch(r"-+(  -+)*", rule)
    spans = [(found.start(), found.end()) for found in re.finditer("-+", rule)]
    for line, cells in zip([lines[0], *lines[2:]], [header, *rows], strict=True):
        assert [line[start:end].rstrip() for start, end in spans] == cells
        assert line == line.rstrip()
        assert len(line) <= len(rule)
    assert [end - start for start, end in spans] == [
        max(len(row[j]) for row in [header, *rows]) for j in range(width)
    ]


def test_table_prints_whatever_can_be_printed():
    rows = [[1, None, mean_interval([1.0, 2.0, 3.0])], (np.float64(0.5), Path("a"), True)]
    assert text_table(("n", "what", "mse"), iter(rows)).split("\n") == [
        "n    what  mse",
        "---  ----  ------------------",
        "1    None  2 [-0.4841, 4.484]",
        "0.5  a     True",
    ]
