"""What a run leaves does not depend on who performed it; each gets its share of the machine."""

import contextlib
import dataclasses
import itertools
import json
import os
import re
import subprocess
import sys
from types import SimpleNamespace

import nbformat
import pytest
from sweep_tools import write

from mdlib import sweep
from mdlib.notebook import execution
from mdlib.notebook.chapters import Chapter
from mdlib.sweep import asker, driver, engines, plan, preload, sources, task

CHAPTER = """\
# %% [markdown]
# # A small chapter
#
# Some prose with $x^2$.

# %% tags=["parameters"]
seed = 0  # of the numbers
out = ""  # where to

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import mdlib

print("to stdout", __name__)
values = np.random.default_rng(seed).normal(size=(5, 2))
fig, ax = plt.subplots(figsize=(2, 2))
_ = ax.plot(values)

# %%
pd.DataFrame(values, columns=["a", "b"])

# %%
import sys
print(sys.argv[0].endswith("ipykernel_launcher.py"), plt.get_backend(), sys.path[-1] == "")
print(sys.flags.safe_path, sys.stdin is None, sys.exc_info())

# %%
from tqdm.auto import tqdm
from IPython.display import Markdown
display(Markdown("**bold**"))
mdlib.record(out, total=values.sum(), name=__name__)

# %%
import asyncio
import logging
import os

handle = display("first", display_id="x")
await asyncio.sleep(0)
logging.warning("a warning")
print("to stderr", file=sys.stderr)
os.write(1, b"to the file descriptor\\n")
_ = os.system("echo from a child")

# %%
handle.update("second")
from IPython.display import clear_output
print("gone")
clear_output()
!echo from the shell
%precision 3

# %%
import ipywidgets
box = ipywidgets.Output()
display(box, ipywidgets.IntSlider(value=3))
with box:
    print("inside")
for _ in tqdm(range(3)):
    pass

# %%
%matplotlib inline
plt.plot([1, 2])
"still here"

# %%
def fails():
    raise ValueError("as meant")
if seed == 4:
    fails()
"""


def content(path):
    """Sources and outputs of a notebook, without what is different each time."""
    notebook = nbformat.read(path, as_version=4)
    cells = []
    for cell in notebook.cells:
        merged = []
        for output in cell.get("outputs", []):  # how a stream is cut is the machine's mood
            same = merged and (output.get("name"), "stream") == (
                merged[-1].get("name"),
                output["output_type"],
            )
            if same:
                merged[-1]["text"] += output["text"]
            else:
                merged.append(output)
        text = re.sub(r"[0-9a-f]{32}|ipykernel_\d+", "ID", json.dumps(merged))
        text = re.sub(r"\d\d:\d\d|[0-9.]+it/s|\? *it/s", "TIME", text)
        outputs = json.loads(text)
        cells.append((cell.cell_type, cell.source, cell.get("execution_count"), outputs))
        tags = cell.metadata.get("tags")
        cells.append((tags,))
    return cells, notebook.metadata["kernelspec"], notebook.metadata["language_info"]


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_executed_notebook_is_the_same_whoever_ran_it(tmp_path):
    path = write(tmp_path / "book", "fixed: {seed: 3}\n", CHAPTER)
    plain = execution.run(
        Chapter(path.parent / "chapter.py"), {"seed": 3}, tmp_path / "plain", False
    )
    expected = content(plain.notebook)
    # the one thing that is meant to differ: the folder
    hide = re.compile(r"out = \".*\"")

    def hidden(cells):
        return [(c[0], hide.sub("out", c[1]), *c[2:]) if len(c) > 1 else c for c in cells]

    engines = {"local": {}}
    try:
        import distributed  # noqa: F401

        engines["dask"] = {"scheduler": "local"}
    except ImportError:
        pass
    for name, options in engines.items():
        out = tmp_path / name
        done = sweep.run(sweep.load(path), out, workers=1, quiet=True, **options)
        assert done.failures == {}
        [folder] = [p.parent for p in out.glob("*/status")]
        found = content(folder / plan.NOTEBOOK)
        for mine, plains in zip(hidden(found[0]), hidden(expected[0]), strict=True):
            assert mine == plains
        assert found[1:] == expected[1:]
        assert sweep.table(path, out)["total"].tolist() == [plain.metrics[0]["total"]]


def test_imports_of_a_chapter_are_found(tmp_path):
    path = tmp_path / "chapter.py"
    path.write_text(
        "# %%\nimport a.b as c, d\nfrom e import f\n\n# %%\n# %magic\n\n"
        "# %%\nif x:\n    import i\n    import beside\n"
    )
    (tmp_path / "beside.py").write_text("import other\n")
    (tmp_path / "other.py").write_text("import a\n")
    found = sources.imported(Chapter(path))
    assert found == ("a", "a.b", "d", "e", "e.f", "i", "beside", "other")


def test_what_is_preloaded_has_one_thread_to_be_forked():
    """A copy of a process has but the thread that made it; locks of others would stay locked."""
    later = preload.LATER
    modules = [*preload.NEEDED, *later, *later.values(), "matplotlib.pyplot"]
    code = f"import importlib, os\nfor m in {modules}: importlib.import_module(m)\n"
    code += "print(len(os.listdir('/proc/self/task')))"
    if not os.path.isdir("/proc/self/task"):
        pytest.skip("counting threads needs /proc")
    alone = dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    said = subprocess.run([sys.executable, "-c", code], env=alone, capture_output=True, text=True)
    assert said.stdout == "1\n", said.stderr


def run_everywhere(monkeypatch, tmp_path, scheduler, workers=2):
    """Four runs of a chapter that tells its GPU, its threads and when it ran."""
    chapter = """\
# %% tags=["parameters"]
seed = 0  # of nothing
device = "auto"  # where
out = ""  # where to

# %%
import os
import time

import mdlib

begun = time.time()
time.sleep(1)
visible = os.environ.get("CUDA_VISIBLE_DEVICES", "none")
mdlib.record(out, gpu=f"gpu {visible}", threads=os.environ["OMP_NUM_THREADS"],
             begun=begun, ended=time.time())
"""
    path = write(tmp_path / "book", "seeds: 4\n", chapter)
    done = sweep.run(
        sweep.load(path), tmp_path / "out", workers=workers, scheduler=scheduler, quiet=True
    )
    assert done.counts == {"done": 4}, done.failures
    return sweep.table(path, tmp_path / "out")


@pytest.mark.parametrize("scheduler", [None, "local"])
def test_each_run_has_a_gpu_of_its_own_and_its_share_of_threads(tmp_path, monkeypatch, scheduler):
    if scheduler:
        pytest.importorskip("distributed")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "6")  # what this machine is taken to have
    monkeypatch.setattr(asker, "gpus", asker.gpus.__wrapped__)
    rows = run_everywhere(monkeypatch, tmp_path, scheduler)
    assert set(rows["gpu"]) == {"gpu 0", "gpu 1"}
    assert set(rows["threads"].astype(int)) == {engines.cores() // 2}
    for a, b in itertools.combinations(rows.to_dict("records"), 2):
        if a["begun"] < b["ended"] and b["begun"] < a["ended"]:
            assert a["gpu"] != b["gpu"]


def test_more_runs_than_gpus_share_them(monkeypatch):
    monkeypatch.setattr(asker, "gpus", lambda: ("7", "8"))
    with contextlib.ExitStack() as stack:
        seen = []
        for number in range(4):
            one = task.Task(number, "c.py", "c", "/tmp/f", "s", "m", {})
            seen.append(stack.enter_context(asker._one_gpu(one))["CUDA_VISIBLE_DEVICES"])
    assert sorted(seen) == ["7", "7", "8", "8"]
    with asker._one_gpu(one) as variables:  # they are free again
        assert variables == {"CUDA_VISIBLE_DEVICES": "7"}
        for device in ("cpu", "cuda:1"):  # that it takes none, or which, has been said
            with asker._one_gpu(dataclasses.replace(one, parameters={"device": device})) as none:
                assert none == {}


def test_gpus_are_those_that_may_be_seen(monkeypatch):
    for visible, found in [
        ("2,3", ("2", "3")),
        ("", ()),
        ("-1", ()),
        ("0,-1,1", ("0",)),
        ("NoDevFiles", ()),
        ("none", ()),
        (" GPU-a1, MIG-b2", ("GPU-a1", "MIG-b2")),
    ]:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert asker.gpus.__wrapped__() == found


def test_gpus_and_parts_of_them_as_the_driver_lists_them(monkeypatch):
    said = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5d5b)
  MIG 3g.20gb     Device  0: (UUID: MIG-1111)
  MIG 3g.20gb     Device  1: (UUID: MIG-2222)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-6e6c)
"""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: SimpleNamespace(stdout=said))
    assert asker.gpus.__wrapped__() == ("MIG-1111", "MIG-2222", "1")

    def absent(*a, **k):
        raise FileNotFoundError("nvidia-smi")

    monkeypatch.setattr(subprocess, "run", absent)
    assert asker.gpus.__wrapped__() == ()


def test_one_gpu_does_not_hold_up_runs_that_use_none(tmp_path, monkeypatch):
    monkeypatch.setattr(engines, "gpus", lambda: ("0",))
    monkeypatch.setattr(engines, "cores", lambda: 64)
    chapter = '# %% tags=["parameters"]\ndevice = "auto"  # where\nseed = 0  # of it\n'
    for text, workers in [("fixed: {device: cpu}\n", 64), ("", 1)]:
        spec = sweep.load(write(tmp_path, text, chapter))
        assert engines.at_once(driver.uses_gpu(spec)) == workers
    monkeypatch.setattr(engines, "gpus", lambda: ())
    assert engines.at_once(True) == 64
    monkeypatch.setattr(sys, "platform", "darwin")
    assert (engines.at_once(True), engines.at_once(False)) == (1, 64)


@pytest.mark.parametrize(
    ("scheduler", "workers", "message"),
    [
        ("somewhere", None, "scheduler 'somewhere': expected local, slurm"),
        (None, 0, "workers is 0"),
        ("tcp://127.0.0.1:1", 3, "workers is 3, but those of tcp://127.0.0.1:1 are there already"),
    ],
)
def test_an_engine_that_makes_no_sense_is_refused(scheduler, workers, message):
    with pytest.raises(ValueError, match=message), engines.opened(scheduler, workers):
        pass


@pytest.mark.parametrize(("said", "given"), [("", None), ("1", 1)])
def test_a_job_of_slurm_says_how_many_cores_it_has(said, given, monkeypatch):
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    without = engines.cores()
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", said)
    assert engines.cores() == (given or without)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"dask\.json is not there after 0\.2 s: is a scheduler running"),
        ("", r"dask\.json is empty after 0\.2 s: is a scheduler running"),
        ("{not", r"dask\.json has no address: expected a file of dask scheduler's"),
        ("[1]", r"dask\.json has no address"),
        ("{}", r"dask\.json has no address"),
    ],
)
def test_a_scheduler_file_that_names_none_is_named(tmp_path, monkeypatch, content, message):
    pytest.importorskip("distributed")
    monkeypatch.setattr(engines, "FILE_PATIENCE", 0.2)
    if content is not None:
        (tmp_path / "dask.json").write_text(content)
    with (
        pytest.raises((OSError, ValueError), match=message),
        engines.opened(str(tmp_path / "dask.json"), None),
    ):
        pass
