"""Time `mdlib sweep` beside plain papermill, in a shell loop and in a pool of processes.

    python benchmarks/sweep.py --points 50 --seconds 1 --workers 2

The chapter imports torch and computes for a given time, most of which is spent waiting (`--busy 0`,
the default) or on the processor (`--busy 1`). All three run the same notebooks with the same
parameters, and the table is checked. Read the ratios; the machine may be shared.

    python benchmarks/sweep.py --nothing --points 10000

How the driver itself bears up: the runs do nothing but leave their files; by threads of the driver
and by a Dask cluster whose workers are threads of this process, so that driver, scheduler and
workers share its CPU seconds. On a loaded machine, 10 000 points: by threads 206 runs a second and
4 MiB more, by Dask 130 a CPU second and 34 MiB more. `--status` of 1000, 2000, 4000 stale runs:
0.3, 0.4, 0.6 CPU seconds; when each run looked through the folder for itself, 1.6, 4.5, 19.5.
"""

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

EMPTY = hashlib.sha256(b"{}").hexdigest()
CHAPTER = """\
# %% tags=["parameters"]
seed = 0  # of the numbers
seconds = 1.0  # how long it takes
busy = 0.0  # the share of it on the processor
out = ""  # where to

# %%
import time

import torch

import mdlib

start = time.perf_counter()
x = torch.randn(64, 64, generator=torch.Generator().manual_seed(seed))
while time.perf_counter() - start < busy * seconds:
    x = torch.tanh(x @ x)
time.sleep((1 - busy) * seconds)

# %%
mdlib.record(out, score=2 * seed)
"""


def papermill_command(notebook: Path, out: Path, seed: int, options: argparse.Namespace) -> list:
    values = {"seed": seed, "seconds": options.seconds, "busy": options.busy, "out": str(out)}
    words = [word for name, value in values.items() for word in ("-p", name, str(value))]
    program = [sys.executable, "-m", "papermill", "--no-progress-bar", "--log-level", "ERROR"]
    return [*program, "-k", "python3", str(notebook), str(out / "executed.ipynb"), *words]


def loop(notebook: Path, out: Path, options: argparse.Namespace) -> None:
    """What a shell loop does: papermill's command once for each point, one after the other."""
    for seed in range(options.points):
        (out / str(seed)).mkdir(parents=True)
        command = papermill_command(notebook, out / str(seed), seed, options)
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


def one(notebook: Path, out: Path, seed: int, options: argparse.Namespace) -> None:
    import logging

    import papermill

    logging.getLogger("papermill").setLevel(logging.CRITICAL)
    out.mkdir(parents=True)
    values = {"seed": seed, "seconds": options.seconds, "busy": options.busy, "out": str(out)}
    papermill.execute_notebook(
        notebook,
        out / "executed.ipynb",
        values,
        kernel_name="python3",
        progress_bar=False,
        extra_arguments=["--log-level=CRITICAL"],
    )


def pool(notebook: Path, out: Path, options: argparse.Namespace) -> None:
    """Papermill's function in a pool of processes that live through the sweep."""
    with ProcessPoolExecutor(options.workers) as workers:
        futures = [
            workers.submit(one, notebook, out / str(seed), seed, options)
            for seed in range(options.points)
        ]
        for future in futures:
            future.result()


def ours(notebook: Path, out: Path, options: argparse.Namespace) -> None:
    """`mdlib sweep` from its command line, so that its own start counts too."""
    spec = notebook.with_suffix(".yaml")
    spec.write_text(
        f"chapter: {notebook.with_suffix('.py').name}\nseeds: {options.points}\n"
        f"fixed: {{seconds: {float(options.seconds)}, busy: {float(options.busy)}}}\n"
    )
    command = [sys.executable, "-m", "mdlib.cli", "sweep", spec, "--out", out]
    words = [str(word) for word in (*command, "--workers", options.workers)]
    subprocess.run(words, check=True, stderr=subprocess.DEVNULL)


def do_nothing(task):
    """A run that only leaves its files, in the place of `asker.execute`."""
    from mdlib.sweep import plan
    from mdlib.sweep.task import Outcome

    folder = Path(task.folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in (plan.NOTEBOOK, plan.ENVIRONMENT, "metrics.json"):
        (folder / name).write_text("{}")
    outcome = Outcome(task.number, "done", seconds=0.0)
    digests = dict.fromkeys((plan.NOTEBOOK, plan.ENVIRONMENT, "metrics.json"), EMPTY)
    status = {"state": "done", "ended": "2026-01-01", "seconds": 0.0, "files": digests}
    (folder / plan.STATUS).write_text(json.dumps(status))  # without fsync, which is the disk's time
    return outcome


def scale(points: int) -> None:
    """Seconds and memory of a sweep of so many runs that do nothing."""
    import psutil
    from distributed import Client, LocalCluster

    from mdlib import sweep
    from mdlib.sweep import asker, engines

    asker.execute = do_nothing
    memory = psutil.Process().memory_info
    print(f"{points} points that do nothing, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as folder:
        chapter = Path(folder, "chapter.py")
        chapter.write_text(CHAPTER)
        spec_path = Path(folder, "s.yaml")
        spec_path.write_text(f"chapter: chapter.py\nseeds: {points}\n")

        @contextmanager
        def in_process(*_):
            with (
                LocalCluster(
                    n_workers=4, threads_per_worker=1, processes=False, dashboard_address=":0"
                ) as cluster,
                Client(cluster) as client,
            ):
                yield engines.Dask(client, threads=1)

        opened = engines.opened
        for name, engine in (("threads", opened), ("Dask", in_process)):
            engines.opened = engine
            out = Path(folder, name)
            clock = time.process_time()
            spec = sweep.load(spec_path)
            loaded = time.process_time() - clock
            begin, before = time.perf_counter(), memory().rss
            clock = time.process_time()
            done = sweep.run(spec, out, 4 if engine is opened else None, quiet=True)
            ran, spent = time.perf_counter() - begin, time.process_time() - clock
            grown = (memory().rss - before) / 2**20
            assert done.counts == {"done": points}, done.counts
            clock = time.process_time()
            assert set(sweep.states(spec, out).values()) == {"done"}
            looked = time.process_time() - clock
            print(
                f"{name:8} {points / ran:6.0f} runs a second, {points / spent:6.0f} a CPU second, "
                f"{grown:5.1f} MiB more; CPU seconds: load {loaded:.1f}, --status {looked:.1f}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--busy", type=float, default=0.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--nothing", action="store_true")
    options = parser.parse_args()
    if options.nothing:
        return scale(options.points)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the same for all three

    import nbformat

    from mdlib.notebook.chapters import Chapter

    print(f"{options.points} points of {options.seconds:g} s, {options.workers} workers, ", end="")
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}")
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        chapter = Path(folder, "chapter.py")
        chapter.write_text(CHAPTER)
        notebook = chapter.with_suffix(".ipynb")
        nbformat.write(Chapter(chapter).notebook(), notebook)
        # compiled modules for all, as where Python is free to keep them; the first round makes them
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = str(Path(folder, "compiled"))
        first = argparse.Namespace(**vars(options) | {"points": 1})
        for way in (ours, loop):
            way(notebook, Path(folder, "first", way.__name__), first)
        for way in (ours, pool, loop):
            out, start = Path(folder, way.__name__), time.perf_counter()
            way(notebook, out, options)
            seconds[way.__name__] = time.perf_counter() - start
            rows = [json.loads(path.read_text())[0] for path in out.glob("*/metrics.json")]
            assert sorted(row["score"] for row in rows) == [2 * n for n in range(options.points)]
    names = {"ours": "mdlib sweep", "pool": "papermill in a pool", "loop": "papermill in a loop"}
    for way, name in names.items():
        print(f"{name:20} {seconds[way]:7.1f} s   {seconds[way] / seconds['ours']:5.2f} ×")


if __name__ == "__main__":
    main()
