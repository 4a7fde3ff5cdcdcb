"""Chunks, memory maps and Parquet files: the numbers of one shot, in the memory of one chunk, or a clear refusal."""

import itertools
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fisherkit as fk
from fisherkit.chunked import Shard, accumulate_chunks, fit_chunks, from_npy, from_parquet
from fisherkit.chunked.merging import MergeTree, merge_all
from fisherkit.chunked.npy_files import NpySource
from fisherkit.statistics import GramStatistics, RootStatistics
from tests.model_strategies import data_sets

BLOCKS = ("shared", "private")


def assert_same_likelihood(one, other, *, method="auto"):
    """Equal information, cross products and residuals up to rounding, and equal counts and noise.

    Residuals from Gram matrices that were not certified lose digits with the square of the condition; they are left
    out for method="gram".
    """
    assert other.counts == one.counts
    assert other.noise_std == one.noise_std
    assert other.noise_key == one.noise_key
    assert list(other.modalities) == list(one.modalities)
    for name in one.modalities:
        a, b = one.modalities[name].root(), other.modalities[name].root()
        assert a.n_obs == b.n_obs
        gram = a.matrix.T @ a.matrix
        size = np.sqrt(np.outer(gram.diagonal(), gram.diagonal()))
        assert (np.abs(gram - b.matrix.T @ b.matrix) <= 1e-11 * size + 1e-300).all()
        scale = a.rss + np.square(a.target).sum()
        gap = a.target @ a.matrix - b.target @ b.matrix
        assert (np.abs(gap) <= 1e-10 * np.sqrt(scale * gram.diagonal()) + 1e-300).all()
        if method != "gram":
            np.testing.assert_allclose(b.own_fit()[1], a.own_fit()[1], atol=1e-10 * scale)


def assert_same_bits(one, other):
    assert other.counts == one.counts
    for name, part in one.modalities.items():
        for field, value in vars(part).items():
            np.testing.assert_array_equal(getattr(other.modalities[name], field), value, strict=True)


def template(model):
    """The same noise and repeated blocks, one block of each per-sample design: what can be declared beforehand."""
    modalities = {}
    for name, modality in model.modalities.items():
        given = {k: getattr(modality, k) for k in (*BLOCKS, "noise_std", "noise_var", "noise_cov")}
        modalities[name] = fk.Modality(**{
            k: v[:1] if k in BLOCKS and v.ndim == 3 else v for k, v in given.items()
        })
    return fk.LinearGaussian(modalities)


def piece(samples, name, part):
    """One modality's samples of a slice as a tuple with the designs that are per sample."""
    blocks = (getattr(samples.model[name], block) for block in BLOCKS)
    return samples[name][part], *(b[: len(samples[name])][part] if b.ndim == 3 else None for b in blocks)


def pieces(samples, name, cuts):
    return [piece(samples, name, slice(a, b)) for a, b in itertools.pairwise(cuts)]


@given(data_sets(), st.randoms(use_true_random=False), st.sampled_from(["auto", "gram", "qr"]))
def test_any_chunking_and_order_equals_one_shot(samples, random, method):
    chunks = []
    for name, x in samples.data.items():
        cuts = sorted({0, len(x), *(random.randint(0, len(x)) for _ in range(3))})
        chunks += [{name: p} for p in pieces(samples, name, cuts)]
    random.shuffle(chunks)
    if len(chunks) > 1 and chunks[0].keys().isdisjoint(chunks[1]):
        chunks[:2] = [{**chunks[0], **chunks[1]}]
    streamed = accumulate_chunks(template(samples.model), iter(chunks), method=method)
    assert_same_likelihood(fk.accumulate(samples, method=method), streamed, method=method)


@given(st.integers(1, 40), st.integers(0, 3))
def test_groups_of_a_power_of_two_merge_to_the_same_bits(n, exponent):
    rng = np.random.default_rng(n)
    kinds = [RootStatistics, GramStatistics]
    parts = []
    for i in range(n):
        model = fk.LinearGaussian({"x": fk.Modality(rng.standard_normal((6, 2, 3)))})
        method = "qr" if i % 3 else "gram"
        parts.append(fk.accumulate(fk.simulate(model, 6, seed=i), method=method).modalities["x"])
        assert isinstance(parts[-1], kinds[method == "gram"])
    size = 2**exponent
    nested = merge_all(merge_all(parts[i : i + size]) for i in range(0, n, size))
    flat = merge_all(parts)
    assert flat.n_samples == 6 * n
    for field, value in vars(flat).items():
        np.testing.assert_array_equal(getattr(nested, field), value, strict=True)


def test_nothing_to_merge_is_refused():
    with pytest.raises(ValueError, match="nothing to merge: no statistics were given"):
        MergeTree().total()


def test_another_modality_does_not_change_a_single_bit():
    model = fk.random_model(2, {"x": 1, "y": 2}, seed=0)
    samples = fk.simulate(model, 50, seed=1)
    x, y = ([{n: samples[n][i : i + 7]} for i in range(0, 50, 7)] for n in ("x", "y"))
    mixed = [c for pair in zip(y, x, strict=True) for c in pair]
    alone, both = accumulate_chunks(model, x), accumulate_chunks(model, mixed)
    assert list(both.modalities) == ["x", "y"]
    assert_same_bits(alone, fk.Statistics(both.layout, {"x": both.modalities["x"]}, {}))


def test_a_weak_direction_of_one_chunk_is_not_hidden_by_the_gram_form_of_another():
    rng = np.random.default_rng(0)
    u, v = (np.linalg.qr(rng.standard_normal((k, 2)))[0] for k in (400, 2))
    strong, weak = np.zeros((100, 4, 4)), np.zeros((100, 4, 4))
    strong[..., :2] = rng.standard_normal((100, 4, 2))
    weak[..., 2:] = (50 * u * [1, 1e-8] @ v.T).reshape(100, 4, 2)
    theta, layout = np.arange(1.0, 5.0), fk.Layout(4, {"x": 0})
    chunks = [{"x": (a @ theta + rng.standard_normal((100, 4)), a)} for a in (strong, weak)]
    kinds = [type(accumulate_chunks(layout, [c]).modalities["x"]) for c in chunks]
    assert kinds == [GramStatistics, RootStatistics]
    for order in (chunks, chunks[::-1]):
        estimate = fit_chunks(layout, order)
        assert estimate.precision.rank == 4
        assert (np.abs(estimate.theta - theta) < 6 * estimate.std_error(np.eye(4))).all()  # false alarm 1e-8


def test_samples_and_layouts_are_taken_too():
    rng = np.random.default_rng(0)
    model = fk.LinearGaussian({
        "x": fk.Modality(rng.standard_normal((30, 4, 2)), rng.standard_normal((30, 4, 1)), noise_std=0.5)
    })
    samples = fk.simulate(model, 30, seed=1)
    whole = fk.accumulate(samples)
    blocks = model["x"].shared, model["x"].private
    parts = [fk.Samples(fk.LinearGaussian({"x": fk.Modality(*(b[s] for b in blocks), noise_std=0.5)}),
                        {"x": samples["x"][s]}) for s in (slice(0, 13), slice(13, 30))]  # fmt: skip
    assert_same_likelihood(whole, accumulate_chunks(model, parts))
    assert_same_likelihood(whole, accumulate_chunks(model.layout, parts))
    tuples = [{"x": piece(samples, "x", s)} for s in (slice(0, 13), slice(13, 30))]
    assert_same_likelihood(whole, accumulate_chunks(model.layout, tuples, noise_std={"x": 0.5}))
    flat = [
        {"x": Shard(x, c.reshape(len(x), 8), s.reshape(len(x), 4))}
        for ((x, c, s),) in map(dict.values, tuples)
    ]
    assert_same_likelihood(whole, accumulate_chunks(model.layout, flat, noise_std={"x": 0.5}))


def test_fit_passes_its_options_on():
    model = fk.random_model(2, {"x": 1, "y": 1}, seed=0, noise_std={"x": 0.3, "y": 2.0})
    samples = fk.simulate(model, 60, seed=1)
    chunks = [{n: samples[n][i : i + 20] for n in ("x", "y")} for i in (0, 20, 40)]
    for how in ({"modalities": ["y"]}, {"noise": "ml"}, {"noise": "dof"}, {"weighting": "unweighted"}):
        estimate, expected = fit_chunks(model, chunks, **how), fk.fit(samples, **how)
        np.testing.assert_allclose(estimate.theta, expected.theta, rtol=1e-9)
        np.testing.assert_allclose(estimate.covariance, expected.covariance, rtol=1e-9)


# ---- files


def example(n=57, m=3, seed=0):
    """Samples with per-sample designs of x, a repeated design of y."""
    rng = np.random.default_rng(seed)
    x = fk.Modality(rng.standard_normal((n, m, 2)), rng.standard_normal((n, m, 1)), noise_std=0.5)
    y = fk.Modality(rng.standard_normal((4, 2)), noise_var=np.arange(1.0, 5.0))
    return fk.simulate(fk.LinearGaussian({"x": x, "y": y}), {"x": n, "y": n + 10}, seed=seed + 1)


def save_npy(folder, samples, convert=np.asarray):
    """Files of `example`; returns what from_npy takes."""
    blocks = {"x": samples["x"], **{b: getattr(samples.model["x"], b) for b in BLOCKS}, "y": samples["y"]}
    for name, block in blocks.items():
        np.save(folder / f"{name}.npy", convert(block))
    return {"x": [folder / f"{name}.npy" for name in ("x", *BLOCKS)], "y": str(folder / "y.npy")}


@pytest.mark.parametrize("chunk_bytes", [1, 700, 1 << 20])
def test_npy_files_equal_one_shot(tmp_path, chunk_bytes):
    samples = example()
    files = from_npy(save_npy(tmp_path, samples), chunk_bytes=chunk_bytes, chunks_per_partition=2)
    assert files.counts == samples.counts
    assert repr(files).startswith("Chunks(x: 57 samples in ")
    declared = template(samples.model)
    streamed = accumulate_chunks(declared, files)
    assert_same_likelihood(fk.accumulate(samples), streamed)
    assert_same_bits(streamed, accumulate_chunks(declared, pickle.loads(pickle.dumps(files))))
    assert_same_likelihood(streamed, accumulate_chunks(declared, iter(files)))
    rows = [len(chunk["x"].observations) for chunk in files if "x" in chunk]
    assert sum(rows) == 57
    assert max(rows) == max(1, min(57, chunk_bytes // (8 * 3 * 4)))


@pytest.mark.parametrize(
    ("convert", "digits"),
    [(np.asfortranarray, 1e-12), (np.float32, 1e-5), (np.float16, 1e-1), (lambda a: a.astype(">f8"), 1e-12)],
    ids=["fortran", "float32", "float16", "big-endian"],
)
def test_npy_files_of_other_types_and_orders(tmp_path, convert, digits):
    samples = example()
    files = from_npy(save_npy(tmp_path, samples, convert), chunk_bytes=200)
    estimate, expected = fit_chunks(template(samples.model), files), fk.fit(samples)
    assert np.abs(estimate.theta - expected.theta).max() <= digits * np.abs(expected.theta).max()


def test_npy_of_scalars_and_flat_designs(tmp_path):
    rng = np.random.default_rng(0)
    design = rng.integers(0, 255, (200, 3), dtype=np.uint8)
    x = design @ [1.0, -2.0, 0.5] + rng.standard_normal(200)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "design.npy", design)
    files = from_npy({"x": (tmp_path / "x.npy", tmp_path / "design.npy", None)}, chunk_bytes=100)
    expected = np.linalg.lstsq(design.astype(float), x, rcond=None)[0]
    np.testing.assert_allclose(fit_chunks(fk.Layout(3, {"x": 0}), files).theta, expected, rtol=1e-10)


def test_files_are_only_mapped_and_never_loaded_whole(tmp_path):
    samples = example()
    for chunk in from_npy(save_npy(tmp_path, samples), chunk_bytes=500):
        for shard in chunk.values():
            for block in shard[:3]:
                assert block is None or isinstance(block.base, np.memmap)
                assert block is None or block.nbytes <= 500


PEAK = """
import sys
import numpy as np
from fisherkit import Layout
from fisherkit.chunked import fit_chunks, from_npy

def status(field):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(field)) * 1024

folder, sizes = sys.argv[1], [int(n) for n in sys.argv[2:]]
for n in [500, *sizes]:
    for name, shape in (("x", (50,)), ("c", (50, 10)), ("s", (50, 5))):
        out = np.lib.format.open_memmap(f"{folder}/{name}{n}.npy", mode="w+", dtype=float, shape=(n, *shape))
        for start in range(0, n, 500):
            out[start : start + 500] = np.random.default_rng(start).standard_normal(out[start : start + 500].shape)
        del out
for n in [500, *sizes]:  # the small one first: imports and work spaces that stay
    files = from_npy({"x": [f"{folder}/{name}{n}.npy" for name in "xcs"]})
    before = status("VmRSS")
    open("/proc/self/clear_refs", "w").write("5")
    assert fit_chunks(Layout(10, {"x": 5}), files).counts == {"x": n}
    print(status("VmHWM") - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="resets the high-water mark of the process in /proc")
def test_resident_memory_does_not_grow_with_the_number_of_samples(tmp_path):
    """26 and 154 MB of files; mapped pages of files count. 8 MB of them are mapped at a time, 2 MB are work space."""
    command = [sys.executable, "-c", PEAK, str(tmp_path), "4000", "24000"]
    root = Path(__file__).parent.parent
    finished = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
    _, small, large = (int(line) / 1e6 for line in finished.stdout.split())
    assert large < 16  # measured 10.3
    assert large < small + 3  # the kernel counts in batches of pages per thread; measured equal to 0.1


# ---- Parquet


def parquet_table(samples, kind):
    pa = pytest.importorskip("pyarrow")
    columns = {"id": pa.array([f"row {i}" for i in range(len(samples["x"]))])}
    modality = samples.model["x"]
    for field, block in zip(
        ("observations", *BLOCKS), (samples["x"], modality.shared, modality.private), strict=True
    ):
        flat = block.reshape(len(block), -1)
        if kind == "fixed":
            columns[field] = pa.FixedSizeListArray.from_arrays(flat.reshape(-1), flat.shape[1])
        elif kind == "lists":
            columns[field] = pa.array(flat.tolist())
        else:
            columns |= {f"{field}_{j}": flat[:, j] for j in range(flat.shape[1])}
    return pa.table(columns)


def write(table, path, **options):
    import pyarrow.parquet as pq

    pq.write_table(table, path, **options)
    return path


@pytest.mark.parametrize("kind", ["fixed", "lists", "numbers"])
@pytest.mark.parametrize("row_group_size", [5, 1000])
def test_parquet_files_equal_one_shot(tmp_path, kind, row_group_size):
    samples = example().subset(["x"])
    path = write(parquet_table(samples, kind), tmp_path / "x.parquet", row_group_size=row_group_size)
    files = from_parquet({"x": path}, chunk_bytes=8 * 12 * 7, chunks_per_partition=2)
    declared = template(samples.model)
    streamed = accumulate_chunks(declared, files)
    assert_same_likelihood(fk.accumulate(samples), streamed)
    assert_same_bits(streamed, accumulate_chunks(declared, pickle.loads(pickle.dumps(files))))
    assert max(len(chunk["x"].observations) for chunk in files) <= 7
    assert files.counts == {"x": 57}


def test_parquet_columns_by_name_and_a_folder_of_parts(tmp_path):
    samples = example()
    table = parquet_table(samples.subset(["x"]), "numbers")
    renamed = [n.replace("observations_", "pixel ").replace("shared_", "C") for n in table.column_names]
    table = table.rename_columns(renamed)
    folder = tmp_path / "parts"
    folder.mkdir()
    write(table[:20], folder / "a.parquet", row_group_size=6)
    write(table[20:], folder / "b.parquet")
    (folder / "notes.txt").write_text("not a part")
    columns = {"x": {"observations": [f"pixel {i}" for i in range(3)], "shared": [f"C{i}" for i in range(6)]}}
    files = from_parquet({"x": folder}, columns=columns, chunk_bytes=1)
    expected = fk.accumulate(samples.subset(["x"]))
    assert_same_likelihood(expected, accumulate_chunks(template(samples.model), files))


# ---- what can go wrong

MODEL = fk.LinearGaussian({
    "image": fk.Modality(np.eye(3)[:, :2], np.ones((3, 1))),
    "text": fk.Modality(np.eye(2)),
})
PER_SAMPLE = fk.LinearGaussian({"image": fk.Modality(np.ones((1, 3, 2)))})
GOOD = np.ones((4, 3))


@pytest.mark.parametrize(
    ("model", "chunks", "error", "message"),
    [
        (MODEL, [], ValueError, r"no chunks: the iterable is empty \(a generator can be read only once\)"),
        (MODEL, [GOOD], TypeError, r"chunk 0: expected Samples or a mapping \{modality: .* got ndarray"),
        (MODEL, [{"imgae": GOOD}], fk.UnknownNameError, "unknown modality 'imgae'; did you mean 'image'"),
        (MODEL, [{"image": GOOD}, {"image": GOOD[:, :2]}], ValueError,
         r"image: chunk 1, observations: expected shape \(samples, 3\), got \(4, 2\); the last axis"),
        (MODEL, [{"image": GOOD[:0]}], ValueError, "image: chunk 0, observations: zero samples"),
        (MODEL, [{"image": GOOD + 1j}], TypeError, "image: chunk 0, observations: .*real numbers, got dtype complex"),
        (MODEL, [{"image": (GOOD, np.ones((4, 3, 5)))}], ValueError,
         r"chunk 0, shared design: expected shape \(samples, 3, 2\) .* or \(samples, 6\) row by row, got \(4, 3, 5\)"),
        (MODEL, [{"image": (GOOD, None, np.ones((3, 3, 1)))}], ValueError,
         "image: chunk 0, private design has 3 rows .samples., but chunk 0, observations has 4"),
        (MODEL, [{"image": (GOOD, None, None, None)}], TypeError, "image: chunk 0: expected .* tuple of 4"),
        (MODEL, [{"image": [[1.0, np.nan, 2.0]]}], ValueError,
         r"image: chunk 0, observations: NaN in row 0, entry 1 of it \(counted from 0\); remove or impute"),
        (MODEL, [{"image": (GOOD, np.full((4, 3, 2), np.inf))}], ValueError,
         r"chunk 0, shared design: infinite value in row 0, entry \(0, 0\) of it"),
        (MODEL, [{"text": [[1e200, 0.0]]}], ValueError, r"text: squares .* overflow .*chunk 0, observations, rows"),
        (PER_SAMPLE, [{"image": GOOD}], ValueError, "image: the model's shared design is per sample, .* pass Samples"),
        (MODEL.layout, [{"image": GOOD}], ValueError, "image: a layout holds no designs: give the shared design"),
        (PER_SAMPLE, [fk.simulate(MODEL, 2, seed=0)], ValueError, "chunk 0: samples of a model with parameters shared"),
        ("model", [], TypeError, "model: expected a LinearGaussian or a Layout, got str"),
    ],
)  # fmt: skip
def test_chunks_that_do_not_fit_are_refused(model, chunks, error, message):
    with pytest.raises(error, match=message):
        accumulate_chunks(model, chunks)


def test_noise_is_declared_once():
    loud = fk.LinearGaussian({"text": fk.Modality(np.eye(2), noise_std=3.0)})
    quiet = fk.LinearGaussian({"text": fk.Modality(np.eye(2))})
    both = [fk.simulate(model, 2, seed=0) for model in (quiet, loud)]
    with pytest.raises(
        ValueError, match=r"text: chunk 1 declares other noise \(std 3\.0\) than the model \(std 1\.0\)"
    ):
        accumulate_chunks(quiet, both)
    with pytest.raises(
        ValueError, match=r"text: chunk 1 declares other noise \(std 3\.0\) than earlier ones \(std 1\.0\)"
    ):
        accumulate_chunks(quiet.layout, both)
    with pytest.raises(ValueError, match="noise_std: the model declares the noise"):
        accumulate_chunks(quiet, both, noise_std={"text": 1.0})
    with pytest.raises(fk.UnknownNameError, match="unknown modality in noise_std 'txt'; did you mean 'text'"):
        accumulate_chunks(quiet.layout, both, noise_std={"txt": 1.0})


def test_noise_covariances_are_compared_too():
    one, other = (fk.LinearGaussian({"x": fk.Modality(np.eye(2), noise_var=[1.0, v])}) for v in (2.0, 3.0))
    chunks = [fk.simulate(model, 2, seed=0) for model in (one, other)]
    with pytest.raises(
        ValueError, match=r"x: chunk 1 declares other noise \(variances or a covariance\) than the model"
    ):
        accumulate_chunks(one, chunks)
    part = accumulate_chunks(one, chunks[:1])
    assert part.noise_key == fk.accumulate(chunks[0]).noise_key
    with pytest.raises(ValueError, match="x: statistics in units of different noise variances"):
        part + fk.accumulate(chunks[1])


@pytest.mark.parametrize("load", [from_npy, from_parquet])
def test_files_are_named_when_they_are_missing_or_no_mapping(tmp_path, load):
    pytest.importorskip("pyarrow")
    (tmp_path / "images.npy").touch()
    with pytest.raises(
        FileNotFoundError, match=r"image: no file 'image.npy' in .*; did you mean 'images.npy'\?"
    ):
        load({"image": tmp_path / "image.npy"})
    with pytest.raises(
        FileNotFoundError, match=r"image: no file 'zzz' in .*; nothing there has a similar name"
    ):
        load({"image": tmp_path / "zzz"})
    with pytest.raises(FileNotFoundError, match=r"image: no folder .*nowhere' to find 'image.npy' in"):
        load({"image": tmp_path / "nowhere" / "image.npy"})
    with pytest.raises(ValueError, match=r"files: expected a non-empty mapping \{modality: .*, got str"):
        load("image.npy")
    for option in ("chunk_bytes", "chunks_per_partition"):
        with pytest.raises(ValueError, match=f"{option} must be a whole number >= 1, got 0"):
            load({"image": tmp_path / "images.npy"}, **{option: 0})


def test_npy_files_that_are_no_arrays_of_numbers_are_refused(tmp_path):
    np.save(tmp_path / "good.npy", np.ones((100, 3)))
    whole = (tmp_path / "good.npy").read_bytes()
    cases = {"cut": whole[:-8], "header": whole[:40], "empty": b"", "text": b"1,2,3\n" * 50}
    for name, content in cases.items():
        (tmp_path / f"{name}.npy").write_bytes(content)
        with pytest.raises(
            ValueError, match=f"image: .*{name}.npy: not a complete .npy file, truncated or corrupt"
        ):
            from_npy({"image": tmp_path / f"{name}.npy"})
    np.save(tmp_path / "words.npy", np.array(["a", "b"]))
    with pytest.raises(TypeError, match=r"image: .*words.npy: expected real numbers, got dtype <U1"):
        from_npy({"image": tmp_path / "words.npy"})
    for shape in ((), (0, 3)):
        np.save(tmp_path / "none.npy", np.ones(shape))
        with pytest.raises(
            ValueError, match=r"image: .*none.npy: expected samples along the first axis, got shape"
        ):
            from_npy({"image": tmp_path / "none.npy"})
    with pytest.raises(ValueError, match=r"image: expected \(observations, shared designs, .*; got 4 paths"):
        from_npy({"image": [tmp_path / "good.npy"] * 4})


def test_a_file_that_shrinks_or_goes_while_it_is_read_is_named(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.ones((100, 3)))
    files = from_npy({"image": path}, chunk_bytes=240)
    chunks = iter(files)
    next(chunks)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"image: .*x.npy: not a complete .npy file, truncated or corrupt"):
        list(chunks)
    path.rename(tmp_path / "x2.npy")
    with pytest.raises(FileNotFoundError, match=r"image: no file 'x.npy' in .*; did you mean 'x2.npy'"):
        fit_chunks(MODEL, files)


def test_files_are_compared_with_the_model_before_they_are_read(tmp_path, monkeypatch):
    for name, shape in {"wide": (9, 4), "x": (9, 3), "design": (8, 3, 2)}.items():
        np.save(tmp_path / f"{name}.npy", np.ones(shape))
    monkeypatch.setattr(NpySource, "partition", None)
    with pytest.raises(ValueError, match=r"image: .*wide.npy: expected shape \(samples, 3\), got \(9, 4\)"):
        fit_chunks(MODEL, from_npy({"image": tmp_path / "wide.npy"}))
    with pytest.raises(ValueError, match=r"image: .*design.npy has 8 rows .samples., but .*x.npy has 9"):
        fit_chunks(PER_SAMPLE, from_npy({"image": (tmp_path / "x.npy", tmp_path / "design.npy")}))
    with pytest.raises(fk.UnknownNameError, match="unknown modality 'imgae'"):
        fit_chunks(MODEL, from_npy({"imgae": tmp_path / "x.npy"}))


def test_a_nan_in_a_file_is_found_with_its_row(tmp_path):
    samples = example()
    files = save_npy(tmp_path, samples)
    chunks = from_npy(files, chunk_bytes=500)
    for field, entry in (("x", (41, 2)), ("private", (33, 1, 0))):
        block = np.lib.format.open_memmap(tmp_path / f"{field}.npy", mode="r+")
        block[entry] = np.nan
        block.flush()
        place = rf"x: .*{field}.npy: NaN in row {entry[0]}, entry "
        with pytest.raises(ValueError, match=place):
            fit_chunks(template(samples.model), chunks)


def test_parquet_files_that_do_not_fit_are_refused(tmp_path):
    pa = pytest.importorskip("pyarrow")
    values = {f"observations_{i}": np.arange(6.0) for i in range(3)}
    path = write(pa.table(values), tmp_path / "x.parquet")

    def load(**columns):
        return from_parquet({"image": path}, columns={"image": columns} if columns else None)

    with pytest.raises(
        fk.UnknownNameError, match=r"unknown column of .*x.parquet 'pixels'; known: 'observations_0'"
    ):
        load(observations=["pixels"])
    with pytest.raises(fk.UnknownNameError, match=r"unknown key in columns\['image'\] 'obs'"):
        load(obs="observations_0")
    with pytest.raises(fk.UnknownNameError, match="unknown modality 'text'"):
        from_parquet({"image": path}, columns={"text": {}})
    with pytest.raises(
        ValueError, match=r"x.parquet, observations_0: expected shape \(samples, 3\), got \(6, 1\)"
    ):
        fit_chunks(MODEL, load(observations="observations_0"))
    write(pa.table({"a": np.ones(3)}), path)
    with pytest.raises(fk.UnknownNameError, match=r"unknown column of .*x.parquet 'observations'"):
        load()
    write(pa.table({"observations": ["a", "b"]}), path)
    with pytest.raises(
        TypeError, match=r"image: .*column 'observations': expected real numbers, got type string"
    ):
        load()
    write(pa.table({"observations": [[1.0]], "other": [1.0]}), path)
    with pytest.raises(
        ValueError, match="column 'observations' is a list column and must stand alone, but 2"
    ):
        load(observations=["observations", "other"])
    write(pa.table({"observations": pa.array([], pa.float64())}), path)
    with pytest.raises(ValueError, match=r"image: .*x.parquet: no rows; leave the modality out"):
        load()
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ValueError, match=r"image: folder .*empty' holds no \*.parquet file"):
        from_parquet({"image": empty})


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[1.0, 2.0, 3.0], None], r"missing value \(null\) in row 1 .counted from 0., 1 in this batch"),
        ([[1.0, 2.0, 3.0], [1.0, None, 3.0]], r"missing value \(null\) in row 1 "),
        ([[1.0, 2.0, 3.0], [1.0, 2.0]], "a list of 2 numbers in row 1 .counted from 0., but 3 elsewhere"),
        ([[1.0, 2.0, 3.0], [1.0, 2.0, float("nan")]], "NaN in row 1, entry 2 of it"),
    ],
)
def test_rows_of_parquet_files_that_are_not_complete_are_found(tmp_path, rows, message):
    pa = pytest.importorskip("pyarrow")
    path = write(pa.table({"observations": rows}), tmp_path / "x.parquet")
    with pytest.raises(ValueError, match=f"image: .*x.parquet, observations: {message}"):
        fit_chunks(MODEL, from_parquet({"image": path}))


def test_a_null_in_a_number_column_is_found_with_the_row_of_the_file(tmp_path):
    pa = pytest.importorskip("pyarrow")
    numbers = pa.array([None if i == 77 else float(i) for i in range(100)])
    table = pa.table({"observations_0": numbers, "observations_1": np.ones(100)})
    path = write(table, tmp_path / "x.parquet", row_group_size=10)
    files = from_parquet({"text": path}, chunk_bytes=64, chunks_per_partition=5)
    with pytest.raises(
        ValueError, match=r"observations_0 ... observations_1: missing value \(null\) in row 77 "
    ):
        fit_chunks(MODEL, files)


def test_corrupt_parquet_files_are_named(tmp_path):
    pa = pytest.importorskip("pyarrow")
    path = write(pa.table({"observations": np.random.default_rng(0).random(5000)}), tmp_path / "x.parquet")
    model = fk.LinearGaussian({"image": fk.Modality([[1.0]])})
    whole = path.read_bytes()
    for content in (b"", b"PAR1", whole[:-10], b"a,b\n" * 100):
        path.write_bytes(content)
        with pytest.raises(
            ValueError, match=r"image: .*x.parquet: not a complete Parquet file, truncated or corrupt"
        ):
            from_parquet({"image": path})
    path.write_bytes(whole[:4] + bytes(4000) + whole[4004:])  # the footer is whole, the pages are not
    with pytest.raises(
        ValueError, match=r"image: .*x.parquet: not a complete Parquet file, truncated or corrupt"
    ):
        fit_chunks(model, from_parquet({"image": path}))


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    (tmp_path / "x.parquet").touch()
    for module in ("pyarrow", "pyarrow.compute", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"Parquet files need pyarrow: install fisherkit\[cluster\]"):
        from_parquet({"x": tmp_path / "x.parquet"})
