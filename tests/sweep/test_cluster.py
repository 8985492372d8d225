"""Sweeps on a real Dask cluster: a scheduler and workers in processes of their own, which fail.

The tests share the cluster, and the last of them kills its scheduler.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from sweep_tools import wait_for, write

import mdlib

pytest.importorskip("distributed", reason="Dask is not installed: the extra `cluster`")

DRIVER = "from mdlib.sweep import driver; driver.UNSEEN = 1; from mdlib.cli import main; main()"
MARKED = """\
# %% tags=["parameters"]
seed = 0  # of nothing
out = ""  # where to

# %%
import mdlib
from mdlib.marked import MARK

mdlib.record(out, mark=MARK)
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A scheduler and two workers, with an mdlib of their own that can be edited."""
    folder = tmp_path_factory.mktemp("cluster")
    package = Path(mdlib.__file__).parent
    shutil.copytree(package, folder / "mdlib", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "mdlib" / "marked.py").write_text("MARK = 1\n")
    variables = dict(os.environ, PYTHONPATH=str(folder), PYTHONDONTWRITEBYTECODE="1")
    variables["DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT"] = "2s"
    file = folder / "dask.json"
    started = []

    def begin(*words, log):
        with open(folder / log, "w") as into:
            process = subprocess.Popen(
                [str(word) for word in words],
                env=variables,
                cwd=folder,
                stdout=into,
                stderr=into,
                start_new_session=True,
            )
        started.append(process)
        return process

    def worker(name, *before):
        words = [sys.executable, "-m", "dask", "worker", "--scheduler-file", file, "--no-dashboard"]
        words += ["--nthreads", "1", "--no-nanny", "--name", name, "--local-directory", folder]
        return begin(*before, *words, log=f"{name}.log")

    def drive(path, out, log="driver.log"):
        words = [sys.executable, "-c", DRIVER, "sweep", path, "--out", out, "--scheduler", file]
        process = begin(*words, log=log)
        process.said = lambda: (folder / log).read_text()
        return process

    words = [sys.executable, "-m", "dask", "scheduler", "--scheduler-file", file, "--port", "0"]
    scheduler = begin(*words, "--no-dashboard", log="scheduler.log")
    workers = [worker("one"), worker("two")]
    yield SimpleNamespace(
        folder=folder, scheduler=scheduler, workers=workers, worker=worker, drive=drive
    )
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def events(folder):
    return [json.loads(line)["event"] for line in (folder / "log.jsonl").read_text().splitlines()]


def done(out):
    return [p.parent for p in out.glob("*/status") if json.loads(p.read_text())["state"] == "done"]


def test_mdlib_is_edited_between_two_sweeps_on_the_same_workers(cluster, tmp_path):
    path, out = write(tmp_path / "book", "seeds: 2\n", MARKED), tmp_path / "out"
    for mark in (1, 2):
        (cluster.folder / "mdlib" / "marked.py").write_text(f"MARK = {mark}\n")
        before = set(done(out))
        driver = cluster.drive(path, out)
        assert driver.wait(180) == 0, driver.said()
        made = set(done(out)) - before
        assert len(made) == 2
        rows = [json.loads((folder / "metrics.json").read_text())[0] for folder in made]
        assert [row["mark"] for row in rows] == [mark] * 2


def test_the_disk_is_full(cluster, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small disk needs the right to mount one")
    try:
        text = "points:\n- {act: fill, once: false}\n- {rate: 2}\nretries: 0\n"
        driver = cluster.drive(write(tmp_path / "book", text), disk / "out")
        assert driver.wait(180) == 1, driver.said()
        assert "No space left on device" in driver.said()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_the_runs_folder_is_another_disk_for_a_worker(cluster, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("a worker with a disk of its own needs the right to unshare")
    alone = f'mount -t tmpfs tmpfs {out} && exec "$@"'
    odd = cluster.worker("odd", "unshare", "-m", "sh", "-c", alone, "sh")
    wait_for(lambda: "Registered to" in (cluster.folder / "odd.log").read_text())
    path = write(tmp_path / "book", "fixed: {wait: 3.0}\nseeds: 3\nretries: 0\n")
    driver = cluster.drive(path, out)
    assert driver.wait(180) == 1, driver.said()
    assert len(done(out)) == 2
    assert driver.said().count("is not whole here: is") == 1, driver.said()
    assert "s: 2 done, 1 failed" in driver.said()
    os.killpg(odd.pid, signal.SIGKILL)
    odd.wait()


def test_a_worker_is_killed(cluster, tmp_path):
    """It loses the run that it was at, and none that it had done; the other one does the rest."""
    out = tmp_path / "out"
    points = "".join(f"- {{seed: {n}, wait: {0.0 if n < 4 else 3.0}}}\n" for n in range(6))
    driver = cluster.drive(write(tmp_path / "book", f"points:\n{points}retries: 0\n"), out)
    wait_for(lambda: len(done(out)) == 4 and len([*out.glob("*/log.jsonl")]) == 6, 120)
    before = done(out)
    os.killpg(cluster.workers[0].pid, signal.SIGKILL)
    assert driver.wait(180) == 0, driver.said()
    assert {name.name: events(name) for name in before} == {
        name.name: ["start", "end"] for name in before
    }
    again = [folder for folder in set(done(out)) - set(before) if events(folder).count("start") > 1]
    assert len(again) == 1
    said = driver.said()
    assert "is lost: what it was at begins again elsewhere" in said
    assert "was begun again: attempt 2" in said
    assert "s: 6 done, 0 failed" in said
    cluster.worker("three")


def test_the_scheduler_is_killed(cluster, tmp_path):
    out = tmp_path / "out"
    driver = cluster.drive(write(tmp_path / "book", "fixed: {wait: 2.0}\nseeds: 8\n"), out)
    wait_for(lambda: done(out), 120)
    os.killpg(cluster.scheduler.pid, signal.SIGKILL)
    begun = time.monotonic()
    assert driver.wait(120) == 5, driver.said()
    assert time.monotonic() - begun < 90
    said = driver.said()
    assert "the scheduler let go of runs: it is gone, or" in said
    assert "of 8 runs are done and stay so; the same command goes on" in said
    assert "failed:" not in said  # no line for each run
