"""What a run leaves does not depend on who performed it; each gets its share of the machine."""

import os
import re
import subprocess
import sys

import nbformat
import pytest
from sweep_tools import write

from mdlib import sweep
from mdlib.notebook import execution
from mdlib.notebook.chapters import Chapter
from mdlib.sweep import engine, plan, warm

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
"""


def content(path):
    """Sources and outputs of a notebook, without what is different each time."""
    notebook = nbformat.read(path, as_version=4)
    cells = []
    for cell in notebook.cells:
        outputs = [dict(output) for output in cell.get("outputs", [])]
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
        assert hidden(found[0]) == hidden(expected[0])
        assert found[1:] == expected[1:]
        assert sweep.table(path, out)["total"].tolist() == [plain.metrics[0]["total"]]


def test_imports_of_a_chapter_are_found():
    code = [
        "import a.b as c, d\nfrom e import f",
        "%magic",
        "if x:\n    from .g import h\n    import i",
    ]
    assert warm.imports(code) == ("a.b", "d", "e", "e.f", "i")


def test_what_is_warm_has_one_thread_to_be_forked():
    """A copy of a process has but the thread that made it; locks of others would stay locked."""
    modules = [*warm.NEEDED, *warm.LATER, *warm.LATER.values(), "matplotlib.pyplot"]
    code = f"import importlib, os\nfor m in {modules}: importlib.import_module(m)\n"
    code += "print(len(os.listdir('/proc/self/task')))"
    if not os.path.isdir("/proc/self/task"):
        pytest.skip("counting threads needs /proc")
    alone = dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    said = subprocess.run([sys.executable, "-c", code], env=alone, capture_output=True, text=True)
    assert said.stdout == "1\n", said.stderr


def test_workers_get_their_share_of_the_machine(monkeypatch):
    monkeypatch.setattr(engine, "gpus", lambda: ["0", "1"])
    monkeypatch.setattr(engine, "cores", lambda: 8)
    with engine.opened(None, 4) as pool:
        seen = [pool.submit(lambda task: task, {"variables": {"A": "1"}}) for _ in range(8)]
        tasks = [future.result() for future in seen]
    assert {task["threads"] for task in tasks} == {2}
    assert {task["variables"]["CUDA_VISIBLE_DEVICES"] for task in tasks} <= {"0", "1"}
    assert all(task["variables"]["A"] == "1" for task in tasks)


def test_gpus_are_those_that_may_be_seen(monkeypatch):
    for visible, found in [("2,3", ["2", "3"]), ("", []), ("-1", [])]:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert engine.gpus() == found


@pytest.mark.parametrize(
    ("scheduler", "workers", "message"),
    [("somewhere", None, "scheduler 'somewhere': expected local"), (None, 0, "workers is 0")],
)
def test_an_engine_that_makes_no_sense_is_refused(scheduler, workers, message):
    with pytest.raises(ValueError, match=message), engine.opened(scheduler, workers):
        pass
