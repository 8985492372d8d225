"""What the tests of chapters, of runs and of the site share."""

import subprocess
import sys
from pathlib import Path

import pytest

from mdlib import chapters, data

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
sizes = [
    1,
    2,
]  # of the layers
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


@pytest.hookimpl(tryfirst=True)  # before xdist looks for the groups
def pytest_collection_modifyitems(items):
    """In two processes, the tests of a file stay together, and so do all that read the site."""
    for item in items:
        group = "site" if "site" in item.fixturenames else item.path.name
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def site():
    """The folder of the site, built once for all tests that read it."""
    pytest.importorskip("jupyter_book")
    folder = Path(__file__).resolve().parents[1] / "book"
    command = [sys.executable, folder / "build.py"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "_build" / "html"


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A book with two chapters, and data whose check is recorded instead of done."""
    for name in ("tiny", "theory/latent_model"):
        path = tmp_path / "book/notebooks" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(TINY)
    monkeypatch.setattr(chapters, "root", lambda: tmp_path / "book")
    monkeypatch.setattr(data, "check", lambda name, root=None: None)
    return tmp_path / "book/notebooks"
