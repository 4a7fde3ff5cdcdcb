"""Odd inputs: what users hand over by mistake, each made anew on demand, by name."""

import datetime
import decimal
import fractions
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse

try:
    import torch
except ImportError:  # the torch kinds are left out then
    torch = None
try:
    import pandas as pd
except ImportError:
    pd = None


class Unreadable:
    """An array-like that fails when it is read."""

    def __array__(self, *_args, **_kwargs):
        raise RuntimeError("unreadable")


class OnlyFloat:
    """A number to Python, an object to NumPy."""

    def __float__(self):
        return 0.5


SINGLE = {  # no numbers, or one
    "None": lambda: None,
    "Ellipsis": lambda: ...,
    "NotImplemented": lambda: NotImplemented,
    "object": object,
    "unreadable": Unreadable,
    "only float": OnlyFloat,
    "class": lambda: int,
    "function": lambda: len,
    "module": lambda: np,
    "exception": lambda: ValueError("x"),
    "slice": lambda: slice(None),
    "slice of text": lambda: slice("a", "b"),
    "text": lambda: "1",
    "word": lambda: "imgae",
    "empty text": lambda: "",
    "bytes": lambda: b"1",
    "bytearray": lambda: bytearray(b"12"),
    "memoryview": lambda: memoryview(b"12"),
    "date": lambda: datetime.date(2020, 1, 1),
    "datetime": lambda: datetime.datetime(2020, 1, 1),
    "timedelta": lambda: datetime.timedelta(1),
    "datetime64": lambda: np.datetime64("2020-01-01"),
    "timedelta64": lambda: np.timedelta64(1, "D"),
    "True": lambda: True,
    "False": lambda: False,
    "np.True_": lambda: np.True_,
    "zero": lambda: 0,
    "minus zero": lambda: -0.0,
    "minus one": lambda: -1,
    "minus half": lambda: -0.5,
    "one": lambda: 1,
    "half": lambda: 0.5,
    "one and a half": lambda: 1.5,
    "two as float": lambda: 2.0,
    "five": lambda: 5,
    "nan": lambda: float("nan"),
    "np.nan": lambda: np.float64("nan"),
    "inf": lambda: float("inf"),
    "-inf": lambda: float("-inf"),
    "tiny": lambda: 1e-320,
    "small": lambda: 1e-200,
    "large": lambda: 1e200,
    "largest": lambda: 1.7e308,
    "2**40": lambda: 2**40,
    "2**53 + 1": lambda: 2**53 + 1,
    "2**64": lambda: 2**64,
    "10**400": lambda: 10**400,
    "-10**400": lambda: -(10**400),
    "complex": lambda: 1j,
    "complex without imaginary part": lambda: 1 + 0j,
    "np.complex128": lambda: np.complex128(1j),
    "float16": lambda: np.float16(0.5),
    "float32": lambda: np.float32(0.1),
    "longdouble": lambda: np.longdouble("0.1"),
    "int8": lambda: np.int8(1),
    "uint64": lambda: np.uint64(2**64 - 1),
    "Fraction": lambda: fractions.Fraction(1, 3),
    "exact Fraction": lambda: fractions.Fraction(1, 2),
    "Decimal": lambda: decimal.Decimal("0.1"),
    "signalling Decimal": lambda: decimal.Decimal("sNaN"),
    "0-d array": lambda: np.array(1.0),
    "0-d text": lambda: np.array("a"),
    "0-d object": lambda: np.array(None),
    "np.ma.masked": lambda: np.ma.masked,
    "np.void": lambda: np.void(b"abcd"),
}
CONTAINERS = {
    "empty list": list,
    "list of empty list": lambda: [[]],
    "empty tuple": tuple,
    "list of None": lambda: [None],
    "list of text": lambda: ["a", "b"],
    "list of numbers as text": lambda: ["1", "2"],
    "list of objects": lambda: [object(), object()],
    "list of complex": lambda: [1j, 2.0],
    "list of bools": lambda: [True, False],
    "list of nan": lambda: [1.0, float("nan")],
    "list of huge ints": lambda: [10**30, 1],
    "list of inexact ints": lambda: [2**53 + 1, 1],
    "list of Fractions": lambda: [fractions.Fraction(1, 3), 1],
    "list of Decimals": lambda: [decimal.Decimal("0.1"), 1],
    "list of dicts": lambda: [{}, {}],
    "list of sets": lambda: [{1}, {2}],
    "list of sparse": lambda: [scipy.sparse.eye(2), scipy.sparse.eye(2)],
    "list of masked": lambda: [np.ma.masked, 1.0],
    "list of masked rows": lambda: [np.ma.masked_array([1.0, 2.0], [0, 1]), np.ones(2)],
    "list of one": lambda: [1.0],
    "list of two": lambda: [1.0, 2.0],
    "ragged": lambda: [[1.0], [1.0, 2.0]],
    "nested ragged": lambda: [[[1.0], [2.0]], [[1.0]]],
    "list of slices": lambda: [slice(None)],
    "deep list": lambda: [[[[[[1.0]]]]]],
    "tuple of two": lambda: (1.0, 2.0),
    "tuple of names": lambda: ("x", "x"),
    "tuple of lists": lambda: ([1], [2]),
    "empty dict": dict,
    "dict": lambda: {"a": 1},
    "dict of names": lambda: {"x": 1, "y": 2},
    "dict of text": lambda: {"x": "1", "y": "2"},
    "dict of None": lambda: {"x": None, "y": None},
    "dict of nan": lambda: {"x": float("nan")},
    "dict of lists": lambda: {"x": [1, 2], "y": [3]},
    "dict of arrays": lambda: {"x": np.ones((2, 2)), "y": np.ones((2, 2))},
    "dict of objects": lambda: {"x": object(), "y": object()},
    "dict of numbers as keys": lambda: {1: 2.0, 2: 1.0},
    "dict of tuples as keys": lambda: {(1, 2): 1.0},
    "set": lambda: {1.0, 2.0},
    "set of names": lambda: {"x", "y"},
    "frozenset": lambda: frozenset([1.0]),
    "range": lambda: range(2),
    "generator": lambda: (x for x in (1.0, 2.0)),
    "iterator": lambda: iter([1.0, 2.0]),
    "map": lambda: map(float, "12"),
    "dict keys": {"x": 1}.keys,
}
ARRAYS = {
    "0 x 0": lambda: np.zeros((0, 0)),
    "0": lambda: np.zeros(0),
    "0 x 2": lambda: np.zeros((0, 2)),
    "2 x 0": lambda: np.zeros((2, 0)),
    "1": lambda: np.ones(1),
    "2": lambda: np.ones(2),
    "3": lambda: np.ones(3),
    "1 x 2": lambda: np.ones((1, 2)),
    "2 x 1": lambda: np.ones((2, 1)),
    "2 x 3": lambda: np.ones((2, 3)),
    "2 x 2 x 2": lambda: np.ones((2, 2, 2)),
    "6 dimensions": lambda: np.ones((1,) * 6),
    "zeros": lambda: np.zeros((2, 2)),
    "zero vector": lambda: np.zeros(2),
    "indefinite": lambda: np.diag([1.0, -1.0]),
    "asymmetric": lambda: np.array([[1.0, 2.0], [0.0, 1.0]]),
    "nan entries": lambda: np.full((2, 2), np.nan),
    "nan vector": lambda: np.full(2, np.nan),
    "infinite entries": lambda: np.full((2, 2), np.inf),
    "largest entries": lambda: 1.7e308 * np.eye(2),
    "tiny entries": lambda: 5e-324 * np.eye(2),
    "complex entries": lambda: 1j * np.eye(2),
    "text entries": lambda: np.array([["a", "b"], ["c", "d"]]),
    "bytes entries": lambda: np.array([b"a", b"b"]),
    "object entries": lambda: np.array([None, object()], dtype=object),
    "Fraction entries": lambda: np.array([[fractions.Fraction(1, 3), 0], [0, 1]], dtype=object),
    "dates": lambda: np.array(["2020-01-01", "2020-01-02"], dtype="datetime64[D]"),
    "records": lambda: np.zeros(2, dtype=[("a", "f8"), ("b", "i4")]),
    "bool entries": lambda: np.eye(2, dtype=bool),
    "int8 entries": lambda: np.eye(2, dtype=np.int8),
    "wide integers": lambda: np.array([[2**62 + 1, 0], [0, 1]]),
    "float16 entries": lambda: np.eye(2, dtype=np.float16),
    "longdouble entries": lambda: np.eye(2, dtype=np.longdouble),
    "big-endian": lambda: np.eye(2, dtype=">f8"),
    "read-only": lambda: np.broadcast_to(1.0, (2, 2)),
    "masked entries": lambda: np.ma.masked_array(np.eye(2), [[0, 1], [0, 0]]),
    "sparse matrix": lambda: scipy.sparse.csr_matrix(np.eye(2)),
    "sparse array": lambda: scipy.sparse.coo_array(np.eye(2)),
}
ODD: dict[str, Callable[[], Any]] = {**SINGLE, **CONTAINERS, **ARRAYS}
if pd is not None:
    ODD |= {
        "DataFrame of text": lambda: pd.DataFrame({"a": ["x", "y"]}),
        "Series with NA": lambda: pd.Series([1, None], dtype="Int64"),
        "pd.NA": lambda: pd.NA,
        "pd.NaT": lambda: pd.NaT,
    }
if torch is not None:
    ODD |= {
        "tensor with grad": lambda: torch.eye(2, requires_grad=True),
        "list of tensors with grad": lambda: [torch.ones(2, requires_grad=True)] * 2,
        "0-d tensor with grad": lambda: torch.tensor(1.0, requires_grad=True),
        "bfloat16 tensor": lambda: torch.eye(2, dtype=torch.bfloat16),
        "list of bfloat16 tensors": lambda: [torch.ones(2, dtype=torch.bfloat16)] * 2,
        "complex tensor": lambda: torch.eye(2, dtype=torch.complex64),
        "sparse tensor": lambda: torch.eye(2).to_sparse(),
        "meta tensor": lambda: torch.empty(2, 2, device="meta"),
    }
