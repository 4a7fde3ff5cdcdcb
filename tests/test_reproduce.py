"""The plan over all studies: complete, resumable, dealt to processes and clusters, and honest about what failed."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studies import reproduce
from studies.paper import running
from studies.paper.exhibits import FIGURES, TABLES
from studies.paper.jobs import JOBS, PLAN, jobs_for, load_jobs, save_jobs
from studies.paper.running import deal, run_job

FAST = ["schematics", "data_sheets"]


def places(tmp_path):
    return ["--out", str(tmp_path / "out"), "--runs", str(tmp_path / "runs")]


def test_every_figure_and_table_is_made_by_one_run():
    assert sorted(n for job in JOBS for n in job.figures) == list(FIGURES)
    assert sorted(n for job in JOBS for n in job.tables) == list(TABLES)
    assert len({job.name for job in JOBS}) == len(JOBS)
    for job in JOBS:
        assert (running.ROOT / "studies" / job.script).exists(), job


def test_list_shows_commands_and_times_and_runs_nothing(capsys, tmp_path):
    assert reproduce.main(["--list", "--quick", *places(tmp_path)]) == 0
    printed = capsys.readouterr().out
    for job in JOBS:
        assert job.name in printed
    assert "studies/exchange_rate.py --quick --dataset concepts --pair" in printed
    assert "Figures 8, 22-29" in printed
    assert not (tmp_path / "runs").exists()
    assert sum(job.seconds[0] for job in JOBS) < 30 * 60


def test_why_a_study_refused_its_options_is_told(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    broken = replace(jobs_for(names=["data_sheets"])[0], options=("--nonsense",))
    outcome = run_job(broken, broken.arguments(quick=True), tmp_path)
    assert "unrecognized arguments: --nonsense" in str(outcome.error)
    assert "unrecognized arguments" in outcome.log.read_text()
    assert "unrecognized arguments" in capsys.readouterr().err


def test_a_gallery_that_cannot_be_written_is_a_failure(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(reproduce, "write_gallery", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    assert reproduce.main(["--quick", "--only", "data_sheets", *places(tmp_path)]) == 1
    told = capsys.readouterr()
    assert "the gallery could not be written: disk full" in told.err
    assert "wall time" in told.out


def test_a_plan_is_kept_beside_its_results(tmp_path):
    save_jobs(tmp_path / PLAN, JOBS[:3])
    assert load_jobs(tmp_path) == JOBS[:3]
    assert load_jobs(tmp_path / "elsewhere") == JOBS
    (tmp_path / PLAN).write_text("[1]")
    with pytest.raises(ValueError, match=r"plan.json: not a plan of studies/reproduce.py"):
        load_jobs(tmp_path)


def test_one_figure_brings_only_its_run(capsys):
    reproduce.main(["--list", "--figure", "8", "--table", "24"])
    printed = capsys.readouterr().out
    assert "exchange_rate_concepts_pair" in printed
    assert "text_ablations_glyphs" in printed
    assert "2 runs" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--figure", "45"], "--figure 45: the paper has 1 to 44"),
        (["--table", "0"], "--table 0: the paper has 1 to 29"),
        (["--only", "schematic"], "unknown run 'schematic'; did you mean 'schematics'"),
        (
            ["--encoders", "dinov2-s14=x"],
            "--encoders: the embedded data bring their own; give --data ROOT as well",
        ),
        (["--device", "nonsense"], "--device nonsense"),
    ],
)
def test_wrong_wishes_are_refused_before_anything_runs(arguments, message, capsys, monkeypatch):
    monkeypatch.setattr(reproduce, "run_job", lambda *_: pytest.fail("something ran"))
    with pytest.raises(SystemExit):
        reproduce.main(arguments)
    assert message in capsys.readouterr().err


def test_runs_write_results_logs_and_a_gallery(tmp_path, capsys):
    assert reproduce.main(["--quick", "--only", *FAST, *places(tmp_path)]) == 0
    out, page = tmp_path / "out", (tmp_path / "out" / "gallery.md").read_text()
    for name in FAST:
        assert (out / f"{name}.csv").stat().st_size
        assert json.loads((out / f"{name}.json").read_text())["provenance"]["command"].startswith(
            f"{name}.py --quick"
        )
        assert (tmp_path / "runs" / "reproduce" / f"{name}.log").read_text()
        assert f"## {name}" in page
    for exhibit in ("**Figure 4**", "**Table 5**"):
        assert exhibit in page
    printed = capsys.readouterr().out
    assert "[1/2] data_sheets (Tables 3-5)" in printed
    assert sys.argv[0] != "data_sheets.py"


def test_a_run_that_fails_stops_no_other(tmp_path, capsys, monkeypatch):
    import studies.data_sheets

    def broken(arguments):
        print("about to fail")
        raise RuntimeError("no ink")

    monkeypatch.setattr(studies.data_sheets, "main", broken)
    assert reproduce.main(["--quick", "--only", *FAST, *places(tmp_path)]) == 1
    told = capsys.readouterr()
    assert "RuntimeError: no ink" in told.out
    assert "[2/2] schematics" in told.out
    assert "failed: data_sheets" in told.err
    log = (tmp_path / "runs" / "reproduce" / "data_sheets.log").read_text()
    assert "about to fail" in log
    assert "Traceback" in log


def test_an_interrupt_stops_everything(tmp_path, monkeypatch):
    import studies.schematics

    def stopped(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(studies.schematics, "main", stopped)
    before = list(sys.argv)
    with pytest.raises(KeyboardInterrupt):
        run_job(jobs_for(names=["schematics"])[0], [], tmp_path)
    assert sys.argv == before


@given(st.lists(st.sampled_from(JOBS), unique_by=lambda job: job.name, min_size=1), st.integers(1, 5))
def test_dealing_loses_nothing_and_keeps_shared_cells_together(jobs, ranks):
    shares = deal(jobs, ranks, quick=True)
    assert sorted(job.name for share in shares for job in share) == sorted(job.name for job in jobs)
    for cells in {job.cells for job in jobs if job.cells}:
        assert sum(any(job.cells == cells for job in share) for share in shares) == 1
    for share in shares:
        assert [jobs.index(job) for job in share] == sorted(jobs.index(job) for job in share)
    longest = max(
        sum(j.seconds[0] for j in jobs if (j.cells or j.name) == key)
        for key in {j.cells or j.name for j in jobs}
    )
    total = sum(job.seconds[0] for job in jobs)
    assert max(sum(job.seconds[0] for job in share) for share in shares) <= total / ranks + longest


def test_each_process_of_torchrun_takes_its_share_on_its_device(tmp_path, monkeypatch):
    seen = []

    def record(job, arguments, logs):
        seen.append((job.name, arguments[arguments.index("--device") + 1] if job.repeats else None))
        return running.Outcome(job, 0.0, logs)

    monkeypatch.setattr(reproduce, "run_job", record)
    monkeypatch.setattr(reproduce, "check_device", lambda name: None)
    monkeypatch.setattr(reproduce, "all_ranks", lambda ranks: nullcontext(list))
    monkeypatch.setenv("WORLD_SIZE", "3")
    for rank in range(3):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("LOCAL_RANK", str(rank))
        before = len(seen)
        reproduce.main(["--quick", "--device", "cuda", *places(tmp_path)])
        devices = {device for _, device in seen[before:]} - {None}
        assert devices == {f"cuda:{rank}"}
    assert sorted(name for name, _ in seen) == sorted(job.name for job in JOBS)


def script(*arguments):
    return [sys.executable, str(running.ROOT / "studies" / "reproduce.py"), *arguments]


@pytest.mark.slow
def test_a_kill_loses_only_what_was_in_flight(tmp_path):
    command = script("--quick", "--only", "image_text_fewshot_digits", *places(tmp_path))
    store = tmp_path / "runs" / "image_text_fewshot.jsonl"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while not (store.exists() and store.read_text().count("\n") >= 3):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
    finished = store.read_text().count("\n")
    subprocess.run(command, check=True, capture_output=True)
    log = (tmp_path / "runs" / "reproduce" / "image_text_fewshot_digits.log").read_text()
    computed = int(log.split("wall time")[1].split(":")[1].split()[0])
    total = store.read_text().count("\n")
    assert 3 <= finished < total
    assert computed == total - finished


@pytest.mark.slow
def test_torchrun_shares_the_plan(tmp_path):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launcher, *script("--quick", "--only", *FAST, *places(tmp_path))[1:]]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.count("[1/1]") == 2
    assert (tmp_path / "out" / "gallery.md").exists()
    for name in FAST:
        assert (tmp_path / "out" / f"{name}.json").exists()


@pytest.mark.slow
def test_a_failure_in_one_process_of_torchrun_stops_no_other_and_is_the_status_of_all(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "image_text_fewshot_glyphs.json").write_text("{}")  # what schematics.py cannot read
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launcher, *script("--quick", "--only", *FAST, *places(tmp_path))[1:]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode
    assert "not a summary of the few-shot study" in done.stdout
    assert (tmp_path / "out" / "data_sheets.json").exists()
    assert done.stderr.count("the gallery could not be written: ") == 1, (
        "by the first process, with that summary there"
    )
    assert done.stderr.count("failed: schematics") == 2


@pytest.mark.slow
def test_dask_workers_share_the_plan(tmp_path):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        where = ["--scheduler", cluster.scheduler_address]
        assert reproduce.main(["--quick", "--only", *FAST, *where, *places(tmp_path)]) == 0
    for name in FAST:
        assert (tmp_path / "out" / f"{name}.json").exists()


@pytest.mark.slow
def test_dask_workers_with_several_threads_are_refused(tmp_path, capsys):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
    ) as cluster:
        where = ["--scheduler", cluster.scheduler_address]
        with pytest.raises(SystemExit):
            reproduce.main(["--quick", "--only", *FAST, *where, *places(tmp_path)])
    assert "start workers with --nthreads 1" in capsys.readouterr().err
