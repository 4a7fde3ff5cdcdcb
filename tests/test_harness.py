"""What studies rest on: cells that survive kills and damage, whole files, intervals, figures, provenance."""

import argparse
import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fisherkit.checks import UnknownNameError
from studies import harness
from studies.harness import Cells, CorruptCellsWarning, Interval
from tests.comparators import assert_allclose_report
from tests.strategies import seeds

ROOT = Path(__file__).resolve().parent.parent
PAIRS = [({"arm": "x", "seed": seed}, {"mse": [0.5 / (seed + 1), 0.25]}) for seed in range(6)]
KEYS = [cell for cell, _ in PAIRS]
NOT_FINITE = "(?i)nan|inf|finite|not JSON compliant"


def filled(path, pairs=PAIRS):
    """The file of these cells; each line holds one, in order."""
    Cells(path).add(pairs)
    return path


def loaded(path):
    """Cells of a file that must not be damaged."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return Cells(path)


# ---------------------------------------------------------------- keys of cells


def random_cell(rng, n, depth=0):
    """Nested settings of every type that JSON holds."""
    values = [
        lambda: int(rng.integers(-5, 1000)),
        lambda: float(rng.standard_normal()),
        lambda: ["x", "uml", "θ \n"][int(rng.integers(3))],
        lambda: bool(rng.integers(2)),
        lambda: None,
        lambda: rng.integers(0, 9, 3).tolist(),
        lambda: random_cell(rng, 3, depth + 1) if depth < 2 else 0,
    ]
    return {f"k{i}": values[int(rng.integers(len(values)))]() for i in range(n)}


def shuffled(rng, value):
    """The same dictionary with another order of entries, nested ones included."""
    if not isinstance(value, dict):
        return value
    names = list(value)
    return {names[i]: shuffled(rng, value[names[i]]) for i in rng.permutation(len(names))}


@given(seeds, st.integers(1, 8))
def test_cell_key_does_not_depend_on_the_order_of_entries(seed, n):
    rng = np.random.default_rng(seed)
    cell = random_cell(rng, n)
    assert harness.cell_key(shuffled(rng, cell)) == harness.cell_key(cell)
    assert re.fullmatch(r"[0-9a-f]{16}", harness.cell_key(cell))


@given(seeds, st.integers(1, 8))
def test_cell_key_changes_with_every_setting(seed, n):
    rng = np.random.default_rng(seed)
    cell = random_cell(rng, n)
    changed = [cell | {name: "another"} for name in cell]
    renamed = [{("renamed" if other == name else other): cell[other] for other in cell} for name in cell]
    dropped = [{other: cell[other] for other in cell if other != name} for name in cell]
    keys = {harness.cell_key(c) for c in [cell, cell | {"more": None}, *changed, *renamed, *dropped]}
    assert len(keys) == 2 + 3 * n


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"lr": 1e-3}, {"lr": np.nextafter(1e-3, 1)}),
        ({"n": 1}, {"n": "1"}),
        ({"n": 1}, {"n": True}),
        ({"n": 0}, {"n": None}),
        ({"steps": [1, 2]}, {"steps": [2, 1]}),
        ({"counts": {"x": 1, "y": 2}}, {"counts": {"x": 2, "y": 1}}),
        ({"a": 1, "b": 2}, {"a": 2, "b": 1}),
        ({"a": {"b": 1}}, {"a": 1, "b": 1}),
    ],
)
def test_cell_key_tells_close_settings_apart(one, other):
    assert harness.cell_key(one) != harness.cell_key(other)


def test_cell_key_is_the_same_in_another_process():
    """A key that depends on the process, as str.__hash__ does, would find no finished cell again."""
    code = "from studies.harness import cell_key; print(cell_key({'arm': 'x', 'lr': 0.1, 'steps': [1, 2]}))"
    environment = os.environ | {"PYTHONHASHSEED": "12345"}
    finished = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert finished.stdout.strip() == harness.cell_key({"steps": [1, 2], "lr": 0.1, "arm": "x"})


@pytest.mark.parametrize(
    ("cell", "error", "message"),
    [
        ({"lr": float("nan")}, ValueError, NOT_FINITE),
        ({"lr": [1.0, -float("inf")]}, ValueError, NOT_FINITE),
        ({"path": Path("a")}, TypeError, "Path"),
        ({"grid": np.arange(2)}, TypeError, "ndarray"),
    ],
)
def test_cell_key_refuses_what_json_cannot_hold(cell, error, message):
    with pytest.raises(error, match=message):
        harness.cell_key(cell)


# ---------------------------------------------------------------- finished cells


def test_finished_cells_come_back_and_only_the_others_are_missing(tmp_path):
    path = tmp_path / "runs" / "study.jsonl"
    cells = Cells(path)
    assert len(cells) == 0
    assert not path.parent.exists(), "made when the first cell is added"
    cells.add(PAIRS[:2])
    cells.add(PAIRS[4:5])
    for again in (cells, loaded(path)):
        assert len(again) == 3
        assert [again.get(cell) for cell in KEYS[:2]] == [result for _, result in PAIRS[:2]]
        assert again.missing(KEYS) == [KEYS[2], KEYS[3], KEYS[5]]
    assert [p.name for p in path.parent.iterdir()] == ["study.jsonl"]


def test_missing_lists_each_cell_once_in_order(tmp_path):
    cells = Cells(filled(tmp_path / "study.jsonl", PAIRS[:1]))
    flipped = {"seed": 3, "arm": "x"}  # KEYS[3] in another order
    assert cells.missing([KEYS[5], KEYS[3], KEYS[0], KEYS[5], flipped]) == [KEYS[5], KEYS[3]]
    assert cells.missing([]) == []


def test_a_changed_setting_is_another_cell(tmp_path):
    cells = Cells(filled(tmp_path / "study.jsonl"))
    changed = KEYS[0] | {"width": 64}
    assert cells.missing([KEYS[0], changed]) == [changed]
    with pytest.raises(KeyError, match=r"cell not finished: \{'arm': 'x', 'seed': 0, 'width': 64\}; compute"):
        cells.get(changed)


def test_a_cell_that_is_added_again_has_its_latest_result(tmp_path):
    path = filled(tmp_path / "study.jsonl")
    Cells(path).add([(KEYS[0], {"mse": [9.0]})])
    assert loaded(path).get(KEYS[0]) == {"mse": [9.0]}
    assert len(loaded(path)) == len(PAIRS)


@given(seeds, st.integers(1, 12))
@settings(max_examples=20)
def test_results_come_back_to_the_last_bit(tmp_path_factory, seed, n):
    rng = np.random.default_rng(seed)
    path = tmp_path_factory.mktemp("cells") / "study.jsonl"
    values = (rng.standard_normal(n) * 10.0 ** rng.integers(-300, 300, n)).tolist()
    result = {"values": values, "tuple": (1, 2), "text": 'θ\r\n\x1c\u2028\\"', "inner": random_cell(rng, 4)}
    Cells(path).add([({"n": n}, result)])
    assert loaded(path).get({"n": n}) == result | {"tuple": [1, 2]}
    assert len(path.read_bytes().splitlines()) == 1


def test_entries_keyed_by_numbers_survive_a_restart(tmp_path):
    """Numbers sort otherwise than the strings that JSON makes of them: 2 < 10 but "10" < "2"."""
    path = tmp_path / "study.jsonl"
    cell, result = {"marks": {2: "a", 10: "b"}}, {"mse": {500: 0.5, 1000: 0.25}}
    Cells(path).add([(cell, result)])
    again = loaded(path)
    assert again.missing([cell]) == []
    assert again.get(cell) == {"mse": {"500": 0.5, "1000": 0.25}}


def test_several_cells_are_stored_by_one_replacement(tmp_path, monkeypatch):
    path = filled(tmp_path / "study.jsonl", PAIRS[:2])
    seen, real = [], os.replace

    def replace(source, target):
        seen.append((Path(source).read_bytes(), Path(target).read_bytes()))
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    before = path.read_bytes()
    Cells(path).add(PAIRS[2:])
    assert seen == [(path.read_bytes(), before)]
    assert len(loaded(path)) == len(PAIRS)


def test_a_write_that_fails_stores_none_of_several_cells(tmp_path, monkeypatch):
    path = filled(tmp_path / "study.jsonl", PAIRS[:2])
    before = path.read_bytes()
    with monkeypatch.context() as broken:
        broken.setattr(os, "replace", failing_replace)
        with pytest.raises(OSError, match="disk full"):
            Cells(path).add(PAIRS[2:])
    assert path.read_bytes() == before
    assert loaded(path).missing(KEYS) == KEYS[2:]
    assert [p.name for p in tmp_path.iterdir()] == ["study.jsonl"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [0.5, float("nan")], {"deep": [np.nan]}])
def test_results_that_are_not_finite_are_refused_and_the_file_stays(tmp_path, value):
    path = filled(tmp_path / "study.jsonl", PAIRS[:2])
    before = path.read_bytes()
    with pytest.raises(ValueError, match=NOT_FINITE):
        Cells(path).add([PAIRS[2], (KEYS[3], {"mse": value})])
    assert path.read_bytes() == before
    assert loaded(path).missing(KEYS) == KEYS[2:], "the pair before it is not stored either"


def test_the_refusal_of_a_result_says_which_cell_it_is(tmp_path):
    """A study adds dozens of cells at once; one diverged."""
    with pytest.raises(ValueError, match=r"'?seed'?: ?3"):
        Cells(tmp_path / "study.jsonl").add([PAIRS[2], (KEYS[3], {"mse": float("nan")})])


def test_a_refused_result_leaves_the_cells_in_memory_as_they_are(tmp_path):
    """What `missing` says must be what a restart would say."""
    cells = Cells(filled(tmp_path / "study.jsonl", PAIRS[:1]))
    with pytest.raises(ValueError, match=NOT_FINITE):
        cells.add([PAIRS[1], (KEYS[2], {"mse": float("nan")})])
    assert cells.missing(KEYS) == KEYS[1:]
    assert len(cells) == 1


def test_a_failed_write_leaves_the_cells_in_memory_as_they_are(tmp_path, monkeypatch):
    cells = Cells(filled(tmp_path / "study.jsonl", PAIRS[:1]))
    monkeypatch.setattr(os, "replace", failing_replace)
    with pytest.raises(OSError, match="disk full"):
        cells.add(PAIRS[1:2])
    assert cells.missing(KEYS[:2]) == KEYS[1:2]


# ---------------------------------------------------------------- damage


def truncated(content, rng):
    """A last line without its end."""
    return content[: -int(rng.integers(2, 40))]


def flipped(content, rng):
    """One bit of the first figure of the third line's result, so that the line still is JSON."""
    start = sum(len(line) for line in content.splitlines(keepends=True)[:2])
    place = content.index(b"0.1", start) + 2
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def garbage(content, rng):
    """Random bytes, few of which are text, in place of the second line, and a line of zeros at the end."""
    lines = content.splitlines(keepends=True)
    noise = bytes(rng.integers(128, 256, 200, dtype=np.uint8))
    return lines[0] + noise + b"\n" + b"".join(lines[2:]) + bytes(50) + b"\n"


def forged(content, rng):
    """Lines that are JSON but not a cell, and one whose checksum belongs to another line."""
    lines = content.splitlines(keepends=True)
    lines[4] = lines[4][:20] + lines[5][20:]
    return b"".join([b"[]\n", b'{"check":"0"}\n', b"7\n", b"NaN\n", b'{"check":"0","body":"x"}\n', *lines])


@pytest.mark.parametrize(
    ("damage", "bad_lines", "lost"),
    [(truncated, [6], [5]), (flipped, [3], [2]), (garbage, [2, 7], [1]), (forged, [1, 2, 3, 4, 5, 10], [4])],
)
def test_damaged_lines_are_named_set_aside_and_computed_again(tmp_path, damage, bad_lines, lost):
    path = filled(tmp_path / "study.jsonl")
    content = damage(path.read_bytes(), np.random.default_rng(0))
    assert content != path.read_bytes()
    path.write_bytes(content)
    aside = tmp_path / "study.corrupt-1.jsonl"
    with pytest.warns(CorruptCellsWarning) as caught:
        cells = Cells(path)
    message = str(caught[0].message)
    assert len(caught) == 1
    assert caught[0].filename == __file__, "points at whoever opened the cells"
    assert f"{path}: line(s) {', '.join(map(str, bad_lines[:5]))} of" in message
    assert f"moved to {aside}," in message
    assert f"{len(PAIRS) - len(lost)} intact cells are kept" in message
    assert aside.read_bytes() == content
    for again in (cells, loaded(path)):  # the second load finds no damage any more
        assert again.missing(KEYS) == [KEYS[i] for i in lost]
        assert all(again.get(cell) == result for cell, result in PAIRS if cell not in again.missing(KEYS))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["study.corrupt-1.jsonl", "study.jsonl"]


@given(seeds)
@settings(max_examples=40)
def test_a_flipped_bit_never_gives_a_wrong_result(tmp_path_factory, seed):
    rng = np.random.default_rng(seed)
    path = filled(tmp_path_factory.mktemp("flip") / "study.jsonl")
    content = bytearray(path.read_bytes())
    content[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))
    path.write_bytes(bytes(content))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cells = Cells(path)
    missing = cells.missing(KEYS)
    assert len(missing) <= 2, "a flipped line end joins two lines"
    assert len(cells) == len(PAIRS) - len(missing)
    assert bool(missing) <= bool(caught), "a cell that is gone is reported"
    assert all(cells.get(cell) == result for cell, result in PAIRS if cell not in missing)


def test_a_file_of_garbage_only_is_set_aside_and_the_study_begins_anew(tmp_path):
    path = tmp_path / "study.jsonl"
    path.write_bytes(bytes(range(256)) * 3)
    with pytest.warns(CorruptCellsWarning, match=r"0 intact cells are kept"):
        cells = Cells(path)
    assert cells.missing(KEYS) == KEYS
    assert (tmp_path / "study.corrupt-1.jsonl").read_bytes() == bytes(range(256)) * 3
    cells.add(PAIRS)
    assert loaded(path).missing(KEYS) == []


def test_the_second_damaged_file_does_not_overwrite_the_first(tmp_path):
    path = filled(tmp_path / "study.jsonl")
    asides = []
    for n in (1, 2, 3):
        damaged = path.read_bytes()[:-5] + b"#" * n
        path.write_bytes(damaged)
        with pytest.warns(CorruptCellsWarning, match=rf"study\.corrupt-{n}\.jsonl"):
            Cells(path)
        asides.append(damaged)
        assert [(tmp_path / f"study.corrupt-{k + 1}.jsonl").read_bytes() for k in range(n)] == asides
        assert len(loaded(path)) == len(PAIRS) - n


def test_intact_cells_stay_where_the_warning_is_an_error(tmp_path):
    """With python -W error the warning is raised; what it says is kept must be kept nonetheless."""
    path = filled(tmp_path / "study.jsonl")
    path.write_bytes(path.read_bytes()[:-5])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(CorruptCellsWarning, match=r"5 intact cells are kept"):
            Cells(path)
    assert loaded(path).missing(KEYS) == [KEYS[5]]


def test_a_kill_while_a_damaged_file_is_set_aside_loses_no_intact_cell(tmp_path, monkeypatch):
    """After every step that changes the folder, whoever starts then finds the five intact cells again."""
    path = filled(tmp_path / "study.jsonl")
    path.write_bytes(path.read_bytes()[:-5])
    states = []

    def snapshot(function):
        def wrapped(*arguments, **options):
            result = function(*arguments, **options)
            copy = tmp_path / f"state {len(states)}"
            copy.mkdir()
            for file in tmp_path.glob("*.jsonl"):
                shutil.copyfile(file, copy / file.name)
            states.append(copy)
            return result

        return wrapped

    with monkeypatch.context() as watched:
        watched.setattr(os, "replace", snapshot(os.replace))
        watched.setattr(os, "rename", snapshot(os.rename))
        watched.setattr(os, "link", snapshot(os.link))
        with pytest.warns(CorruptCellsWarning):
            Cells(path)
    assert states
    for copy in states:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CorruptCellsWarning)
            assert Cells(copy / "study.jsonl").missing(KEYS) == [KEYS[5]], copy.name


# ---------------------------------------------------------------- a real kill

KILL_WHILE_ADDING = """
import os, signal, sys, time, warnings
from pathlib import Path
from studies.harness import Cells

warnings.simplefilter("error")
path, rounds, pairs = Path(sys.argv[1]), int(sys.argv[2]), 0
Cells(path).add([({"ballast": i}, {"text": "x" * 2_000_000}) for i in range(4)])
for round in range(rounds):
    told, tell = os.pipe()
    child = os.fork()
    if not child:
        os.close(told)
        cells = Cells(path)
        for n in range(pairs, 10**9):
            cells.add([({"n": n, "half": half}, {"mse": n / 7}) for half in (0, 1)])
            os.write(tell, b".")
    os.close(tell)
    assert os.read(told, 1) == b"."
    began = time.perf_counter()
    assert os.read(told, 1) == b"."
    until = time.perf_counter() + (time.perf_counter() - began) * (round + 0.5) / rounds
    while time.perf_counter() < until:
        pass
    os.kill(child, signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    acknowledged = pairs + 2 + len(os.read(told, 10_000))
    os.close(told)
    pairs, half = divmod(len(Cells(path)) - 4, 2)
    assert not half, "one of two cells that were added together"
    assert acknowledged <= pairs <= acknowledged + 1, (acknowledged, pairs)
print(pairs)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
def test_after_sigkill_every_stored_cell_is_there_and_none_is_torn(tmp_path):
    """One study is killed 16 times, at 16 moments spread over adding the next pair of cells, and goes on.

    The 8 MB that it has already make writing the longest part of adding, so that many kills fall into it.
    """
    path = tmp_path / "study.jsonl"
    finished = subprocess.run(
        [sys.executable, "-c", KILL_WHILE_ADDING, str(path), "16"],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert finished.returncode == 0, finished.stderr
    cells = loaded(path)
    pairs = int(finished.stdout)
    assert pairs >= 32
    assert len(cells) == 4 + 2 * pairs
    for n in range(pairs):
        assert cells.get({"n": n, "half": 0}) == cells.get({"n": n, "half": 1}) == {"mse": n / 7}
    assert not list(tmp_path.glob("*corrupt*"))


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_a_killed_study_goes_on_where_it_stopped(tmp_path):
    path = tmp_path / "runs" / "study.jsonl"
    code = (
        "import sys; from pathlib import Path; from studies.harness import Cells\n"
        "cells = Cells(Path(sys.argv[1]))\n"
        "for seed in range(10**9):\n"
        "    cells.add([({'seed': seed}, {'mse': seed / 7})])\n"
        "    print(seed, flush=True)\n"
    )
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        seen = [int(process.stdout.readline()) for _ in range(5)]
        process.kill()
        process.stdout.read()
    assert process.returncode == -signal.SIGKILL
    assert seen == [0, 1, 2, 3, 4]
    cells = loaded(path)
    n = len(cells)
    assert n >= 5
    assert cells.missing({"seed": seed} for seed in range(n + 2)) == [{"seed": n}, {"seed": n + 1}]
    assert all(cells.get({"seed": seed}) == {"mse": seed / 7} for seed in range(n))
    cells.add([({"seed": n}, {"mse": 0.0})])
    assert len(loaded(path)) == n + 1


# ---------------------------------------------------------------- files


def failing_replace(source, target):
    raise OSError("disk full")


def test_write_atomic_makes_folders_replaces_content_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "a" / "b" / "rows.csv"
    harness.write_atomic(path, b"old")
    harness.write_atomic(path, b"n\x00w")
    assert path.read_bytes() == b"n\x00w"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("step", ["replace", "fsync"])
def test_write_atomic_keeps_the_old_content_when_it_fails(tmp_path, monkeypatch, step):
    path = tmp_path / "rows.csv"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, step, lambda *_: failing_replace(None, None))
    with pytest.raises(OSError, match="disk full"):
        harness.write_atomic(path, b"new")
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
    harness.write_atomic(path, b"n" * 100_000)
    kinds = [event[0] for event in events]
    assert kinds.index("sync") < kinds.index("replace")
    assert kinds.count("replace") == 1
    upto = kinds.index("replace") + 1
    assert {event[1:] for event in events[:upto]} == {(100_000, b"old")}


def test_csv_header_is_the_union_of_entries_in_order_of_appearance(tmp_path):
    path = tmp_path / "rows.csv"
    harness.write_csv(
        path, [{"arm": "x", "error": 0.1}, {"arm": 'a,"b"\nθ', "again": 3}, {"error": None, "arm": ""}]
    )
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
    harness.write_csv(path, [{f"c{j}": row[j] for j in range(width)} for row in numbers])
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
    harness.write_json(path, value)
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
    harness.write_json(path, "old")
    with pytest.raises(error, match=message):
        harness.write_json(path, value)
    assert json.loads(path.read_text()) == "old"
    assert list(tmp_path.iterdir()) == [path]


# ---------------------------------------------------------------- intervals


@given(seeds, st.integers(2, 40))
def test_mean_interval_is_students(seed, n):
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(n) * 10.0 ** rng.integers(-6, 6) + rng.integers(-3, 4)
    got = harness.mean_interval(values)
    low, high = stats.t.interval(0.95, n - 1, loc=np.mean(values), scale=stats.sem(values))
    assert_allclose_report(
        [got.estimate, got.low, got.high], [np.mean(values), low, high], rtol=1e-9, atol=1e-12
    )
    assert got.n == n
    assert harness.mean_interval(values.tolist()) == got


def test_mean_interval_covers_the_mean_as_often_as_it_says():
    # binomial(3000, 0.95) differs from 2850 by 54 or more with probability 1.1e-5; the normal quantile 1.96
    # in place of Student's covers 85.5% at n = 4, which is 285 fewer
    rng = np.random.default_rng(0)
    intervals = [harness.mean_interval(values) for values in 2.0 + 3.0 * rng.standard_normal((3000, 4))]
    covered = sum(not interval.excludes(2.0) for interval in intervals)
    assert abs(covered - 2850) < 54


def test_interval_excludes_what_lies_outside_and_keeps_its_ends():
    interval = Interval(1.0, 0.5, 2.0, 3)
    answers = {0.49: True, 0.5: False, 1.0: False, 2.0: False, 2.01: True, -1.0: True}
    assert {value: interval.excludes(value) for value in answers} == answers
    assert interval.excludes(float("nan")), "nothing is claimed about what is not a number"
    assert str(Interval(0.123456, -1.0, 12345.6, 3)) == "0.1235 [-1, 1.235e+04]"


@given(seeds, st.integers(2, 20))
def test_paired_difference_is_the_interval_of_differences(seed, n):
    rng = np.random.default_rng(seed)
    treated, control = rng.standard_normal((2, n))
    got = harness.paired_difference(treated, control)
    differences = np.array([t - c for t, c in zip(treated, control, strict=True)])
    low, high = stats.t.interval(0.95, n - 1, loc=differences.mean(), scale=stats.sem(differences))
    assert_allclose_report(
        [got.estimate, got.low, got.high], [differences.mean(), low, high], rtol=1e-9, atol=1e-12
    )
    swapped = harness.paired_difference(control, treated)
    assert_allclose_report(
        [swapped.estimate, swapped.low, swapped.high], [-got.estimate, -got.high, -got.low], atol=1e-14
    )


@given(seeds, st.integers(2, 20))
def test_paired_ratio_does_not_depend_on_the_scale_of_each_repetition(seed, n):
    rng = np.random.default_rng(seed)
    treated, control = np.exp(rng.standard_normal((2, n)))
    scale = 10.0 ** rng.uniform(-6, 6, n)
    got = harness.paired_ratio(treated, control)
    again = harness.paired_ratio(scale * treated, scale * control)
    assert_allclose_report(
        [again.estimate, again.low, again.high], [got.estimate, got.low, got.high], rtol=1e-9
    )
    assert_allclose_report(got.estimate, np.prod(treated / control) ** (1 / n))
    inverse = harness.paired_ratio(control, treated)
    assert_allclose_report(
        [inverse.estimate, inverse.low, inverse.high], [1 / got.estimate, 1 / got.high, 1 / got.low]
    )
    assert got.n == n


@given(seeds, st.integers(2, 20))
def test_geometric_interval_is_the_t_interval_of_logarithms_in_any_unit(seed, n):
    rng = np.random.default_rng(seed)
    logs = rng.standard_normal(n)
    unit = 10.0 ** rng.integers(-9, 10)
    got = harness.geometric_interval(unit * np.exp(logs))
    low, high = stats.t.interval(0.95, n - 1, loc=logs.mean(), scale=stats.sem(logs))
    assert_allclose_report(
        [got.estimate, got.low, got.high], unit * np.exp([logs.mean(), low, high]), rtol=1e-8
    )
    assert got.n == n


def test_paired_ratio_is_the_t_interval_of_logarithms():
    got = harness.paired_ratio([1.0, np.e, np.e**2], [1.0, 1.0, 1.0])
    low, high = stats.t.interval(0.95, 2, loc=1.0, scale=1 / np.sqrt(3))
    assert_allclose_report([got.estimate, got.low, got.high], np.exp([1.0, low, high]))


@given(seeds)
@settings(max_examples=30)
def test_pairing_is_narrower_where_repetitions_share_their_difficulty(seed):
    """Values share all but a hundredth of their variance: the paired interval is a tenth as wide as a rule.

    To fail takes a ratio of two sample variances on 29 degrees of freedom above 24, probability 1.2e-13 in
    each example.
    """
    rng = np.random.default_rng(seed)
    difficulty = 10.0 * rng.standard_normal(30)
    treated, control = difficulty + rng.standard_normal((2, 30))
    paired = harness.paired_difference(treated, control)
    unpaired = stats.ttest_ind(treated, control, equal_var=False).confidence_interval(0.95)
    assert paired.high - paired.low < 0.5 * (unpaired.high - unpaired.low)
    ratio = harness.paired_ratio(np.exp(treated), np.exp(control))
    assert np.log(ratio.high / ratio.low) < 0.5 * (unpaired.high - unpaired.low)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: harness.mean_interval([1.0]), r"at least two repetitions, got shape \(1,\); raise --seeds"),
        (lambda: harness.mean_interval([]), r"at least two repetitions, got shape \(0,\)"),
        (lambda: harness.mean_interval(1.0), r"at least two repetitions, got shape \(\)"),
        (lambda: harness.mean_interval(np.ones((3, 2))), r"at least two repetitions, got shape \(3, 2\)"),
        (lambda: harness.mean_interval([1.0, np.nan, 2.0]), r"repetition 1 is nan, not finite"),
        (lambda: harness.mean_interval([1.0, 2.0, -np.inf]), r"repetition 2 is -inf, not finite"),
        (
            lambda: harness.paired_difference([1.0, 2.0], [1.0, 2.0, 3.0]),
            r"paired values must match one to one, got shapes \(2,\) and \(3,\)",
        ),
        (
            lambda: harness.paired_difference([1.0, 2.0], [1.0]),
            r"must match one to one, got shapes \(2,\) and \(1,\)",
        ),
        (
            lambda: harness.paired_ratio([1.0, 2.0], [1.0]),
            r"must match one to one, got shapes \(2,\) and \(1,\)",
        ),
        (
            lambda: harness.paired_ratio([1.0, 0.0], [1.0, 1.0]),
            r"treated: a ratio on the log scale needs positive values, got 0\.0",
        ),
        (
            lambda: harness.paired_ratio([1.0, 2.0], [1.0, -3.0]),
            r"control: a ratio on the log scale needs positive values, got -3\.0",
        ),
        (
            lambda: harness.paired_ratio([1.0, np.nan], [1.0, 1.0]),
            r"treated: a ratio .* positive values, got nan",
        ),
        (lambda: harness.paired_ratio([1.0, np.inf], [1.0, 1.0]), r"treated: .* got inf"),
        (lambda: harness.paired_ratio([1.0, 2.0], [1.0, np.inf]), r"control: .* got inf"),
        (
            lambda: harness.geometric_interval([1.0, -2.0, 0.0]),
            r"an interval on the log scale needs positive values, got -2\.0",
        ),
        (lambda: harness.geometric_interval([1.0, np.nan]), r"needs positive values, got nan"),
        (lambda: harness.geometric_interval([1.0, np.inf]), r"repetition 1 is inf, not finite"),
        (lambda: harness.geometric_interval([1.0]), r"at least two repetitions, got shape \(1,\)"),
        (lambda: harness.paired_ratio([1.0], [1.0]), r"at least two repetitions, got shape \(1,\)"),
    ],
)
def test_intervals_say_what_is_wrong_with_the_repetitions(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# ---------------------------------------------------------------- tables and figures


@given(seeds, st.integers(1, 5), st.integers(0, 6))
def test_table_columns_are_aligned_and_hold_the_cells(seed, width, n):
    rng = np.random.default_rng(seed)
    words = ["", "x", "x + y", "a longer arm", "θ", "0.25"]
    rows = [[words[i] for i in rng.integers(0, len(words), width)] for _ in range(n)]
    header = [words[1 + i] for i in rng.integers(0, len(words) - 1, width)]
    lines = harness.table(header, rows).split("\n")
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
    rows = [[1, None, harness.mean_interval([1.0, 2.0, 3.0])], (np.float64(0.5), Path("a"), True)]
    assert harness.table(("n", "what", "mse"), iter(rows)).split("\n") == [
        "n    what  mse",
        "---  ----  ------------------",
        "1    None  2 [-0.4841, 4.484]",
        "0.5  a     True",
    ]


def pixels(**style):
    """What a reader sees of a curve in black."""
    figure, axes = plt.subplots(figsize=(2, 1), dpi=100)
    axes.plot([0, 1, 2], [0, 1, 0], **style | {"color": "black"})
    figure.canvas.draw()
    picture = bytes(figure.canvas.buffer_rgba())
    plt.close(figure)
    return picture


def test_first_seven_line_styles_differ_in_marker_and_in_dash():
    styles = [harness.line_style(i) for i in range(7)]
    assert len({pixels(**style | {"marker": ""}) for style in styles}) == 7
    assert len({pixels(**style | {"linestyle": ""}) for style in styles}) == 7
    assert len({style["color"] for style in styles}) == 7
    assert harness.line_style(7) == styles[0], "then they repeat"


def test_figure_style_holds_inside_and_restores_every_setting():
    before = dict(mpl.rcParams)
    with mpl.rc_context({"font.size": 23.0}):
        with harness.figure_style():
            assert mpl.rcParams["font.size"] != 23.0
            assert not mpl.rcParams["axes.spines.top"]
            assert mpl.rcParams["figure.constrained_layout.use"]
        assert mpl.rcParams["font.size"] == 23.0
    assert dict(mpl.rcParams) == before

    def fails():
        with harness.figure_style():
            raise RuntimeError("while drawing")

    with pytest.raises(RuntimeError, match="while drawing"):
        fails()
    assert dict(mpl.rcParams) == before


def simple_figure():
    figure, axes = plt.subplots(figsize=(2, 1), dpi=100)
    axes.plot([0, 1], [1, 0], **harness.line_style(1))
    return figure


def test_save_figure_writes_png_closes_the_figure_and_says_nothing_of_the_software(tmp_path):
    path = tmp_path / "made" / "figure.png"
    figure = simple_figure()
    others = [n for n in plt.get_fignums() if n != figure.number]
    with harness.figure_style():
        harness.save_figure(figure, path)
    assert plt.get_fignums() == others
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert b"Matplotlib" not in path.read_bytes()
    picture = plt.imread(path)
    assert picture.shape[:2] == (200, 400), "2 x 1 inches at 200 dots"
    assert picture.std() > 0
    assert list(path.parent.iterdir()) == [path]


def test_the_same_figure_is_the_same_file(tmp_path):
    for name in ("one.png", "two.png"):
        harness.save_figure(simple_figure(), tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_save_figure_keeps_the_old_picture_when_drawing_fails(tmp_path, monkeypatch):
    path = tmp_path / "figure.png"
    path.write_bytes(b"old")
    figure = simple_figure()
    monkeypatch.setattr(figure, "savefig", lambda *_, **__: failing_replace(None, None))
    with pytest.raises(OSError, match="disk full"):
        harness.save_figure(figure, path)
    plt.close(figure)
    assert path.read_bytes() == b"old"


def test_unfinished_cells_come_once_and_in_order(tmp_path):
    cells = [
        SimpleNamespace(key={"seed": seed}, name=name)
        for seed, name in ((2, "a"), (1, "b"), (2, "c"), (3, "d"))
    ]
    store = harness.Cells(tmp_path / "cells.jsonl")
    assert [cell.name for cell in store.unfinished(cells)] == ["c", "b", "d"]
    store.add([({"seed": 1}, {})])
    assert [cell.key["seed"] for cell in store.unfinished(cells)] == [2, 3]


def test_command_in_provenance_has_no_folders(monkeypatch):
    monkeypatch.setattr(
        "sys.argv", ["a/study.py", "--quick", "--out", "x", "--seeds", "3", "--runs=y", "--device", "cpu"]
    )
    assert harness.provenance(config={}, seconds=0.0)["command"] == "study.py --quick --seeds 3"


# ---------------------------------------------------------------- provenance, options, progress


@pytest.fixture
def plain_git(tmp_path, monkeypatch):
    """Git as on a fresh machine, blind to repositories around the temporary folder."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.resolve().parent))
    monkeypatch.setattr(harness, "ROOT", tmp_path)

    def git(*arguments):
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        command = ["git", "-C", str(tmp_path), *who, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    return git


def test_provenance_names_settings_versions_device_and_command(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/somewhere/study.py", "--quick", "--seeds", "3"])
    got = harness.provenance(config={"steps": 100}, seconds=12.34)
    assert got["command"] == "study.py --quick --seeds 3"
    assert got["config"] == {"steps": 100}
    assert got["wall_seconds"] == 12.3
    assert got["versions"]["numpy"] == np.__version__
    assert got["versions"]["matplotlib"] == mpl.__version__
    assert {"fisherkit", "scipy"} <= set(got["versions"])
    assert got["python"] == ".".join(map(str, sys.version_info[:3]))
    assert re.fullmatch(r"cpu \(\w+, \d+ cores\)", got["device"])
    assert json.loads(json.dumps(got)) == got, "plain enough for the summary file"


def test_provenance_leaves_out_packages_that_are_not_installed(monkeypatch):
    real = harness.metadata.version

    def version(package):
        if package == "torch":
            raise harness.metadata.PackageNotFoundError(package)
        return real(package)

    monkeypatch.setattr(harness.metadata, "version", version)
    versions = harness.provenance(config={}, seconds=0.0)["versions"]
    assert "torch" not in versions
    assert {"numpy", "matplotlib"} <= set(versions)


def test_provenance_names_the_graphics_card(monkeypatch):
    cuda = SimpleNamespace(get_device_name=lambda device: f"Card behind {device}")
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    assert (
        harness.provenance(config={}, seconds=0.0, device="cuda:1")["device"] == "cuda:1 (Card behind cuda:1)"
    )


def test_revision_is_none_outside_a_repository(plain_git):
    assert harness.provenance(config={}, seconds=0.0)["revision"] is None


def test_revision_is_none_without_git(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert harness.provenance(config={}, seconds=0.0)["revision"] is None


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_revision_is_the_commit_and_a_plus_says_that_files_differ(plain_git, tmp_path):
    plain_git("init", "--quiet")
    (tmp_path / "a.py").write_text("1\n")
    plain_git("add", "a.py")
    plain_git("commit", "--quiet", "--message", "one")
    head = plain_git("rev-parse", "HEAD")
    assert harness.provenance(config={}, seconds=0.0)["revision"] == head
    (tmp_path / "a.py").write_text("2\n")
    assert harness.provenance(config={}, seconds=0.0)["revision"] == head + "+"
    plain_git("add", "a.py")
    assert harness.provenance(config={}, seconds=0.0)["revision"] == head + "+", "staged is changed too"


def test_parser_defaults_are_a_full_run_into_the_project_folders():
    options = harness.parser("A study.", seeds=8).parse_args([])
    assert vars(options) == {
        "quick": False,
        "seeds": None,
        "out": ROOT / "paper_figures",
        "runs": ROOT / "runs",
    }
    assert harness.parser(None, seeds=8, device=True).parse_args([]).device == "cpu"


def test_options_that_a_study_does_not_read_are_refused(capsys):
    made = harness.parser("A study without repetitions.")
    assert set(vars(made.parse_args([]))) == {"quick", "out"}
    for words in (["--seeds", "3"], ["--seed", "3"], ["--runs", "r"], ["--device", "cuda"]):
        with pytest.raises(SystemExit, match="2"):
            made.parse_args(words)
        assert "unrecognized arguments" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):  # no guessing from abbreviations
        harness.parser("A study.", seeds=8).parse_args(["--seed", "3"])
    assert "unrecognized arguments: --seed" in capsys.readouterr().err


def test_a_quick_run_never_replaces_the_figures_of_a_full_one():
    made = harness.parser("A study.", seeds=8)
    assert made.parse_args(["--quick"]).out == ROOT / "paper_figures" / "quick"
    for words in (["--quick", "--out", "here"], ["--out", "here", "--quick"]):
        assert made.parse_args(words).out == Path("here")
    assert made.parse_args([]).out == ROOT / "paper_figures"


def test_parser_reads_every_option_and_shows_the_docstring_as_it_is(capsys):
    made = harness.parser("First line.\n\n    x   100% of it", seeds=8, device=True)
    words = ["--quick", "--seeds", "3", "--out", "o", "--runs", "r/s", "--device", "cuda:1"]
    assert vars(made.parse_args(words)) == {
        "quick": True,
        "seeds": 3,
        "out": Path("o"),
        "runs": Path("r/s"),
        "device": "cuda:1",
    }
    text = made.format_help()
    assert "First line.\n\n    x   100% of it" in text
    assert "(default 8)" in text
    with pytest.raises(SystemExit):
        harness.parser(None, seeds=8).parse_args(["--device", "cuda"])
    assert "unrecognized arguments: --device" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        made.parse_args(["--seeds", "many"])
    assert "invalid int value: 'many'" in capsys.readouterr().err


def test_progress_bar_counts_and_says_little_where_nobody_watches(capsys):
    with harness.progress_bar(5000, " run-steps") as bar:
        for _ in range(2500):
            bar.update(2)
        assert bar.n == bar.total == 5000
        assert bar.mininterval >= 10, "seconds between lines of a log file"
    printed = capsys.readouterr()
    assert printed.out == ""
    assert " run-steps" in printed.err
    assert "100%" in printed.err
    assert len(re.split(r"[\r\n]+", printed.err.strip())) <= 4, "begin, end, hardly anything between"


def test_progress_bar_is_redrawn_soon_where_somebody_watches(monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    with harness.progress_bar(10, " cells") as bar:
        bar.update(10)
        assert bar.mininterval <= 1
    assert "10.0/10.0" in terminal.getvalue()


def test_two_studies_keep_each_others_cells(tmp_path):
    path = tmp_path / "study.jsonl"
    Cells(path).add([({"seed": 0}, {"mse": 0.0})])
    one, other = Cells(path), Cells(path)
    one.add([({"seed": 1}, {"mse": 1.0})])
    other.add([({"seed": 2}, {"mse": 2.0})])
    one.add([({"seed": 3}, {"mse": 3.0})])
    again = Cells(path)
    assert [again.get({"seed": s})["mse"] for s in range(4)] == [0.0, 1.0, 2.0, 3.0]
    assert one.get({"seed": 2}) == {"mse": 2.0}


def test_device_that_is_not_there_is_refused():
    for name in ("nowhere", "meta"):
        with pytest.raises(ValueError, match=f"--device {name}: "):
            harness.check_device(name)


@pytest.mark.parametrize("error", [ValueError("--set: no"), FileNotFoundError(2, "gone", "a.npz")])
def test_what_a_check_says_is_a_usage_error(error, capsys):
    with pytest.raises(SystemExit) as status, harness.usage_errors(argparse.ArgumentParser("study")):
        raise error
    assert status.value.code == 2
    assert capsys.readouterr().err.endswith(f"study: error: {error}\n")


def test_unknown_names_are_usage_errors_with_the_close_matches(capsys):
    with pytest.raises(SystemExit), harness.usage_errors(argparse.ArgumentParser("study")):
        raise UnknownNameError("glyhps", ["glyphs"], "data set")
    assert "unknown data set 'glyhps'; did you mean 'glyphs'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error", [KeyError("seeds"), TypeError("float"), RuntimeError("shape"), AssertionError()]
)
def test_faults_of_the_program_are_no_usage_errors(error):
    with pytest.raises(type(error)), harness.usage_errors(argparse.ArgumentParser("study")):
        raise error
