"""`make lab` works on a copy: the checkout stays as it is, and what was changed is kept."""

import json
import os
import re
import shutil
from pathlib import Path

import lab
import nbformat
import pytest
from lab_tools import opened, run_cells, running
from nbformat.v4 import new_code_cell, new_notebook
from site_tools import chromium, drag

from mdlib.notebook import chapters


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout with two chapters."""
    for name in ("start_here", "theory/infonce_bound"):
        for suffix in (".py", ".ipynb"):
            source = chapters.root() / "notebooks" / f"{name}{suffix}"
            copy = tmp_path / "notebooks" / f"{name}{suffix}"
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
    monkeypatch.setattr(lab, "ROOT", tmp_path)
    monkeypatch.setattr(lab, "LAB", tmp_path / "runs" / "lab")
    monkeypatch.setattr(chapters, "root", lambda: tmp_path)
    return tmp_path


def test_a_copy_of_all_notebooks_which_is_kept(checkout):
    before = {path: path.read_bytes() for path in (checkout / "notebooks").rglob("*.*")}
    folder = lab.working_copy()
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*.*")}
    assert found == {"start_here.ipynb", "theory/infonce_bound.ipynb"}
    notebook = json.loads((folder / "start_here.ipynb").read_text())
    assert any(cell.get("outputs") for cell in notebook["cells"]), "it comes with its outputs"
    (folder / "start_here.ipynb").write_text("mine")
    lab.working_copy()
    assert (folder / "start_here.ipynb").read_text() == "mine"
    assert {path: path.read_bytes() for path in (checkout / "notebooks").rglob("*.*")} == before


def test_a_fresh_one_puts_the_present_one_away(checkout):
    for n in (1, 2):
        (lab.working_copy() / "start_here.ipynb").write_text(f"mine {n}")
        fresh = lab.working_copy(fresh=True) / "start_here.ipynb"
        assert fresh.read_text() != f"mine {n}"
        assert (checkout / "runs" / f"lab-{n}" / "start_here.ipynb").read_text() == f"mine {n}"


def test_saving_a_copy_writes_no_second_file(checkout):
    """The checkout's [tool.jupytext] pairs every notebook below it; a copy is left alone."""
    from jupyter_server.services.contents.largefilemanager import LargeFileManager
    from jupytext.sync_contentsmanager import build_sync_jupytext_contents_manager_class

    shutil.copyfile(Path(__file__).parents[1] / "pyproject.toml",
                    checkout / "pyproject.toml")  # fmt: skip
    folder = lab.working_copy()
    manager = build_sync_jupytext_contents_manager_class(LargeFileManager)()
    manager.root_dir = str(folder)
    model = manager.get("start_here.ipynb")
    manager.save(model, "start_here.ipynb")
    assert not list(folder.rglob("*.py"))


def test_another_word_is_refused(capsys):
    assert lab.main("new") == 2
    assert "expected nothing, or fresh" in capsys.readouterr().err


# --- in a browser

EXPLORABLES = """
from mdlib.figures import explorable
figure = explorable.curves("a-line", {"up": range(5)}, {"x": range(5)}, along="x")
figure
"""

asked = pytest.mark.skipif(
    "JUPYTERLAB" not in os.environ, reason="a minute, with Chromium: make test-lab has it"
)


@asked
def test_a_chapter_and_explorables_run_in_jupyterlab(checkout, tmp_path):
    """The first cells up to the training, whose bar moves; a figure that is dragged, both ways."""
    folder = lab.working_copy()
    cells = nbformat.read(folder / "start_here.ipynb", as_version=4).cells
    training = next(n for n, c in enumerate(cells) if "fit(" in c.source and c.cell_type == "code")
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells = [new_code_cell(EXPLORABLES), new_code_cell("figure.live()")]
    own = new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(own, folder / "explorables.ipynb")
    errors = []
    with running(folder, tmp_path) as address, chromium() as browser:
        page = opened(browser, address, "start_here.ipynb", errors)
        run_cells(page, training + 1)
        page.locator(".jp-OutputArea .widget-hprogress").first.wait_for()
        counted = page.locator(".jp-OutputArea .widget-html-content").filter(has_text="/").last
        page.wait_for_function("([node, text]) => node.textContent !== text",
                               arg=[counted.element_handle(), counted.text_content()])  # fmt: skip
        assert re.search(r"[1-9]\d*/\d+", counted.text_content())
        page.keyboard.press("i")
        page.keyboard.press("i")  # interrupts

        page = opened(browser, address, "explorables.ipynb", errors)
        run_cells(page, 2)
        figure = page.locator(".jp-OutputArea figure[data-explorable=a-line]")
        figure.get_by_text("up 0.00").wait_for()
        drag(page, figure.locator("input[type=range]"))
        assert re.search("up [34].00", figure.text_content())
        live = page.locator(".jp-OutputArea .widget-vbox")
        live.get_by_text("up 0.00").wait_for()
        live.locator(".noUi-handle").press("ArrowRight")
        live.get_by_text("up 1.00").wait_for()
    assert errors == []
