"""Files that studies write: all or nothing, and every bit of a number."""

import csv
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fisherkit.files import write_atomic
from neural.results.files import write_csv, write_json
from neural.results.intervals import Interval
from tests.strategies import seeds
from tests.study_helpers import failing_replace

# ---------------------------------------------------------------- files


def test_write_atomic_makes_folders_replaces_content_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "a" / "b" / "rows.csv"
    write_atomic(path, b"old")
    write_atomic(path, b"n\x00w")
    assert path.read_bytes() == b"n\x00w"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("step", ["replace", "fsync"])
def test_write_atomic_keeps_the_old_content_when_it_fails(tmp_path, monkeypatch, step):
    path = tmp_path / "rows.csv"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, step, lambda *_: failing_replace(None, None))
    with pytest.raises(OSError, match="disk full"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path], "no .part file"


def test_write_atomic_never_shows_a_part_of_the_content(tmp_path, monkeypatch):
    """The target changes by one replacement of a complete, synchronised file in the same folder."""
    path = tmp_path / "rows.csv"
    path.write_bytes(b"old")
    events, replace, fsync = [], os.replace, os.fsync

    def watched_sync(number):
        events.append(("sync", os.fstat(number).st_size, path.read_bytes()))
        fsync(number)

    def watched_replace(source, target):
        source, target = Path(source), Path(target)
        assert (source.parent, target) == (tmp_path, path)
        events.append(("replace", len(source.read_bytes()), path.read_bytes()))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", watched_sync)
    monkeypatch.setattr(os, "replace", watched_replace)
    write_atomic(path, b"n" * 100_000)
    kinds = [event[0] for event in events]
    assert kinds.index("sync") < kinds.index("replace")
    assert kinds.count("replace") == 1
    upto = kinds.index("replace") + 1
    assert {event[1:] for event in events[:upto]} == {(100_000, b"old")}


def test_csv_header_is_the_union_of_entries_in_order_of_appearance(tmp_path):
    path = tmp_path / "rows.csv"
    write_csv(path, [{"arm": "x", "error": 0.1}, {"arm": 'a,"b"\nθ', "again": 3}, {"error": None, "arm": ""}])
    assert path.read_bytes().startswith(b"arm,error,again\nx,0.1,\n")
    with path.open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert rows == [
        {"arm": "x", "error": "0.1", "again": ""},
        {"arm": 'a,"b"\nθ', "error": "", "again": "3"},
        {"arm": "", "error": "", "again": ""},
    ]


@given(seeds, st.integers(1, 5), st.integers(1, 4))
@settings(max_examples=20)
def test_csv_keeps_every_bit_of_a_number(tmp_path_factory, seed, n, width):
    rng = np.random.default_rng(seed)
    path = tmp_path_factory.mktemp("csv") / "rows.csv"
    numbers = rng.standard_normal((n, width)) * 10.0 ** rng.integers(-12, 12, (n, width))
    write_csv(path, [{f"c{j}": row[j] for j in range(width)} for row in numbers])
    with path.open(newline="") as handle:
        back = [[float(value) for value in row.values()] for row in csv.DictReader(handle)]
    assert back == numbers.tolist()


@dataclass(frozen=True)
class Panel:
    interval: Interval
    curve: np.ndarray
    where: Path


def test_json_holds_dataclasses_arrays_numpy_scalars_and_paths(tmp_path):
    path = tmp_path / "summary.json"
    value = {
        "panel": Panel(Interval(1.0, 0.5, 2.0, 3), np.array([[1.5, 2.5]]), Path("out") / "a.png"),
        "scalars": [np.float32(0.5), np.int64(7), np.bool_(True), np.float64(0.1), np.str_("θ")],
        "counts": np.arange(3),
        "tuple": (1, None),
    }
    write_json(path, value)
    assert json.loads(path.read_text()) == {
        "panel": {
            "interval": {"estimate": 1.0, "low": 0.5, "high": 2.0, "n": 3},
            "curve": [[1.5, 2.5]],
            "where": str(Path("out") / "a.png"),
        },
        "scalars": [0.5, 7, True, 0.1, "θ"],
        "counts": [0, 1, 2],
        "tuple": [1, None],
    }
    assert path.read_text().endswith("}\n")
    assert path.read_text().startswith('{\n "panel"'), "indented, so that differences are readable"


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ({"a": {1, 2}}, TypeError, r"JSON cannot hold a set"),
        ([Interval], TypeError, r"JSON cannot hold a type"),
        ({"a": 1j}, TypeError, r"JSON cannot hold a complex"),
        ({"a": np.complex128(1j)}, TypeError, r"JSON cannot hold a complex"),
        ({"a": np.array([1.0, np.nan])}, ValueError, r"(?i)nan"),
        ({"a": np.float32("inf")}, ValueError, r"(?i)inf"),
    ],
)
def test_json_refuses_what_it_cannot_hold_and_leaves_the_old_file(tmp_path, value, error, message):
    path = tmp_path / "summary.json"
    write_json(path, "old")
    with pytest.raises(error, match=message):
        write_json(path, value)
    assert json.loads(path.read_text()) == "old"
    assert list(tmp_path.iterdir()) == [path]
