"""Who performs the runs: this machine, or a Dask cluster.

An engine hands a task to `asker.execute` somewhere. Each run has its own process wherever it lands,
so this machine's engine needs no more than threads that wait for these.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from mdlib.io import read_json
from mdlib.sweep import asker
from mdlib.sweep.asker import gpus
from mdlib.sweep.task import Outcome, Task

FILE_PATIENCE = 60  # seconds for a scheduler to write its file


class Engine(Protocol):
    window: int  # how many runs to hand over at once, so that no worker ever waits for one

    def submit(self, task: Task) -> Any:
        """Have it executed some time; a future with `add_done_callback` and `result`."""

    def everywhere(self, function: Callable, *arguments: Any) -> None:
        """Call a function in each process that executes tasks."""

    def news(self) -> Iterator[str]:
        """What a user should know by now of the workers."""


def cores() -> int:
    """How many cores this process may use: by affinity, a container's quota, a Slurm job."""
    from joblib import cpu_count

    return min(cpu_count(), int(os.environ.get("SLURM_CPUS_PER_TASK") or cpu_count()))


def at_once(gpu: bool) -> int:
    """How many runs this machine performs at once: one a GPU if they use it, else one a core."""
    if gpu and sys.platform == "darwin":
        return 1  # one Metal device, of which nothing tells a run apart
    return len(gpus()) or cores() if gpu else cores()


@contextmanager
def opened(scheduler: str | None, workers: int | None, gpu: bool = True) -> Generator[Engine]:
    """The engine for ``--scheduler``.

    Args:
        scheduler: None for this machine; for Dask "local", "slurm" (jobs by dask-jobqueue, as its
            configuration says), a scheduler's file (.json) or address (tcp://HOST:PORT).
        workers: how many runs at once; None for one a GPU or one a core. A scheduler that runs
            elsewhere has the workers that it has.
        gpu: do the runs use one?

    Raises ValueError for a scheduler that makes no sense or if Dask is not installed, OSError if
    there is none at the address.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"workers is {workers}, expected 1 or more")
    if scheduler is None:
        with _Threads(workers or at_once(gpu)) as engine:
            yield engine
        return
    named = scheduler in ("local", "slurm")
    if not (named or "://" in scheduler or scheduler.endswith(".json")):
        raise ValueError(
            f"scheduler {scheduler!r}: expected local, slurm, a scheduler's file (dask.json) or "
            f"its address (tcp://HOST:PORT)"
        )
    if workers and not named:
        raise ValueError(f"workers is {workers}, but those of {scheduler} are there already")
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise ValueError("--scheduler needs Dask: pip install -e '.[cluster]'") from None
    with ExitStack() as stack:
        threads = None
        if scheduler == "local":
            count = workers or at_once(gpu)
            threads = max(1, cores() // count)
            options = {"threads_per_worker": 1, "dashboard_address": ":0"}
            cluster = stack.enter_context(LocalCluster(n_workers=count, **options))
            client = stack.enter_context(Client(cluster))
        elif scheduler == "slurm":
            client = stack.enter_context(Client(stack.enter_context(_slurm(workers))))
        else:
            address = _of_file(Path(scheduler)) if scheduler.endswith(".json") else scheduler
            client = stack.enter_context(Client(address))
        yield Dask(client, threads, workers)


def _of_file(path: Path) -> str:
    """The address in a scheduler's file, which may be about to be written."""
    deadline = time.monotonic() + FILE_PATIENCE
    while not (path.exists() and path.stat().st_size):
        if time.monotonic() > deadline:
            what = "empty" if path.exists() else "not there"
            raise OSError(
                f"{path} is {what} after {FILE_PATIENCE} s: is a scheduler running? "
                f"dask scheduler --scheduler-file {path}"
            )
        time.sleep(0.1)
    try:
        return str(read_json(path)["address"])
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path} has no address: expected a file of dask scheduler's") from None


def _slurm(workers: int | None) -> Any:
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError:
        raise ValueError("--scheduler slurm needs pip install -e '.[cluster]'") from None
    try:
        cluster = SLURMCluster(scheduler_options={"dashboard_address": ":0"})
    except ValueError as error:
        raise ValueError(
            f"{error}\nThe jobs of --scheduler slurm are described in jobqueue.yaml, as "
            f"deploy/slurm/jobqueue.yaml: DASK_CONFIG=deploy/slurm mdlib sweep …"
        ) from None
    cluster.scale(jobs=workers or 1)
    return cluster


class _Threads:
    """This machine: a thread for each run that goes on."""

    def __init__(self, workers: int):
        self.threads, self.window = max(1, cores() // workers), 2 * workers
        self.pool = ThreadPoolExecutor(workers)

    def submit(self, task: Task) -> Any:
        return self.pool.submit(asker.execute, replace(task, threads=self.threads))

    def everywhere(self, function: Callable, *arguments: Any) -> None:
        function(*arguments)

    def news(self) -> Iterator[str]:
        return iter(())

    def __enter__(self) -> _Threads:
        return self

    def __exit__(self, *_: Any) -> None:
        self.pool.shutdown(wait=False, cancel_futures=True)


class Dask:
    """A Dask cluster. A future that is let go is forgotten there, and with it its outcome."""

    def __init__(self, client: Any, threads: int | None = None, wanted: int | None = None):
        self.client, self.threads, self.wanted = client, threads, wanted
        self.window, self.known, self.waited = 64, {}, None
        self.looked = 0.0

    def submit(self, task: Task) -> Any:
        task = replace(task, threads=self.threads)
        return self.client.submit(execute_there, task, pure=False, retries=0)

    def everywhere(self, function: Callable, *arguments: Any) -> None:
        with suppress(Exception):  # who can't be reached has nobody to obey any more
            self.client.run(function, *arguments, on_error="ignore")

    def news(self) -> Iterator[str]:
        now = time.monotonic()
        if now < self.looked + 1:
            return
        self.looked = now
        workers = self.client.scheduler_info(n_workers=-1).get("workers", {})
        for address in self.known.keys() - workers.keys():
            yield f"worker {address} is lost: what it was at begins again elsewhere"
        self.known = workers
        self.window = max(64, 2 * sum(worker["nthreads"] for worker in workers.values()))
        if workers:
            self.waited = None
        elif self.waited is None or now > self.waited + 60:
            yield f"waiting for workers: 0 of {self.wanted or 'any number'} are there"
            self.waited = now


def execute_there(task: Task) -> Outcome:
    """`asker.execute` on a worker of Dask's, with its share of that machine."""
    if task.threads is None:
        from distributed import get_worker

        said = os.environ.get("OMP_NUM_THREADS", "1")  # Dask itself says 1
        alone = max(1, cores() // get_worker().state.nthreads)
        task = replace(task, threads=int(said) if said.isdecimal() and int(said) > 1 else alone)
    return asker.execute(task)
