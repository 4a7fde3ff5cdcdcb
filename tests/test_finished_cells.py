"""Finished cells of studies: keys, resuming, damage, kills."""

import os
import re
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neural.results.cells import Cells, CorruptCellsWarning, cell_key
from tests.strategies import seeds
from tests.study_helpers import failing_replace

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
    assert cell_key(shuffled(rng, cell)) == cell_key(cell)
    assert re.fullmatch(r"[0-9a-f]{16}", cell_key(cell))


@given(seeds, st.integers(1, 8))
def test_cell_key_changes_with_every_setting(seed, n):
    rng = np.random.default_rng(seed)
    cell = random_cell(rng, n)
    changed = [cell | {name: "another"} for name in cell]
    renamed = [{("renamed" if other == name else other): cell[other] for other in cell} for name in cell]
    dropped = [{other: cell[other] for other in cell if other != name} for name in cell]
    keys = {cell_key(c) for c in [cell, cell | {"more": None}, *changed, *renamed, *dropped]}
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
    assert cell_key(one) != cell_key(other)


def test_cell_key_is_the_same_in_another_process():
    """A key that depends on the process, as str.__hash__ does, would find no finished cell again."""
    code = (
        "from neural.results.cells import cell_key; print(cell_key({'arm': 'x', 'lr': 0.1, 'steps': [1, 2]}))"
    )
    environment = os.environ | {"PYTHONHASHSEED": "12345"}
    finished = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert finished.stdout.strip() == cell_key({"steps": [1, 2], "lr": 0.1, "arm": "x"})


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
        cell_key(cell)


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
from neural.results.cells import Cells

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
        "import sys; from pathlib import Path; from neural.results.cells import Cells\n"
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


def test_unfinished_cells_come_once_and_in_order(tmp_path):
    cells = [
        SimpleNamespace(key={"seed": seed}, name=name)
        for seed, name in ((2, "a"), (1, "b"), (2, "c"), (3, "d"))
    ]
    store = Cells(tmp_path / "cells.jsonl")
    assert [cell.name for cell in store.unfinished(cells)] == ["c", "b", "d"]
    store.add([({"seed": 1}, {})])
    assert [cell.key["seed"] for cell in store.unfinished(cells)] == [2, 3]


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
