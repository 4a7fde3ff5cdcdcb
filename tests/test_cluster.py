"""Dask: the numbers of one process for any partitioning and scheduler, also when a worker is killed on the way."""

import asyncio
import contextlib
import itertools
import logging
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fisherkit as fk
from fisherkit.accumulation import _BLAS
from fisherkit.chunked import accumulate_chunks, from_npy, from_parquet
from fisherkit.cluster import accumulate_dask, fit_dask
from tests.model_strategies import data_sets
from tests.test_chunked import (
    MODEL,
    assert_same_bits,
    assert_same_likelihood,
    example,
    parquet_table,
    piece,
    pieces,
    save_npy,
    template,
    write,
)

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")
distributed = pytest.importorskip("distributed")


def dask_arrays(samples, name, chunks):
    """Observations and per-sample designs as Dask arrays, rows in these chunks."""
    arrays = piece(samples, name, slice(None))
    return tuple(a if a is None else da.from_array(a, chunks=(chunks, *a.shape[1:])) for a in arrays)


@given(data_sets(), st.randoms(use_true_random=False), st.sampled_from(["auto", "gram", "qr"]))
def test_any_partitioning_equals_one_shot_and_streaming(samples, random, method):
    data, chunks = {}, []
    for name, x in samples.data.items():
        cuts = sorted({0, len(x), *(random.randint(0, len(x)) for _ in range(3))})
        data[name] = dask_arrays(samples, name, tuple(b - a for a, b in itertools.pairwise(cuts)))
        chunks += [{name: p} for p in pieces(samples, name, cuts)]
    declared = template(samples.model)
    result = accumulate_dask(declared, data, "synchronous", method=method)
    assert_same_likelihood(fk.accumulate(samples, method=method), result, method=method)
    assert_same_bits(accumulate_chunks(declared, chunks, method=method), result)


def test_threads_give_the_bits_of_one_thread_and_of_streaming(tmp_path):
    samples, declared = example(200), template(example(200).model)
    files = from_npy(save_npy(tmp_path, samples), chunk_bytes=500, chunks_per_partition=3)
    assert len(files.sources["x"]) == 14
    streamed = accumulate_chunks(declared, files)
    for how in ("threads", "synchronous", None):
        assert_same_bits(streamed, accumulate_dask(declared, files, how))
    assert_same_likelihood(fk.accumulate(samples), streamed)


def test_parquet_files_are_partitions_too(tmp_path):
    pytest.importorskip("pyarrow")
    samples = example().subset(["x"])
    path = write(parquet_table(samples, "fixed"), tmp_path / "x.parquet", row_group_size=9)
    files = from_parquet({"x": path}, chunk_bytes=400, chunks_per_partition=2)
    declared = template(samples.model)
    assert_same_bits(accumulate_chunks(declared, files), accumulate_dask(declared, files, "synchronous"))


def test_arrays_are_aligned_along_samples_and_joined_across():
    samples = example(100)
    x, c, s = piece(samples, "x", slice(None))
    arrays = (
        da.from_array(x, chunks=(30, 2)),
        da.from_array(c.reshape(100, -1), chunks=(17, 4)),
        da.from_array(s, chunks=(50, 1, 1)),
    )
    y = da.from_array(samples["y"], chunks=(25, 4))
    estimate = fit_dask(template(samples.model), {"x": arrays, "y": y}, "synchronous")
    np.testing.assert_allclose(estimate.theta, fk.fit(samples).theta, rtol=1e-10)


def test_unknown_sizes_and_empty_partitions_are_taken():
    rng = np.random.default_rng(0)
    design = rng.standard_normal((60, 3))
    design[20:40, 0] = -1.0  # nothing is left of the middle partition
    x = design @ [1.0, 2.0, 3.0]
    lazy = [da.from_array(a, chunks=(20, *a.shape[1:])) for a in (x, design)]
    keep = lazy[1][:, 0] > 0
    filtered = tuple(a[keep] for a in lazy)
    layout = fk.Layout(3, {"x": 0})
    estimate = fit_dask(layout, {"x": filtered}, "synchronous")
    np.testing.assert_allclose(estimate.theta, [1.0, 2.0, 3.0], rtol=1e-10)
    assert estimate.counts == {"x": int((design[:, 0] > 0).sum())}
    with pytest.raises(ValueError, match="x: zero samples in all partitions; leave the modality out"):
        fit_dask(layout, {"x": tuple(a[lazy[1][:, 0] > 99] for a in lazy)}, "synchronous")
    with pytest.raises(
        ValueError, match=r"x: shared design has 2 partitions.* have 3, .*compute_chunk_sizes\(\)"
    ):
        fit_dask(layout, {"x": (filtered[0], lazy[1].rechunk((30, 3)))}, "synchronous")


def test_lists_hold_delayed_objects_functions_and_samples():
    samples = example(60)
    x, c, s = piece(samples, "x", slice(None))
    parts = [slice(0, 20), slice(20, 35), slice(35, 60)]
    own = fk.LinearGaussian({
        "x": fk.Modality(c[parts[2]], s[parts[2]], noise_std=0.5),
        "y": samples.model["y"],
    })
    entries = [
        dask.delayed(lambda: piece(samples, "x", parts[0]))(),
        tuple(dask.delayed(a[parts[1]]) for a in (x, c, s)),
        lambda: fk.Samples(own, {"x": x[parts[2]], "y": samples["y"]}),
    ]
    result = accumulate_dask(template(samples.model), {"x": entries}, "threads")
    assert_same_likelihood(fk.accumulate(samples.subset(["x"])), result)
    loud = fk.LinearGaussian({"x": fk.Modality(c, s, noise_std=2.0), "y": samples.model["y"]})
    with pytest.raises(
        ValueError, match=r"x: partition 0 declares other noise \(std 2\.0\) than the model \(std 0\.5\)"
    ):
        accumulate_dask(template(samples.model), {"x": [lambda: fk.Samples(loud, {"x": x})]}, "synchronous")
    with pytest.raises(
        ValueError,
        match=r"x: partition 0 declares other noise \(std 2\.0\) than was declared for all \(std 1\.0\)",
    ):
        accumulate_dask(own.layout, {"x": [lambda: fk.Samples(loud, {"x": x})]}, "synchronous")


def test_options_reach_the_fit():
    model = fk.random_model(2, {"x": 1, "y": 1}, seed=0, noise_std={"x": 0.3, "y": 2.0})
    samples = fk.simulate(model, 60, seed=1)
    data = {name: da.from_array(x, chunks=(16, x.shape[1])) for name, x in samples.data.items()}
    for how in ({"modalities": ["y"]}, {"noise": "ml"}, {"noise": "dof"}, {"weighting": "unweighted"}):
        estimate, expected = fit_dask(model, data, "synchronous", **how), fk.fit(samples, **how)
        np.testing.assert_allclose(estimate.theta, expected.theta, rtol=1e-9)
        np.testing.assert_allclose(estimate.covariance, expected.covariance, rtol=1e-9)


def test_ill_conditioned_partitions_take_the_stable_path():
    rng = np.random.default_rng(0)
    u, v = np.linalg.qr(rng.standard_normal((4000, 3)))[0], np.linalg.qr(rng.standard_normal((3, 3)))[0]
    a, theta = u * [1.0, 1e-4, 1e-8] @ v.T, np.array([1.0, -2.0, 3.0])
    data = {"x": tuple(da.from_array(b, chunks=(500, *b.shape[1:])) for b in (a @ theta, a))}
    estimate = fit_dask(fk.Layout(3, {"x": 0}), data, "synchronous")
    assert estimate.precision.rank == 3
    assert np.abs(estimate.theta - theta).max() < 1e-15 * 1e8 * 100


@pytest.mark.parametrize("scheduler", ["threads", "synchronous"])
def test_one_blas_thread_inside_tasks(scheduler):
    def threads():
        return [info["num_threads"] for info in _BLAS.info() if info["user_api"] == "blas"]

    seen = []

    def load():
        seen.append(threads())
        return np.ones((4, 3))

    with _BLAS.limit(limits=2, user_api="blas"):
        before = threads()
        fit_dask(MODEL, {"image": [load] * 6}, scheduler)
        assert threads() == before
    assert seen == [[1] * len(before)] * 6


# ---- refusals

ROWS = da.ones((6, 3), chunks=(2, 3))


@pytest.mark.parametrize(
    ("model", "data", "error", "message"),
    [
        (MODEL, {}, TypeError, r"data: expected chunks of files or a non-empty mapping .*, got dict"),
        (MODEL, ROWS, TypeError, r"data: expected chunks of files or a non-empty mapping .*, got Array"),
        (MODEL, {"imgae": ROWS}, fk.UnknownNameError, "unknown modality 'imgae'; did you mean 'image'"),
        (MODEL, {"image": np.ones((6, 3))}, TypeError, r"image: expected a Dask array, .*, got ndarray; .*from_array"),
        (MODEL, {"image": [np.ones((6, 3))]}, TypeError, "image: partition 0: expected a Delayed, .* got ndarray"),
        (MODEL, {"image": ROWS[:, :2]}, ValueError, r"image: observations: expected shape \(samples, 3\), got \(6, 2\)"),
        (MODEL, {"image": ROWS + 1j}, TypeError, "image: observations: expected real numbers, got dtype complex"),
        (MODEL, {"image": (ROWS, da.ones((5, 3, 2)))}, ValueError, "shared design has 5 rows .* observations has 6"),
        (MODEL, {"image": (ROWS, None, None, None)}, TypeError, "image: arrays: expected .* got a tuple of 4"),
        (MODEL.layout, {"image": ROWS}, ValueError, "image: a layout holds no designs"),
        (MODEL, {"image": da.where(da.arange(6, chunks=2)[:, None] == 3, np.nan, ROWS)}, ValueError,
         r"image: observations: NaN in row 3, entry 0 of it \(counted from 0\)"),
        (MODEL, {"image": [lambda: np.ones((2, 3)), lambda: np.full((2, 3), np.nan)]}, ValueError,
         "image: partition 1, observations: NaN in row 0, entry 0"),
    ],
)  # fmt: skip
def test_data_that_do_not_fit_are_refused(model, data, error, message):
    with pytest.raises(error, match=message):
        accumulate_dask(model, data, "synchronous")


@pytest.mark.parametrize("client", [0, True, 2.5, object()])
def test_clients_of_no_known_kind_are_refused(client):
    with pytest.raises(TypeError, match=r"client: expected a distributed.Client or cluster, the address of"):
        fit_dask(MODEL, {"image": ROWS}, client)


def test_an_asynchronous_client_is_refused(cluster):
    async def call():
        async with distributed.Client(cluster.scheduler_address, asynchronous=True) as client:
            with pytest.raises(TypeError, match="client: an asynchronous client cannot wait for a result"):
                fit_dask(MODEL, {"image": ROWS}, client)

    asyncio.run(call())


def test_options_are_checked_before_anything_is_started():
    with pytest.raises(ValueError, match="method must be 'auto', 'gram' or 'qr', got 'svd'"):
        fit_dask(MODEL, {"image": ROWS}, method="svd")


@pytest.mark.parametrize(("module", "client"), [("dask.array", "threads"), ("distributed", 2)])
def test_without_dask_the_extra_is_named(monkeypatch, module, client):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"{module} is not there: install fisherkit\[cluster\]"):
        fit_dask(MODEL, {"image": [lambda: np.ones((2, 3))]}, client)


# ---- a real cluster


@pytest.fixture(scope="module")
def cluster():
    """Three worker processes; a task is given up at its second death instead of the fourth, to save restarts."""
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        distributed.LocalCluster(
            n_workers=3,
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        ) as started,
    ):
        yield started


def test_an_existing_cluster_is_found_by_address_client_or_object(cluster, tmp_path):
    samples = example(200)
    declared = template(samples.model)
    files = from_npy(save_npy(tmp_path, samples), chunk_bytes=500, chunks_per_partition=3)
    streamed = accumulate_chunks(declared, files)
    assert_same_bits(streamed, accumulate_dask(declared, files, cluster.scheduler_address))
    assert_same_bits(streamed, accumulate_dask(declared, files, cluster))
    with distributed.Client(cluster) as client:
        assert_same_bits(streamed, accumulate_dask(declared, files, client))
        assert_same_bits(streamed, accumulate_dask(declared, files))  # the current client
        futures = client.scatter([p for p in pieces(samples, "x", [0, 90, 200])])
        result = accumulate_dask(declared, {"x": futures, "y": dask_arrays(samples, "y", 50)}, client)
        assert_same_likelihood(fk.accumulate(samples), result)
    with distributed.Client(cluster, set_as_default=False) as client:
        futures = {"y": client.scatter([samples["y"]])}
        found = accumulate_dask(declared, futures)
        assert_same_likelihood(fk.accumulate(samples.subset(["y"])), found)
        with pytest.raises(
            TypeError, match="y: Futures live on a cluster and cannot be computed by 'threads'"
        ):
            accumulate_dask(declared, futures, "threads")
    with pytest.raises(ValueError, match="No clients found"):
        distributed.Client.current()  # the clients made for a call are closed, and none was made the default


def note(folder, what):
    """Leave a file; whether it is the first of that name."""
    try:
        (folder / what).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def load_and_log(index, folder, rows, killing):
    """A partition; notes who loads it.

    With killing="once", the first worker that comes for a second partition, the statistics of another one in its
    hands, kills itself; with "always", every worker that comes for partition 5.
    """
    folder, own = Path(folder), os.getpid()
    if (killing == "once" and list(folder.glob(f"load-*-{own}")) and note(folder, "death")) or (
        killing == "always" and index == 5 and note(folder, f"death-{own}")
    ):
        os.kill(own, signal.SIGKILL)
    note(folder, f"load-{index}-{time.time_ns()}-{own}")
    return rows


def partitions(samples, folder, killing):
    folder.mkdir()
    rows = np.array_split(samples["text"], 12)
    return {"text": [partial(load_and_log, i, str(folder), block, killing) for i, block in enumerate(rows)]}


def test_a_worker_killed_in_the_middle_changes_no_bit(cluster, tmp_path):
    samples = fk.simulate(MODEL, {"text": 240}, seed=0)
    address = cluster.scheduler_address
    expected = accumulate_dask(MODEL, partitions(samples, tmp_path / "calm", None), address)
    result = accumulate_dask(MODEL, partitions(samples, tmp_path / "killed", "once"), address)
    loads = [int(path.name.split("-")[1]) for path in (tmp_path / "killed").glob("load-*")]
    assert (tmp_path / "killed" / "death").exists()
    assert set(loads) == set(range(12))
    assert len(loads) > 12  # what the killed worker had done was lost and done again
    assert_same_bits(expected, result)
    assert_same_likelihood(fk.accumulate(samples), result)
    chunks = [{"text": block} for block in np.array_split(samples["text"], 12)]
    assert_same_bits(accumulate_chunks(MODEL, chunks), result)


def test_a_partition_whose_workers_die_again_and_again_is_named(cluster, tmp_path):
    samples = fk.simulate(MODEL, {"text": 24}, seed=0)
    data = partitions(samples, tmp_path / "log", "always")
    message = (
        r"2 workers died with the task 'summarise-text-\d+' in their hands, and it was given up; a partition"
    )
    with pytest.raises(RuntimeError, match=message):
        accumulate_dask(MODEL, data, cluster)
    assert len(list((tmp_path / "log").glob("death-*"))) == 2


def test_an_error_inside_a_task_comes_back_as_it_is(cluster):
    data = {"image": da.where(da.arange(6, chunks=2)[:, None] == 3, np.nan, ROWS)}
    with pytest.raises(ValueError, match="image: observations: NaN in row 3, entry 0 of it"):
        accumulate_dask(MODEL, data, cluster)


def test_workers_are_started_for_a_call_and_ended_with_it(tmp_path):
    samples = example(60)
    files = from_npy(save_npy(tmp_path, samples), chunk_bytes=500)
    result = accumulate_dask(template(samples.model), files, 1)
    assert_same_bits(accumulate_chunks(template(samples.model), files), result)


def test_a_scheduler_that_does_not_answer_is_named():
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "0.2s"}),
        pytest.raises(ConnectionError, match=r"no Dask scheduler answers at 'tcp://127.0.0.1:9'"),
    ):
        fit_dask(MODEL, {"image": ROWS}, "tcp://127.0.0.1:9")
    with pytest.raises(ConnectionError, match="no Dask scheduler answers at 'nonsense'"):
        fit_dask(MODEL, {"image": ROWS}, "nonsense")


def test_a_scheduler_that_goes_away_is_named(tmp_path):
    def last():
        (tmp_path / "running").touch()
        time.sleep(60)

    with ThreadPoolExecutor(1) as pool, contextlib.ExitStack() as stack:
        started = stack.enter_context(
            distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0",
                                     silence_logs=logging.CRITICAL)
        )  # fmt: skip
        running = pool.submit(fit_dask, MODEL, {"image": [last]}, started.scheduler_address)
        give_up = time.monotonic() + 20
        while not (tmp_path / "running").exists() and time.monotonic() < give_up:
            time.sleep(0.01)
        stack.close()
        with pytest.raises(ConnectionError, match="the Dask scheduler went away before the result was there"):
            running.result(timeout=30)
