"""A sweep's table is the same from the runs' folders and from NAME.csv, and NAME.csv is bound to
NAME.yaml and to itself."""

import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from typer.testing import CliRunner

from mdlib import cli, sweep
from mdlib.io import write_json
from mdlib.notebook import results
from mdlib.sweep import plan, rowfile, sources
from mdlib.sweep.claim import claims_of
from mdlib.sweep.claims import verdicts
from mdlib.sweep.table import metrics

SWEEPS = Path(__file__).resolve().parents[2] / "notebooks/sweeps"
COMMITTED = sorted(p.stem for p in SWEEPS.glob("*.csv") if not p.match("*.claims.csv"))
CLAIMING = [n for n in COMMITTED if claims_of(SWEEPS / f"{n}.yaml")]
ENVIRONMENT = {
    "device": "cpu",
    "device_name": "Abacus 3",
    "threads": 2,
    "commit": "1e5",
    "versions": {"torch": "2.15.0"},
}
CHAPTER = """\
# %% tags=["parameters"]
seed = 0  # of all
lr = 0.0  # 0 chooses
name = ""  # any text
big = False  # so
out = ""  # where
"""


def make(folder, text, *recorded, missing=()):
    """A sweep all of whose runs are done, as far as files say; each recorded `recorded`."""
    folder.mkdir(exist_ok=True)
    (folder / "chapter.py").write_text(CHAPTER)
    (folder / "s.yaml").write_text("chapter: chapter.py\n" + text)
    spec = sweep.load(folder / "s.yaml")
    for point in spec.points:
        source = sources.source_hash(spec.chapter, point.parameters)
        run = folder / "runs" / plan.run_name(point.parameters, source)
        if point.number not in missing:
            plan.prepare(run, point.parameters)
            for row in recorded:
                row = row(point) if callable(row) else row
                results.record(run, row)
            write_json(run / plan.ENVIRONMENT, ENVIRONMENT)
            (run / plan.NOTEBOOK).write_text("{}")
            plan.write_status(run, "done", seconds=1.5)
    return spec, folder / "runs"


def collected(folder, text, *recorded, **more):
    spec, out = make(folder, text, *recorded, **more)
    sweep.collect(spec, out)
    return spec, out, rowfile.csv_path(spec)


# --- of which sources rows are


@pytest.mark.parametrize(
    ("harm", "of_one_source"),
    [
        (lambda now: now, True),
        (lambda now: ["0" * 12] * 4, True),  # all of one that is no more
        (lambda now: [run[:6] + "0" * 6 for run in now], True),
        (lambda now: ["0" * 6 + run[6:] for run in now], True),
        (lambda now: ["0" * 12, *now[1:]], False),
        (lambda now: [now[0][:6] + "0" * 6, *now[1:]], False),
        (lambda now: [f"{n // 2}" * 6 + run[6:] for n, run in enumerate(now)], False),
        (lambda now: [run[:6] + f"{n}" * 6 for n, run in enumerate(now)], False),
    ],
)
def test_rows_of_different_sources_side_by_side_are_told(tmp_path, harm, of_one_source):
    """Two runs that load one data set, and two that load another, which is not the same code."""
    spec, _ = make(tmp_path, "grid: {name: [sprites, scenes]}\nseeds: 2\n")
    spec.chapter.path.write_text(CHAPTER + "\n# %%\nfrom mdlib import data\n\ndata.load(name)\n")
    spec = sweep.load(spec.path)
    now = sources.source_hashes(spec.chapter, [point.parameters for point in spec.points])
    assert now[0] == now[1] != now[2] == now[3] and len({run[:6] for run in now}) == 1
    rows = pd.DataFrame({"number": [1, 2, 3, 4], "run": [f"x-{run}" for run in harm(now)]})
    check = sys.modules["mdlib.sweep.table"]._of_one_source
    assert check(spec, rows, stale=True) is rows
    if of_one_source:
        assert check(spec, rows, stale=False) is rows
    else:
        with pytest.raises(ValueError, match="runs are stale"):
            check(spec, rows, stale=False)


# --- what a file keeps

WORDS = ["01", "1e3", "10", "", "True", "nan", "NA", "None", "-0", "a, b", 'say "so"', "é", '"']
LINES = ["x\ny", "x\ry", "x\r\ny"]


def test_text_stays_text(tmp_path):
    text = "points:\n" + "".join(f"- name: {word!r}\n" for word in WORDS)
    spec, out, path = collected(tmp_path, text, lambda p: {"word": p.parameters["name"], "x": 1.5})
    table, kept = sweep.table(spec, out), sweep.read_csv(spec)
    assert kept["name"].tolist() == WORDS == kept["word"].tolist()
    assert_frame_equal(table, kept)
    for n, word in enumerate(WORDS, 1):
        assert sweep.best(kept, "x", name=word)["number"] == n
        assert sweep.best(table, "x", name=word)["number"] == n
    assert len(pd.read_csv(path)) == len(spec.points), "pandas reads it by itself"


@pytest.mark.parametrize("word", WORDS + LINES)
def test_a_recorded_word_is_a_word_in_the_file(tmp_path, word):
    spec, out, _ = collected(tmp_path, "seeds: 2\n", {"found": word}, {"found": "b"})
    kept = sweep.read_csv(spec)
    assert kept["found"].tolist() == [word, "b", word, "b"]
    assert_frame_equal(sweep.table(spec, out), kept)


def test_numbers_come_back_as_they_were(tmp_path):
    values = {"a": 0.1 + 0.2, "b": 1e-300, "c": -3, "d": 2**60, "e": 1e22, "f": True, "g": 5e-324}
    spec, out, path = collected(tmp_path, "seeds: 2\n", values, values | {"a": None, "f": None})
    kept = sweep.read_csv(spec)
    assert_frame_equal(sweep.table(spec, out), kept)
    assert kept.loc[0, list(values)].tolist() == list(values.values())
    assert kept["a"].isna().tolist() == [False, True] * 2
    assert pd.read_csv(path)["a"][0] == pytest.approx(0.3)


def test_a_metric_without_any_value_is_no_group(tmp_path):
    spec, out, _ = collected(tmp_path, "seeds: 2\n", {"x": 1.0, "never": None})
    kept = sweep.read_csv(spec)
    assert_frame_equal(sweep.table(spec, out), kept)
    assert kept["never"].isna().all()
    assert metrics(kept, spec) == ["x"]
    assert list(sweep.summary(kept, spec).columns) == ["x", "n"]


def test_what_was_used_is_beside_what_was_given(tmp_path):
    def row(point):
        return {"seed": point.parameters["seed"], "lr": 0.1, "number": 7, "run": "x", "score": 1.0}

    spec, out, _ = collected(tmp_path, "grid: {lr: [0, 0.1]}\nseeds: 2\n", row)
    kept = sweep.read_csv(spec)
    assert kept["lr"].tolist() == [0.0, 0.0, 0.1, 0.1]
    assert kept["lr (used)"].tolist() == [0.1] * 4
    assert kept["number"].tolist() == [1, 2, 3, 4]
    assert kept["number (used)"].tolist() == [7] * 4
    assert kept["run (used)"].tolist() == ["x"] * 4
    assert "seed (used)" not in kept, "in all rows what was given"
    assert metrics(kept, spec) == ["score"]
    assert_frame_equal(sweep.table(spec, out), kept)


def test_a_metric_called_as_what_was_used_hides_nothing(tmp_path):
    spec, out, _ = collected(tmp_path, "seeds: 2\n", {"lr": 0.1, "lr (used)": 0.7})
    kept = sweep.read_csv(spec)
    assert kept["lr (used)"].tolist() == [0.1] * 2
    assert kept["lr (used) (used)"].tolist() == [0.7] * 2
    assert_frame_equal(sweep.table(spec, out), kept)


@pytest.mark.parametrize("name", ["n", "sweep", "setting", "line", "index", ""])
def test_a_metric_of_any_name_is_summed_up(tmp_path, name):
    spec, _, _ = collected(tmp_path, "seeds: 2\n", {name: 0.5})
    kept = sweep.read_csv(spec)
    assert kept[name].tolist() == [0.5] * 2
    [said] = sweep.summary(kept, spec).reset_index().to_dict("records")
    assert (said[name], 2) == ("0.500 ± 0", said["n (values)" if name == "n" else "n"])


def test_a_parameter_n_is_a_setting_beside_the_count(tmp_path, monkeypatch):
    chapter = CHAPTER.replace("out =", "n = 4  # of what\nout =")
    monkeypatch.setattr(sys.modules[__name__], "CHAPTER", chapter)
    spec, _, _ = collected(tmp_path, "grid: {n: [4, 5]}\nseeds: 3\n", {"x": 1.5})
    said = sweep.summary(sweep.read_csv(spec), spec).reset_index()
    assert said.to_dict("list") == {"n": [4, 5], "x": ["1.500 ± 0"] * 2, "n (values)": [3, 3]}


def test_how_a_run_was_made_is_kept(tmp_path):
    spec, _, path = collected(tmp_path, "", {"x": 1})
    made = sweep.read_csv(spec).iloc[0]
    assert made[["run_device_name", "run_threads", "run_torch"]].tolist() == [
        "Abacus 3",
        2,
        "2.15.0",
    ]
    assert (made["run_commit"], made["run_seconds"]) == ("1e5", 1.5)
    assert pd.read_csv(path)["sweep_done"][0] == "1 of 1"


def test_a_private_sweep_keeps_its_rows_beside_it(tmp_path):
    assert collected(tmp_path, "", {"x": 1})[2] == tmp_path / "s.csv"


# --- what binds a file


@pytest.fixture
def three(tmp_path):
    spec, _, path = collected(tmp_path, "seeds: 3\n", {"part": "a", "x": 0.5}, {"part": "b"})
    return spec, path


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("a,0.5", "a,999", r"row 2 \(run 1\)"),
        ("a,0.5", "b,0.5", r"row 2 \(run 1\)"),
        ("a,0.5", '"a",0.5', r"row 2 \(run 1\)"),
        (",x,", ",y,", r"row 2 \(run 1\)"),
        ("cpu", "gpu", r"row 2 \(run 1\)"),
        ("3 of 3", "2 of 3", r"row 2 \(run 1\)"),
        ("\n1,0", "\n1,0,", r"row 2 \(run 1\)"),
        ("a,0.5", 'a,9"0.5', r"row 2 \(run 1\)"),
        ("a,0.5", '"a"b,0.5', r"row 2 \(run 1\)"),
        ("\n2,", "\n<<<<<<< HEAD\n2,", r"row 4 \(run <<<<<<< HEAD\)"),
        ("number", "nr", "no table as"),
        (",run_digest", "", "no table as"),
    ],
)
def test_an_edited_value_is_told(three, old, new, message):
    spec, path = three
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ValueError, match=rf"s\.csv.*{message}.*mdlib collect .*s"):
        sweep.read_csv(spec)


@pytest.mark.parametrize("lost", [[1], [2], [6], [1, 3, 5], [5, 6], [1, 2], [1, 2, 3, 4, 5, 6]])
def test_lost_rows_are_told(three, lost):
    spec, path = three
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for n, line in enumerate(lines) if n not in lost))
    with pytest.raises(ValueError, match=r"s\.csv"):
        sweep.read_csv(spec)


@pytest.mark.parametrize(
    "rewrite",
    [
        lambda content: content.replace(b"\n", b"\r\n"),
        lambda content: b"\xef\xbb\xbf" + content,
        lambda content: content.removesuffix(b"\n"),
        lambda content: content.replace(b"\n", b"\r\n\r\n"),
    ],
)
def test_what_an_editor_does_to_lines_is_no_edit(three, rewrite):
    spec, path = three
    before = sweep.read_csv(spec)
    path.write_bytes(rewrite(path.read_bytes()))
    assert_frame_equal(sweep.read_csv(spec), before)


def test_rows_in_another_order_are_told(three):
    spec, path = three
    lines = path.read_text().splitlines(keepends=True)
    for order in ([0, 3, 4, 1, 2, 5, 6], [0, 1, 3, 2, 4, 5, 6]):
        path.write_text("".join(lines[n] for n in order))
        with pytest.raises(ValueError, match="are not in the order of their numbers"):
            sweep.read_csv(spec)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seeds: [10, 11, 12]\n", r"run 1 has seed = 0, there it is 10"),
        ("seeds: 2\n", r"the sweep has no run 3"),
        ("seeds: 4\n", r"it says 3 of 3 runs, but has 3 of 4"),
        ("seeds: 3\nfixed: {lr: 0.1}\n", r"run 1 has lr = 0.0, there it is 0.1"),
    ],
)
def test_rows_of_another_yaml_are_told(three, text, message):
    spec, path = three
    spec.path.write_text("chapter: chapter.py\n" + text)
    with pytest.raises(ValueError, match=rf"s\.csv is of another s\.yaml: {message}.*collect"):
        sweep.read_csv(spec.path)
    with pytest.raises(ValueError, match=r"s\.csv is of another s\.yaml"):
        sweep.table(spec.path, path.parent / "nowhere")


def test_a_parameter_that_came_later_had_its_default(three):
    spec, path = three
    (path.parent / "chapter.py").write_text(CHAPTER.replace("out =", "new = 4  # since\nout ="))
    assert sweep.read_csv(spec.path)["new"].tolist() == [4] * 6
    spec.path.write_text("chapter: chapter.py\nseeds: 3\nfixed: {new: 5}\n")
    with pytest.raises(ValueError, match="is of another"):
        sweep.read_csv(spec.path)


def test_missing_runs_are_marked(tmp_path):
    spec, _, path = collected(tmp_path, "seeds: 3\n", {"x": 1.0}, missing=[2])
    assert set(pd.read_csv(path)["sweep_done"]) == {"2 of 3"}
    with pytest.warns(UserWarning, match=r"s\.csv has 2 of 3 runs: mdlib sweep .*s"):
        assert sweep.read_csv(spec)["number"].tolist() == [1, 3]


def test_collect_says_what_is_missing(tmp_path):
    spec, out = make(tmp_path, "seeds: 3\n", {"x": 1.0}, missing=[2])
    said = CliRunner().invoke(cli.app, ["collect", str(spec.path), "--out", str(out)])
    assert said.exit_code == 4
    assert "2 of 3 runs" in said.output
    assert "s.csv is not complete, 1 run" in said.output
    make(tmp_path, "seeds: 3\n", {"x": 1.0})
    said = CliRunner().invoke(cli.app, ["collect", str(spec.path), "--out", str(out)])
    assert said.exit_code == 0


@pytest.mark.parametrize("harm", [lambda p: p.unlink(), lambda p: p.write_text('{"device"')])
def test_a_run_whose_environment_is_lost_is_not_done(tmp_path, harm):
    spec, out = make(tmp_path, "seeds: 3\n", {"x": 1.0})
    folder = out / sweep.table(spec, out)["run"][1]
    harm(folder / plan.ENVIRONMENT)
    assert plan.read_status(folder) is None
    assert sweep.table(spec, out)["number"].tolist() == [1, 3]
    assert sweep.states(spec, out)[2] == "waiting"


def test_runs_of_an_mdlib_that_wrote_down_less_are_tabulated(tmp_path):
    spec, out = make(tmp_path, "seeds: 1\n", {"x": 1.0})
    folder = out / sweep.table(spec, out)["run"][0]
    (folder / plan.ENVIRONMENT).write_text('{"device": "cpu"}')
    plan.write_status(folder, "done", seconds=1.0)
    row = sweep.table(spec, out).iloc[0]
    assert (row["x"], row["run_device"]) == (1.0, "cpu")
    assert row[["run_device_name", "run_threads", "run_torch", "run_commit"]].isna().all()


def test_the_files_of_another_run_are_not_those_of_this_one(tmp_path):
    spec, out = make(tmp_path, "seeds: 3\n", lambda point: {"x": point.number})
    one, two, _ = (out / name for name in sweep.table(spec, out)["run"])
    for path in one.iterdir():
        shutil.copy(path, two / path.name)
    assert sweep.states(spec, out) == {1: "done", 2: "waiting", 3: "done"}
    assert sweep.table(spec, out)["x"].tolist() == [1, 3]


@pytest.mark.parametrize("name", COMMITTED)
def test_committed_rows_are_whole_and_of_their_sweep(name):
    kept = sweep.read_csv(name)
    spec = sweep.load(name, need_data=False)
    assert set(kept["number"]) == {point.number for point in spec.points}
    plain = pd.read_csv(SWEEPS / f"{name}.csv")
    assert plain["run"].tolist() == kept["run"].tolist()
    for column in metrics(kept, spec):
        if plain[column].dtype == kept[column].dtype == float:
            pd.testing.assert_series_equal(plain[column], kept[column], rtol=1e-15)


@pytest.mark.parametrize("name", CLAIMING)
def test_committed_verdicts_are_those_of_the_committed_rows(name):
    spec = sweep.load(name, need_data=False)
    kept, anew = sweep.claims(spec), verdicts(spec, sweep.read_csv(spec))
    blind = anew["because"].str.endswith("can't be looked at here")  # a clone without history
    history = ["kind", "because"]
    numbers = [kept.drop(columns=history), anew.drop(columns=history)]
    pd.testing.assert_frame_equal(*numbers, check_dtype=False, rtol=1e-6)
    assert kept.loc[~blind, history].equals(anew.loc[~blind, history])


# --- the best trial

TRIALS = pd.DataFrame(
    {
        "method": ["vae", "vae", "byol", "vae"],
        "lr": [1e-3, 3e-3, 1e-2, 1e-4],
        "option": [None, "beta=2", None, None],
        "held out": [0.5, 0.7, 0.9, None],
    }
)


def test_best_is_the_row_that_scores_highest_among_those_asked_for():
    expected = {"method": "vae", "lr": 3e-3, "option": "beta=2", "held out": 0.7}
    assert sweep.best(TRIALS, "held out", method="vae") == expected
    assert sweep.best(TRIALS, "held out") == {"method": "byol", "lr": 1e-2, "held out": 0.9}
    assert sweep.best(TRIALS, "held out", method="vae", lr=1e-3)["held out"] == 0.5


def test_best_of_nothing_is_none():
    assert sweep.best(pd.DataFrame(), "held out", method="vae") is None
    assert sweep.best(TRIALS, "held out", method="gvae") is None
    assert sweep.best(TRIALS, "held out", lr=1e-4) is None, "a trial without a score is no trial"


def test_best_takes_the_first_of_equals():
    equal = TRIALS.assign(**{"held out": 0.5})
    assert sweep.best(equal, "held out", method="vae")["lr"] == 1e-3


@pytest.mark.parametrize("by, of", [("accuracy", {}), ("held out", {"model": "vae"})])
def test_best_names_a_column_that_is_none(by, of):
    with pytest.raises(ValueError, match=r"accuracy|model"):
        sweep.best(TRIALS, by, **of)
