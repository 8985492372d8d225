"""The command line: what it prints, its exit codes, and that it starts quickly."""

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from mdlib import cli, data
from mdlib.cli import doctor
from mdlib.notebook import chapters, execution, html, results

TINY = """\
# %% [markdown]
# # A tiny chapter
#
# *What is one and one?*
#
# **Time**: 2 s on one core

# %% tags=["parameters"]
seed = 0  # of every generator
rate = 0.5  # step size [above -3]
note = ""  # of any kind
out = ""  # where to

# %%
raise SystemExit(1)
"""
METRICS = [
    {"method": "vae", "accuracy": 0.123456, "n": 3},
    {"method": "byol [lin]", "accuracy": 12345.678, "style": None},
]


@pytest.fixture(autouse=True)
def book(tmp_path, monkeypatch):
    """A book with one chapter, seen from its root."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks/tiny.py").write_text(TINY)
    monkeypatch.setattr(chapters, "root", lambda: tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def executed(monkeypatch):
    """Chapters are not executed; the list holds what would have been."""
    calls = []

    def execute(chapter, parameters, out, progress, timeout):
        calls.append(parameters)
        notebook = chapter.notebook()
        (out / "executed.ipynb").write_text(json.dumps(notebook))
        results.record(out, METRICS)

    monkeypatch.setattr(execution, "execute", execute)
    monkeypatch.setattr(html, "page", lambda *args: None)
    return calls


def mdlib(*arguments):
    return CliRunner().invoke(cli.app, [str(word) for word in arguments])


def test_run_prints_the_table_and_where_to_look(book, executed):
    done = mdlib("run", "tiny", "-p", "rate", "-2", "--param", "seed", "4")
    assert (done.exit_code, done.stderr) == (0, "")
    assert executed == [{"seed": 4, "rate": -2.0, "note": "", "out": str(book / "runs/tiny/001")}]
    for text in ("A tiny chapter", "byol [lin]", "0.1235", "1.235e+04", "–", " 3 "):
        assert text in done.stdout
    for name in ("executed.html", "executed.ipynb", "metrics.json"):
        assert str(book / "runs/tiny/001" / name) in done.stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-p", "seed=5", "-p", "rate", "1"], {"seed": 5, "rate": 1.0}),
        (["-p", "seed", "5", "-p", "rate=-1"], {"seed": 5, "rate": -1.0}),
        (["-p", "rate", "-1e-3", "--param", "seed=5"], {"seed": 5, "rate": -0.001}),
        (["--param=seed=5", "-pnote=x"], {"seed": 5, "note": "x"}),
        (["-p=seed=5", "-p=note="], {"seed": 5, "note": ""}),
        (["-p", "note", "a=b"], {"note": "a=b"}),
        (["-p", "note=a=b"], {"note": "a=b"}),
        (["-p", "note=-x", "--quiet"], {"note": "-x"}),
        (["-p", "note", "-x"], {"note": "-x"}),
        (["-p", "note", ""], {"note": ""}),
        (["-p", "note=", "-p", "seed", "5"], {"note": "", "seed": 5}),
        (["-p", "note=--out"], {"note": "--out"}),
        (["-p", "note", "two words"], {"note": "two words"}),
    ],
)
def test_parameters_are_one_word_or_two(executed, arguments, expected):
    done = mdlib("run", "tiny", *arguments)
    assert (done.exit_code, done.stderr) == (0, "")
    assert expected.items() <= executed[0].items()


def test_the_same_command_runs_twice(book, executed):
    for number in ("001", "002"):
        done = mdlib("run", "tiny")
        assert done.exit_code == 0
        assert str(book / f"runs/tiny/{number}/executed.html") in done.stdout
    assert (book / "runs/tiny/latest").resolve() == book / "runs/tiny/002"


def test_run_as_json_and_quiet(book, executed):
    done = mdlib("run", book / "notebooks/tiny.py", "--out", "a", "--json")
    facts = json.loads(done.stdout)
    assert facts["metrics"] == METRICS
    assert facts["parameters"]["seed"] == 0
    assert facts["notebook"] == str(book / "a/executed.ipynb")
    done = mdlib("run", "tiny", "--out", "b", "--quiet")
    assert (done.exit_code, done.output) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tini"], "unknown chapter 'tini': did you mean 'tiny'?"),
        (["tiny", "-p", "sed", "1"], "unknown parameter 'sed': did you mean 'seed'?"),
        (["tiny", "-p", "seed", "1.5"], "parameter 'seed' is '1.5', expected int"),
        (["tiny", "-p", "seed", "1", "-p", "seed", "2"], "parameter 'seed' is given twice"),
        (
            ["tiny", "-p", "seed"],
            "-p takes NAME=VALUE or NAME VALUE, but after 'seed' comes nothing",
        ),
        (
            ["tiny", "-p", "note", "--out", "x"],
            "comes '--out': if that is the value, write -p note=",
        ),
        (["tiny", "-p", "note", "-p", "rate", "1"], "but after 'note' comes '-p'"),
        (["tiny", "--param=seed"], "-p takes NAME=VALUE or NAME VALUE; there is only 'seed'"),
        (["tiny", "-p", "=3"], "unknown parameter ''"),
        (["tiny", "-p", "seed=-1"], "parameter 'seed' is -1, expected int, 0 to 4294967295"),
        (["tiny", "-p", "out", "x"], "give the folder as --out"),
        (["tiny", "--out", "notebooks"], "not an empty folder: choose another --out"),
    ],
)
def test_bad_input_is_refused_in_one_line(executed, arguments, message):
    done = mdlib("run", *arguments)
    assert done.exit_code == 2
    assert done.stderr.startswith("mdlib: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert executed == []


def test_a_failing_chapter_exits_with_1(monkeypatch):
    def fail(*args, **kwargs):
        raise execution.ChapterFailed("tiny", "ValueError", "as you wished", "runs/x.ipynb")

    monkeypatch.setattr(execution, "run", fail)
    done = mdlib("run", "tiny", "--json")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "tiny failed: ValueError: as you wished" in done.stderr
    assert "runs/x.ipynb" in done.stderr


def test_list(book):
    text = mdlib("list").stdout
    assert "tiny  What is one and one?" in text
    assert "2 s on one core" in text
    assert "seed=0 [seed]  rate=0.5 [above -3]  note=''  out=''" in text
    [facts] = json.loads(mdlib("list", "--json").stdout)
    assert facts["question"] == "What is one and one?"
    assert facts["parameters"][1] == {
        "name": "rate",
        "default": 0.5,
        "type": "float",
        "domain": "above -3",
        "help": "step size",
    }
    (book / "notebooks/tiny.py").unlink()
    assert "no chapters yet" in mdlib("list").stdout


def test_a_broken_chapter_is_named(book):
    (book / "notebooks/tiny.py").write_text('# %% tags=["parameters"]\nseed = f()\n')
    done = mdlib("list")
    assert done.exit_code == 2
    assert "tiny.py: 'seed = f()' is no plain literal" in done.stderr


# doctor


@pytest.fixture
def states(monkeypatch):
    """The data sets and their states, for the test to change; the packages are as they are."""
    found = {"digits": "ok", "mnist": "missing"}

    def status(name, root=None):
        return SimpleNamespace(name=name, state=found[name], hint=f"{name} in {root}")

    monkeypatch.setattr(data, "names", lambda: tuple(found))
    monkeypatch.setattr(data, "status", status)
    return found


def test_doctor_finds_this_environment_sound(states):
    done = mdlib("doctor", "--json", "--data-root", "there")
    report = json.loads(done.stdout)
    by_name = {check["name"]: check for check in report["checks"]}
    assert done.exit_code == 0, [c for c in report["checks"] if c["state"] == "FAIL"]
    assert report["ok"]
    assert {"python", "torch", "papermill", "device"} <= by_name.keys()
    assert by_name["data digits"]["state"] == "OK"
    assert by_name["data mnist"] == {
        "state": "MISSING",
        "name": "data mnist",
        "detail": "mnist in there",
    }
    assert "MISSING data mnist" in mdlib("doctor").stdout


def test_doctor_fails_for_damaged_data(states):
    states["mnist"] = "corrupt"
    done = mdlib("doctor")
    assert done.exit_code == 1
    assert "FAIL    data mnist" in done.stdout


def test_doctor_judges_versions(monkeypatch):
    monkeypatch.setattr(doctor.metadata, "requires", lambda name: ["numpy>=99", "rich", "nothing"])
    monkeypatch.setattr(doctor, "_tested_versions", lambda: {"rich": "0.1"})
    low, fine, absent = doctor._check_packages()
    assert (low.state, fine.state, absent.state) == ("FAIL", "OK", "FAIL")
    assert "expected >=99" in low.detail
    assert "(tested with 0.1)" in fine.detail
    assert "not installed" in absent.detail
    extra = ["nothing ; extra == 'bench'", "rich ; extra == 'bench'", "none ; extra == 'bench'"]
    monkeypatch.setattr(doctor.metadata, "requires", lambda name: extra)
    there, optional = doctor._check_packages()  # what no chapter needs is one line an extra
    assert (there.state, optional.state) == ("OK", "MISSING")
    assert optional.detail == "no chapter needs nothing, none: pip install -e '.[bench]'"


def test_constraints_are_read():
    tested = doctor._tested_versions()
    assert tested["torch"]
    assert tested["scikit-learn"]


# a real process


def test_listing_imports_nothing_heavy():
    code = """if True:
        import sys
        from mdlib.cli import app
        app(["list"], standalone_mode=False)
        print({"torch", "papermill", "jupytext", "nbformat", "numpy"} & set(sys.modules))"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.endswith("set()\n"), done.stdout
    assert done.stderr == ""


def test_as_a_command():
    command = [sys.executable, "-m", "mdlib.cli", "run", "notebooks/none.py"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "mdlib: no chapter at notebooks/none.py: there is no such file\n"
