"""Who performs the runs: this machine, or a Dask cluster.

An engine is anything with `submit(function, *arguments)` whose result has `done()` and `result()`:
Python's own executors, Dask's, submitit's. Each run has its own process wherever it lands, so the
local engine needs no more than threads that wait for these.
"""

from __future__ import annotations

import os
import queue
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol


class Engine(Protocol):
    def submit(self, function: Callable, /, *arguments: Any) -> Any:
        """Begin ``function(*arguments)`` some time; an object with `done()` and `result()`."""


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpus() -> list[str]:
    """The CUDA devices that this process may use; torch is not asked, it takes seconds to wake."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name not in ("", "-1")]
    return [str(n) for n in range(len([*Path("/dev").glob("nvidia[0-9]*")]))]


@contextmanager
def opened(scheduler: str | None, workers: int | None) -> Iterator[Engine]:
    """The engine for ``--scheduler``: None (this machine), "local", or a Dask scheduler's address.

    Raises ValueError for an address that makes no sense or if Dask is not installed, OSError if
    there is no scheduler at the address.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"workers is {workers}, expected 1 or more")
    if scheduler is None:
        with _local(workers) as engine:
            yield engine
        return
    if scheduler != "local" and "://" not in scheduler:
        raise ValueError(f"scheduler {scheduler!r}: expected local, or an address: tcp://HOST:PORT")
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise ValueError("--scheduler needs Dask: pip install -e '.[cluster]'") from None
    with ExitStack() as stack:
        if scheduler == "local":
            count = workers or len(gpus()) or cores()
            threads = max(1, cores() // count)
            cluster = LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                dashboard_address=None,
                resources={"GPU": 1} if gpus() else None,
                env=dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads)),
            )
            scheduler = stack.enter_context(cluster)
        client = stack.enter_context(Client(scheduler))
        resources = [w.get("resources", {}) for w in client.scheduler_info(-1)["workers"].values()]
        wanted = {"GPU": 1} if any("GPU" in declared for declared in resources) else None
        yield stack.enter_context(_Dask(client.get_executor(pure=False, resources=wanted)))


class _Dask:
    """Dask's executor; waiting runs are cancelled when the driver leaves."""

    def __init__(self, executor: Any):
        self.executor, self.futures = executor, []

    def submit(self, function: Callable, /, *arguments: Any) -> Future:
        future = self.executor.submit(function, *arguments)
        self.futures.append(future)
        return future

    def __enter__(self) -> _Dask:
        return self

    def __exit__(self, *_: Any) -> None:
        for future in self.futures:
            future.cancel()
        self.executor.shutdown(wait=False)


@contextmanager
def _local(workers: int | None) -> Iterator[Engine]:
    devices = gpus()
    workers = workers or len(devices) or cores()
    pool = ThreadPoolExecutor(workers)
    try:
        yield _Local(pool, workers, devices)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


class _Local:
    """Gives each run its share of this machine: a number of threads, and one GPU in turn."""

    def __init__(self, pool: ThreadPoolExecutor, workers: int, devices: list[str]):
        self.pool, self.devices = pool, devices
        self.threads = max(1, cores() // workers)
        self.places: queue.SimpleQueue[int] = queue.SimpleQueue()
        for place in range(workers):
            self.places.put(place)

    def submit(self, function: Callable, /, *arguments: Any) -> Future:
        return self.pool.submit(self._run, function, *arguments)

    def _run(self, function: Callable, task: dict[str, Any]) -> Any:
        place = self.places.get()
        try:
            share = {"threads": self.threads}
            if self.devices:
                device = self.devices[place % len(self.devices)]
                share["variables"] = task["variables"] | {"CUDA_VISIBLE_DEVICES": device}
            return function(task | share)
        finally:
            self.places.put(place)
