"""Files of our own: those that earlier versions wrote are read still, damage to any is noticed."""

import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neural.embed.cache import features
from neural.embed.shards import Shard, read_shard, write_shard
from neural.results.cells import Cells
from neural.store.array_cache import ArrayCache
from neural.store.safe_file import DAMAGE, CorruptCacheWarning, read_whole, unpack, write_arrays
from tests.test_checkpoints import Training
from tests.test_feature_cache import Counting, vectors, words
from tests.test_finished_cells import PAIRS

EARLIER = Path(__file__).resolve().parent / "earlier_files"  # each was written by the code before `safe_file`


@pytest.fixture
def earlier(tmp_path):
    """A copy: nothing may be set aside in the original, and nothing may complain."""
    shutil.copytree(EARLIER, tmp_path / "earlier")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield tmp_path / "earlier"


def test_arrays_of_earlier_versions_are_found(earlier):
    kept = ArrayCache(earlier).get(
        "squares", {"of": ["x", None], "n": 3}, lambda: pytest.fail("computed again")
    )
    assert {name: array.tolist() for name, array in kept.items()} == {
        "x": [0, 1, 4],
        "y": [[0.5, 0.5], [0.5, 0.5]],
        "z": [True],
    }


def test_a_training_goes_on_from_a_checkpoint_of_earlier_versions(earlier):
    again = Training(earlier / "checkpoint.safetensors")
    assert again.keep.restore()[0] == 5
    assert torch.allclose(again.weights(), Training(None).run(5).weights())


def test_features_of_earlier_versions_are_not_encoded_again(earlier):
    made = Counting()
    np.testing.assert_array_equal(
        features(made.encoder, words(3), cache=earlier / "features"), vectors(words(3))
    )
    assert not made.asked
    shard = read_shard((earlier / "tokens.safetensors").read_bytes(), "key")
    assert [rows.tolist() for rows in shard.rows()] == [[[0, 1]], [[2, 3], [4, 5]]]
    assert shard.lengths.tolist() == [1, 2]


def test_finished_cells_of_earlier_versions_are_read(earlier):
    cells = Cells(earlier / "cells.jsonl")
    assert [cells.get(cell) for cell, _ in PAIRS] == [result for _, result in PAIRS]
    cells.add([])
    assert (earlier / "cells.jsonl").read_bytes() == (EARLIER / "cells.jsonl").read_bytes()


@given(st.integers(1, 30), st.integers(0, 7))
def test_changed_numbers_in_an_earlier_shard_are_noticed(back, bit):
    content = bytearray((EARLIER / "tokens.safetensors").read_bytes())
    content[-back] ^= 1 << bit
    with pytest.raises(ValueError, match="checksum does not match"):
        read_shard(bytes(content), "key")


@given(st.data())
def test_any_changed_bit_is_noticed(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    tensors = data.draw(st.booleans())
    arrays = {"x": np.arange(3), "none": np.zeros((0, 2)), "one": np.float32(3), "yes": np.array([True])}
    made = {name: torch.tensor(array) if tensors else np.asarray(array) for name, array in arrays.items()}
    write_arrays(path, made, {"note": "text"})
    content = bytearray(path.read_bytes())
    held, header = unpack(bytes(content), tensors=tensors)
    assert {name: np.asarray(array).tolist() for name, array in held.items()} == {
        name: array.tolist() for name, array in arrays.items()
    }
    assert header["note"] == "text"
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        damaged, _ = unpack(bytes(content), tensors=tensors)
    except DAMAGE:
        return
    assert {name: np.asarray(array).tolist() for name, array in damaged.items()} == {
        name: array.tolist() for name, array in arrays.items()
    }, "only blanks of the header may change"


def test_a_shard_whose_header_was_changed_is_noticed(tmp_path):
    path = tmp_path / "shard.safetensors"
    write_shard(path, Shard(np.zeros((1, 16), np.uint8), np.ones((1, 2), np.float32)), "key")
    with pytest.raises(ValueError, match="checksum does not match"):
        read_shard(path.read_bytes().replace(b'"F32"', b'"I32"'), "key")


@pytest.mark.parametrize("move", [False, True])
def test_damaged_files_are_kept_aside(tmp_path, move):
    path = tmp_path / "x.bin"

    def read(content):
        return content.decode("ascii")

    assert read_whole(path, read, "this file is damaged", "", move=move) is None
    path.write_bytes(b"sound")
    assert read_whole(path, read, "this file is damaged", "", move=move) == "sound"
    path.write_bytes(b"\xff")
    with pytest.warns(
        CorruptCacheWarning, match=r"x\.bin: this file is damaged \(.*kept as x\.corrupt-1\.bin and more"
    ):
        assert read_whole(path, read, "this file is damaged", " and more", move=move) is None
    assert path.exists() is not move
    assert (tmp_path / "x.corrupt-1.bin").read_bytes() == b"\xff"
