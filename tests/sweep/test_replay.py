"""Collected rows can be made again: by the code of today, one of each family of methods."""

import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import mdlib
from mdlib import sweep
from mdlib.notebook import provenance
from mdlib.sweep import engines
from mdlib.sweep.table import MACHINE

module = sys.modules["mdlib.sweep.replay"]  # whose name in the package is that of its function
Value, TOLERANCE = module.Value, module.TOLERANCE
ROOT = Path(__file__).resolve().parents[2]
CHAPTER = """\
# %% tags=["parameters"]
seed = 0  # of all
lr = 0.0  # 0 chooses
out = ""  # where

# %%
import mdlib
from helper import score

rows = [{"part": p, "score": score(seed), "lr": lr or 0.5, "none": None} for p in "ab"]
mdlib.record(out, rows)
"""


def value(collected, replayed, tolerance=0.0):
    return Value(1, 1, "x", collected, replayed, tolerance)


def test_on_the_same_machine_the_last_bit_counts():
    assert value(0.3, 0.3).agrees
    assert not value(0.3, 0.1 + 0.2).agrees
    assert value(math.nan, math.nan).agrees
    assert value("a", "a").agrees
    for one, other in [(math.nan, 0.0), (0.0, math.nan), (0.5, None), ("a", "b"), ("a", math.nan)]:
        assert not value(one, other).agrees
        assert not value(one, other, TOLERANCE).agrees, "nothing is within a tolerance of nothing"


def test_elsewhere_a_tolerance_counts_which_is_relative_to_large_numbers():
    assert value(0.5, 0.5 + 0.9 * TOLERANCE, TOLERANCE).agrees
    assert not value(0.5, 0.5 + 1.1 * TOLERANCE, TOLERANCE).agrees
    assert value(-400.0, -400.0 * (1 + 0.9 * TOLERANCE), TOLERANCE).agrees
    assert not value(-400.0, -400.0 * (1 + 1.1 * TOLERANCE), TOLERANCE).agrees


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    (folder / "chapter.py").write_text(CHAPTER)
    (folder / "helper.py").write_text("def score(seed):\n    return 0.1 * seed\n")
    (folder / "s.yaml").write_text("chapter: chapter.py\nseeds: 3\n")
    spec = sweep.load(folder / "s.yaml")
    sweep.run(spec, folder / "runs", workers=1, quiet=True)
    sweep.collect(spec, folder / "runs")
    return spec


def command(path, *arguments, package=ROOT):
    """`mdlib replay` as on the command line, with mdlib from the folder `package`."""
    told = subprocess.run(
        [sys.executable, "-m", "mdlib.cli", "replay", str(path), *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(package)},
        cwd=package,
        capture_output=True,
        text=True,
        check=False,
    )
    return told.returncode, told.stdout + told.stderr


def test_rows_of_the_same_code_come_out_the_same(small):
    code, said = command(small.path, "--runs", 2, "--seed", 1)
    assert code == 0, said
    assert "the same, to the last bit" in said
    assert "what differs" not in said


def test_a_difference_ends_with_a_code_and_is_named(small):
    helper = small.path.parent / "helper.py"
    before = helper.read_text()
    helper.write_text(before.replace("0.1 * seed", "0.1 * seed + 1e-12"))
    try:
        values = sweep.replay(small, runs=3, quiet=True)
        assert {v.metric for v in values if not v.agrees} == {"score"}
        assert {(v.number, v.row) for v in values} == {(n, r) for n in (1, 2, 3) for r in (1, 2)}
        assert {v.metric for v in values} == {"part", "score", "lr (used)", "none"}
        helper.write_text("raise RuntimeError('as you wished')\n")
        code, said = command(small.path, "--runs", 3)
        assert code == 1, "all have failed, and are not compared with their own rows"
        assert "as you wished" in said
        notebooks = {*re.findall(r"executed up to there: (\S+)", said)}
        assert len(notebooks) == 3 and all(Path(notebook).exists() for notebook in notebooks)
        shutil.rmtree(Path(notebooks.pop()).parents[1])
    finally:
        helper.write_text(before)


def test_which_runs_are_executed_is_decided_by_seed_or_price(small, monkeypatch):
    frame = sweep.read_csv(small)
    asked = []

    def run(some, out, *arguments, **options):
        asked.append([point.number for point in some.points])
        return SimpleNamespace(failures={})

    monkeypatch.setattr(module.driver, "run", run)
    for options in [{"seed": 3}, {"seed": 3}, {"cheap": True}, {"runs": 3}]:
        values = sweep.replay(small, **options)
        assert not any(v.agrees for v in values if v.metric != "none"), "nothing came of it"
    cheapest = frame.groupby("number")["run_seconds"].first().idxmin()
    assert asked[0] == asked[1]
    assert asked[2:] == [[cheapest], [1, 2, 3]]
    for seed in range(9):
        sweep.replay(small, seed=seed)
    assert {tuple(numbers) for numbers in asked[4:]} == {(1,), (2,), (3,)}
    with pytest.raises(ValueError, match=r"runs=4: expected 1 to 3"):
        sweep.replay(small, runs=4)


def test_a_row_more_or_less_is_a_difference(small):
    frame = sweep.read_csv(small)
    for kept, anew in [(frame[1:], frame), (frame, frame[1:])]:
        values = module._values(small, 1, kept, anew)
        assert {(v.row, v.metric) for v in values if not v.agrees} >= {(2, "part"), (2, "score")}


def test_a_column_of_other_runs_is_no_difference(small):
    frame = sweep.read_csv(small)
    kept = frame.assign(**{"loss of another method": math.nan})
    assert all(v.agrees for v in module._values(small, 1, kept, frame))
    gone = module._values(small, 1, kept.assign(**{"loss of another method": 0.5}), frame)
    assert {v.metric for v in gone if not v.agrees} == {"loss of another method"}


def test_rows_of_another_machine_have_a_tolerance(small):
    frame = sweep.read_csv(small)

    def tolerances(kept):
        return {v.tolerance for v in module._values(small, 1, kept, frame)}

    assert tolerances(frame) == {0.0}
    for column in MACHINE:
        assert tolerances(frame.assign(**{column: "another"})) == {TOLERANCE}
        assert tolerances(frame.assign(**{column: math.nan})) == {TOLERANCE}, "it is not known"


# --- the book's own rows


@pytest.mark.parametrize("name", ["replay", "replay_partitioned"])
def test_rows_of_each_family_of_methods_come_out_the_same(name):
    values = sweep.replay(name, quiet=True)
    differ = [v for v in values if not v.agrees]
    assert not differ, f"are these changes meant? Then: mdlib sweep {name}, mdlib collect {name}"
    lines = len(sweep.read_csv(name))
    assert lines > 1 and len({v.row for v in values}) == lines


def test_a_broken_byol_is_told(tmp_path):
    """Its target stands still: nothing else fails, the loss falls, and the codes are others.

    By less than rounding makes of 50 steps elsewhere: so this is for the rows' kind of machine.
    """
    rows = sweep.read_csv("replay").iloc[0]
    here = provenance.environment("cpu", 0.0)
    this = here["device_name"], here["versions"]["torch"]
    if this != (rows["run_device_name"], rows["run_torch"]):
        pytest.skip(f"the rows are of {rows['run_device_name']}, torch {rows['run_torch']}")
    if engines.cores() < rows["run_threads"]:
        pytest.skip(f"the rows are of {rows['run_threads']:.0f} threads, here are fewer cores")
    shutil.copytree(Path(mdlib.__file__).parent, tmp_path / "mdlib")
    (tmp_path / "notebooks").symlink_to(ROOT / "notebooks")
    byol = tmp_path / "mdlib/methods/byol.py"
    text = byol.read_text()
    assert "follow(target, online, tau)" in text
    byol.write_text(text.replace("follow(target, online, tau)", "pass"))
    code, said = command("replay", package=tmp_path)
    assert code == 1, said
    assert "content, new views" in said
