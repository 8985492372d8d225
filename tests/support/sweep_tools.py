"""A chapter that can go wrong in every way, sweeps over it, and looks at what they leave."""

import contextlib
import json
import subprocess
import sys
import time

import psutil

from mdlib import sweep
from mdlib.sweep import driver, plan

CHAPTER = """\
# %% [markdown]
# # A chapter for sweeps
#
# **Time:** 2 seconds

# %% tags=["parameters"]
seed = 0  # of nothing
rate = 0.5  # of nothing
act = ""  # what goes wrong
once = True  # but not if it is tried again
wait = 0.0  # seconds
out = ""  # where to

# %%
import os
import signal
import time
from pathlib import Path

import mdlib

tried = Path(out, "tried")
if tried.exists() and once:
    act = ""
tried.touch()
print("the act is", act)

# %%
if act == "exit":
    os._exit(3)
elif act == "crash":
    os.kill(os.getpid(), signal.SIGSEGV)
elif act == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
elif act == "raise":
    raise ValueError("as you wished")
elif act == "hang":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Path(out, "hangs").touch()
    while True:
        time.sleep(600)
elif act == "fill":
    with open(Path(out, "big"), "wb") as file:
        while True:
            file.write(bytes(65536))
time.sleep(wait)

# %%
mdlib.record(out, seed=seed, rate=rate, score=100 * rate + seed)
"""


def write(folder, text, chapter=CHAPTER, name="s"):
    """A sweep and its chapter in a folder; the path of the sweep."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "chapter.py").write_text(chapter)
    path = folder / f"{name}.yaml"
    path.write_text("chapter: chapter.py\n" + text)
    return path


def start(path, out, *arguments):
    """A driver in a process of its own."""
    command = [sys.executable, "-m", "mdlib.cli", "sweep", path, "--out", out, *arguments]
    return subprocess.Popen(
        [str(word) for word in command],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
    return result


def folder_of(path, out, number):
    return driver.folders(sweep.load(path), out.resolve())[number]


def started(path, out, number):
    """The id of the process that performs a run, as soon as it does."""
    folder = folder_of(path, out, number)

    def pid():
        return [event["pid"] for event in plan.read_log(folder) if event["event"] == "start"]

    return wait_for(pid)[-1]


def descendants(process):
    """The forkserver and the runs of a driver."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(process.pid).children(recursive=True)
    return []


def assert_whole(path, out, missing=()):
    """Each run is there once, with its right numbers; no temporary file, no process is left."""
    spec = sweep.load(path)
    frame = sweep.table(spec, out)
    expected = [p for p in spec.points if p.number not in missing]
    assert frame["number"].tolist() == [p.number for p in expected]
    assert frame["score"].tolist() == [
        100 * p.parameters["rate"] + p.parameters["seed"] for p in expected
    ]
    assert frame["seed"].tolist() == [p.parameters["seed"] for p in expected]
    for point, folder in zip(expected, frame["run"], strict=True):
        assert json.loads((out / folder / "params.json").read_text()) == point.parameters
        assert plan.read_status(out / folder)["state"] == "done"
    assert not list(out.glob("*/.*.tmp")), "temporary files were left behind"
    return frame
