"""Arrays in files of others: what NumPy writes comes back, and damage of any kind is named."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.torch import save_file

from neural.datasets.array_files import as_array, read_npz, read_safetensors, read_torch
from neural.datasets.reading import DatasetError, MissingError

ARRAYS = hnp.arrays(
    st.sampled_from(["?", "i1", "<u4", ">i8", "<f2", ">f4", "f8", "c8", "<U3", "S2"]),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)


@given(array=ARRAYS, fortran=st.booleans(), compressed=st.booleans())
def test_an_npz_holds_what_numpy_finds_in_it(tmp_path_factory, array, fortran, compressed):
    path = tmp_path_factory.getbasetemp() / "a.npz"
    stored = np.asfortranarray(array) if fortran else array
    (np.savez_compressed if compressed else np.savez)(path, **{"x/y": stored, "other": np.array([None])})
    held = read_npz(path, lambda name: name == "x/y")
    with np.load(path) as archive:
        oracle = archive["x/y"]
    assert held.keys() == {"x/y", "other"}
    assert held["other"] is None
    assert (held["x/y"].dtype, held["x/y"].shape) == (oracle.dtype, oracle.shape)
    assert held["x/y"].tobytes() == oracle.tobytes()
    assert held["x/y"].flags.writeable


@given(place=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_a_damaged_npz_never_gives_other_numbers(tmp_path_factory, place, bit):
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    whole = np.random.default_rng(0).integers(0, 9, 200)
    np.savez_compressed(path, x=whole)
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= 1 << bit
    path.write_bytes(content)
    try:
        held = read_npz(path)
    except DatasetError:
        return
    assert [array.tolist() for array in held.values()] == [whole.tolist()]


def test_safetensors_are_arrays_with_what_was_noted(tmp_path):
    path = tmp_path / "a.safetensors"
    save_file({"x": torch.ones(2, dtype=torch.bfloat16), "y": torch.arange(3)}, path, {"n": "7", "bad": "x,"})
    held = read_safetensors(path, lambda name: name == "x", ["n", "not there"])
    assert (held["x"].tolist(), held["x"].dtype, held["y"], held["n"]) == ([1, 1], np.float32, None, 7)
    with pytest.raises(DatasetError, match=r"a\.safetensors: 'bad' in the metadata is not JSON"):
        read_safetensors(path, noted=["bad"])
    assert as_array([1, 2]).tolist() == [1, 2]


@pytest.mark.parametrize("read", [read_npz, read_safetensors, read_torch])
def test_files_that_are_not_there_are_named(tmp_path, read):
    with pytest.raises(MissingError, match="gone: file not found"):
        read(tmp_path / "gone")
    (tmp_path / "folder").mkdir()
    with pytest.raises(DatasetError, match=r"folder: cannot be read"):
        read(tmp_path / "folder")
