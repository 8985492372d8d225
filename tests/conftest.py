"""What the tests of chapters and of runs share."""

import sys
from pathlib import Path

import pytest
import shapes

shapes.install()  # before mdlib is imported

from mdlib import data  # noqa: E402
from mdlib.notebook import chapters  # noqa: E402

ROOT = Path(__file__).parent

# What takes longest, the longest first. pytest-xdist hands files out in this order, so that
# no core waits for one that began last; `--no-loadscope-reorder` keeps it from sorting by numbers.
LONGEST = (
    "book/test_site.py",
    "test_theorems.py",
    "sweep/test_survives.py",
    "test_grading.py",
    "sweep/test_replay.py",
    "metrics/test_fitted.py",
    "training/test_fit.py",
    "mi/test_estimate.py",
)


def pytest_collection_modifyitems(items):
    places = {ROOT / file: place for place, file in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.fixture(autouse=True)
def no_figures_left():
    """pyplot's figures belong to a process: a test may not see those of another."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


TINY = r"""# %% [markdown]
# # A tiny chapter
#
# *What is one
# and one?*
#
# You need *nothing, do you?* **Time**: 2 s on one core
#
# The bound of equation (1) holds for $x \in \mathbb{R}$:
#
# $$ \log p(x) \ge 0 \tag{1} $$
#
# ![a remote image](https://example.org/x.png) and [a link](https://example.org/).

# %% tags=["parameters"]
seed = 0  # of every generator
rate: float = 0.5  # step size
device = "auto"  # where
dataset = "digits"  # what
fail = False  # on purpose
sizes = (
    "1,2"
)  # of the layers [some whole numbers, 1 or more]
out = ""  # where to

# %%
import mdlib

if fail:
    raise ValueError("as you wished")
mdlib.record(out, seed=seed, rate=rate, sizes=str(sizes))

# %%
from IPython.display import HTML, Latex

display(HTML('<img src="https://example.org/y.png">'))
Latex(r"$\frac{1}{2}$")
"""


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A book with two chapters, and data whose check is recorded instead of done."""
    for name in ("tiny", "theory/latent_model"):
        path = tmp_path / "book/notebooks" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(TINY)
    monkeypatch.setattr(chapters, "root", lambda: tmp_path / "book")
    monkeypatch.setattr(data, "check", lambda name, **options: None)
    return tmp_path / "book/notebooks"
