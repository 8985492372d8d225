"""The standard figures of a sweep: what they show is what NAME.csv says."""

import math
import re
from importlib import import_module

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import seaborn as sns
import torch
from sweep_tools import write

from mdlib import sweep
from mdlib.cli import app
from mdlib.figures import pictures
from mdlib.notebook import chapters
from mdlib.sweep import rowfile

GRID = "grid:\n  rate: [0.1, 0.5, 10.0]\n  act: [calm, wild]\nseeds: 3\n"


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def collected(folder, text=GRID, score=lambda p: 100 * p["rate"] + p["seed"]):
    """A private sweep with its rows beside it."""
    path = write(folder, text)
    spec = sweep.load(path)
    made = dict.fromkeys(("run_device", "run_commit", "run"), "x") | {"run_seconds": 1.0}
    rows = [
        rowfile.settings(p) | {"score": score(p.parameters), "cost": 1.0} | made
        for p in spec.points
    ]
    rowfile.write(spec, list(rows[0]), rows)
    return path


def texts(figure):
    return [label.get_text() for axis in figure.axes for label in axis.get_yticklabels()]


def test_three_kinds_of_figures(tmp_path):
    figures = sweep.draw(collected(tmp_path))
    assert list(figures) == ["dots", "forest", "curve rate"]
    assert "0.1, calm" in texts(figures["dots"]) and "10, wild" in texts(figures["dots"])
    assert [axis.get_title() for axis in figures["dots"].axes] == ["score", "cost"]


def test_a_curve_has_the_means_of_the_rows(tmp_path):
    figure = sweep.draw(collected(tmp_path), ["score"])["curve rate"]
    (axis,) = figure.axes
    lines = [line for line in axis.get_lines() if line.get_linestyle() == "-"]
    assert len(lines) == 2
    for line in lines:  # calm and wild: the same, by this score
        assert line.get_xdata().tolist() == [0.1, 0.5, 10.0]
        assert line.get_ydata() == pytest.approx([11, 51, 1001])  # + the mean seed, 1
    assert axis.get_xscale() == "log", "from 0.1 to 10"
    legend = {text.get_text() for text in figure.legends[0].get_texts()}
    assert legend == {"calm", "wild"}


def test_a_forest_has_the_differences_from_one_setting(tmp_path):
    figure = sweep.draw(collected(tmp_path), ["score"], against="0.5, wild")["forest"]
    (axis,) = figure.axes
    assert texts(figure) == ["0.1, calm", "0.1, wild", "0.5, calm", "10, calm", "10, wild"]
    dots = [line.get_xdata()[0] for line in axis.get_lines() if line.get_marker() == "o"]
    assert dots == pytest.approx([-40, -40, 0, 950, 950])
    assert figure.get_supxlabel() == "difference from 0.5, wild, paired by seed"


def test_only_some_rows(tmp_path):
    figures = sweep.draw(collected(tmp_path), ["score"], {"act": "calm"})
    assert texts(figures["dots"]) == ["0.1", "0.5", "10"]
    assert not figures["curve rate"].legends


def test_what_the_rows_do_not_allow_is_not_drawn(tmp_path):
    path = collected(tmp_path, "grid: {act: [calm, wild]}\nseeds: 1\n")
    assert list(sweep.draw(path)) == ["dots"], "one seed has no interval, two words no curve"


def test_a_sweep_of_one_setting_has_one_dot(tmp_path):
    figures = sweep.draw(collected(tmp_path, "seeds: 3\n"))
    assert list(figures) == ["dots"] and texts(figures["dots"]) == ["s"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"metrics": ["scor"]}, "unknown metric 'scor': did you mean 'score'"),
        ({"only": {"rates": "1"}}, "unknown column 'rates': did you mean 'rate'"),
        ({"only": {"act": "mild"}}, "no row has act = mild: there are calm, wild"),
        ({"against": "0.1, cal"}, "unknown setting '0.1, cal': did you mean '0.1, calm'"),
    ],
)
def test_what_is_not_there_is_named(tmp_path, given, message):
    with pytest.raises(ValueError, match=message):
        sweep.draw(collected(tmp_path), **given)


def test_too_many_settings_for_a_figure(tmp_path):
    path = collected(tmp_path, f"grid: {{rate: {[r / 100 for r in range(1, 71)]}}}\nseeds: 1\n")
    with pytest.raises(ValueError, match="70 settings, and a figure shows 60 at most"):
        sweep.draw(path)


def test_the_column_of_most_values_is_proposed(tmp_path):
    rates = [r / 100 for r in range(1, 41)]
    path = collected(tmp_path, f"grid: {{rate: {rates}, act: [calm, wild]}}\nseeds: 1\n")
    with pytest.raises(ValueError, match="--only rate="):
        sweep.draw(path)


def test_what_a_row_lacks_is_no_part_of_its_label():
    rows = pd.DataFrame({"act": ["calm", None], "rate": [0.5, 2.0]}).astype({"act": "str"})
    assert import_module("mdlib.sweep.draw")._words(rows) == ["calm, 0.5", "2"]


def test_without_rows_it_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"mdlib sweep .*s\.yaml, then mdlib collect "):
        sweep.draw(write(tmp_path, GRID))


def test_the_command_writes_them_where_it_says(tmp_path, monkeypatch, capsys):
    path = collected(tmp_path)
    monkeypatch.chdir(tmp_path)
    from typer.testing import CliRunner

    done = CliRunner().invoke(app, ["plot", str(path), "-m", "score", "--format", "svg"])
    assert done.exit_code == 0, done.output
    written = {file.name for file in (tmp_path / "runs" / "plots" / "s").iterdir()}
    assert written == {"dots.svg", "forest.svg", "curve-rate.svg"}
    assert all(name in done.output for name in written)
    for arguments, message in [
        (["--format", "gif"], "--format gif: expected png, svg or pdf"),
        (["--only", "act"], "--only takes COLUMN=VALUE; there is only 'act'"),
        (["--only", "act=1", "--only", "act=2"], "--only names a column twice"),
    ]:
        refused = CliRunner().invoke(app, ["plot", str(path), *arguments])
        assert refused.exit_code == 2 and message in refused.output


def test_numbers_of_a_committed_sweep(tmp_path):
    """start_here: a label a method, and the mean of its rows."""
    rows = sweep.read_csv("start_here")
    figures = sweep.draw("start_here", ["style"])
    assert texts(figures["dots"]) == ["VAE", "untrained", "SimVE", "InfoNCE", "BYOL"]
    (axis,) = figures["dots"].axes
    dots = axis.get_lines()[0].get_xdata()
    means = rows.groupby("method", sort=False)["style"].mean()
    assert all(math.isclose(a, b) for a, b in zip(dots, means, strict=True))


def test_the_three_lines_of_the_chapter_draw_the_same(tmp_path):
    """What experiments/sweeps gives for a figure of one's own, with this sweep's columns."""
    text = (chapters.root() / "notebooks/experiments/sweeps.py").read_text(encoding="utf-8")
    (lines,) = re.findall(r"# ```python\n((?:# .*\n)+)# ```", text)
    lines = lines.replace("# ", "").replace("NAME", str(collected(tmp_path)))
    assert lines.count("\n") == 3
    lines = lines.replace("latent_dim", "rate").replace('"accuracy"', '"score"')
    exec(lines, {"sweep": sweep, "sns": sns, "plt": plt})
    (axis,) = plt.gcf().axes
    assert axis.get_lines()[0].get_ydata() == pytest.approx([11, 51, 1001])


def test_pictures_that_rows_keep_are_shown_with_their_labels(tmp_path):
    spec = sweep.load(write(tmp_path, "seeds: 1\n"))
    first, second = torch.zeros(3, 1, 4, 4), torch.full((3, 1, 4, 4), 0.4)
    made = dict.fromkeys(("run_device", "run_commit", "run"), "x") | {"run_seconds": 1.0}
    given = rowfile.settings(spec.points[0])
    kept = [{"shown": n, "pictures": pictures.as_text(x)} for n, x in (("a", first), ("b", second))]
    rows = [given | {"score": 1.0, "shown": None, "pictures": None} | made]
    rows += [given | {"score": None} | one | made for one in kept]
    rowfile.write(spec, list(rows[0]), rows)
    sweep.show_pictures(spec.path, ["x", "y", "z"])
    axis = plt.gca()
    assert texts(plt.gcf()) == ["a", "b"]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["x", "y", "z"]
    centres = axis.images[0].get_array()[4::8, 4::8]
    np.testing.assert_allclose(centres, [[0, 0, 0], [0.4, 0.4, 0.4]])
    sweep.show_pictures(spec.path, rows=slice(1, None))
    assert texts(plt.gcf()) == ["b"]


@pytest.mark.parametrize("rows", [slice(None), slice(5, 7)])
def test_without_pictures_none_are_drawn(tmp_path, rows):
    sweep.show_pictures(collected(tmp_path), rows=rows)
    assert not plt.get_fignums()
