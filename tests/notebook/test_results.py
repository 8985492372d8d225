"""What a run leaves: metrics in, the same metrics out, or a clear refusal."""

import json
import platform
import re
import subprocess
import time

import numpy as np
import pandas as pd
import pytest
import torch

import mdlib
from mdlib.io import read_json, write_json
from mdlib.notebook import provenance, results


def test_rows_are_appended(tmp_path):
    out = tmp_path / "run"
    mdlib.record(out, {"method": "vae", "accuracy": 0.5})
    mdlib.record(out, [{"method": "byol", "accuracy": 0.75}], seconds=3)
    assert results.read_metrics(out) == [
        {"method": "vae", "accuracy": 0.5},
        {"method": "byol", "accuracy": 0.75},
        {"seconds": 3},
    ]
    assert [path.name for path in out.iterdir()] == ["metrics.json"]


def test_interactive_run_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert mdlib.record("", accuracy=0.5) == [{"accuracy": 0.5}]
    assert not list(tmp_path.iterdir())


def test_foreign_scalars_become_plain(tmp_path):
    mdlib.record(
        tmp_path,
        a=np.float32(0.5),
        b=np.int64(2),
        c=np.bool_(True),
        d=torch.tensor(0.25),
        e=None,
        f=np.str_("x"),
    )
    expected = {"a": 0.5, "b": 2, "c": True, "d": 0.25, "e": None, "f": "x"}
    assert results.read_metrics(tmp_path) == [expected]


def test_data_frame_keeps_only_a_named_index():
    frame = pd.DataFrame({"accuracy": [0.5, 0.75]}, index=["vae", "byol"])
    assert results.record("", frame) == [{"accuracy": 0.5}, {"accuracy": 0.75}]
    named = results.record("", frame.rename_axis("method"))
    assert named[1] == {"method": "byol", "accuracy": 0.75}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"x": float("nan")}, "metric 'x' is nan"),
        ({"x": -np.inf}, "metric 'x' is -inf"),
        ({"x": torch.tensor(float("nan"))}, "metric 'x' is nan"),
        ({"x": np.zeros(1)}, "metric 'x' is a ndarray"),
        ({"x": [1]}, "metric 'x' is a list"),
        ({1: 2}, "metric 1 has a name that is no string"),
        ("accuracy", "a row is a dict"),
        (None, "nothing to record"),
        ([], "nothing to record"),
        (pd.DataFrame([[1, 2]], columns=["x", "x"]), "two columns have one name"),
        (
            pd.DataFrame({"x": [1]}, index=pd.Index([0], name="x")),
            "two columns have one name: ['x', 'x']",
        ),
        (5, "rows are 5: expected a dict, a list of dicts, or a DataFrame"),
    ],
)
def test_bad_rows_are_refused_and_leave_the_file_alone(tmp_path, row, message):
    mdlib.record(tmp_path, good=1)
    with pytest.raises(ValueError, match=re.escape(message)):
        mdlib.record(tmp_path, row)
    assert results.read_metrics(tmp_path) == [{"good": 1}]


def test_missing_and_damaged_metrics_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"metrics\.json does not exist"):
        results.read_metrics(tmp_path)
    path = tmp_path / "metrics.json"
    path.write_text('[{"accuracy": 0.')
    with pytest.raises(ValueError, match="truncated or no JSON"):
        results.read_metrics(tmp_path)
    with pytest.raises(ValueError, match="truncated or no JSON"):
        mdlib.record(tmp_path, accuracy=1.0)
    assert path.read_text() == '[{"accuracy": 0.'
    path.write_text('{"accuracy": 1}')
    with pytest.raises(ValueError, match="holds no list of rows"):
        results.read_metrics(tmp_path)


def test_write_json_is_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": "γ"})
    for bad, error in ((float("nan"), ValueError), (object(), TypeError)):
        with pytest.raises(error):
            write_json(path, [1, bad])
    assert read_json(path) == {"a": "γ"}
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_environment_says_with_what_but_not_who_or_where(monkeypatch):
    monkeypatch.setenv("LOGNAME", "somebody")
    found = provenance.environment("cpu", started=time.time() - 2)
    assert found["versions"]["torch"].startswith(torch.__version__.partition("+")[0])
    assert 2 <= found["seconds"] < 60
    assert found["threads"] == torch.get_num_threads()
    assert found["device_name"]
    assert found["precision"] == "float32"
    text = json.dumps(found)
    assert "somebody" not in text
    assert (platform.node() or "somebody") not in text
    assert not re.search(r"(^|[\s\"'])/\w+", text)


def test_environment_outside_a_checkout(tmp_path):
    assert provenance.commit(tmp_path) == ("unknown", None)


def test_a_run_of_what_no_commit_has_says_so(tmp_path):
    def git(*arguments):
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", "-C", root, *who, *arguments], check=True, capture_output=True)

    root, outside = tmp_path / "book", tmp_path / "own.py"
    for name in ("mdlib/__init__.py", "notebooks/a.py", "notebooks/b.ipynb", "notebooks/c.ipynb"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("")
    outside.write_text("")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "x")

    def dirty(path=None):
        return provenance.commit(root, path and root / path)[1]

    chapters = ("notebooks/a.py", "notebooks/b.ipynb")
    assert [dirty(), *map(dirty, chapters)] == [False] * 3
    assert dirty(outside) and dirty("notebooks/other.py")
    (root / "notebooks/c.ipynb").write_text("shown anew")  # of which these runs are not
    (root / "notebooks/new.ipynb").write_text("")
    assert [dirty(), *map(dirty, chapters)] == [False] * 3
    assert dirty("notebooks/c.ipynb") and dirty("notebooks/new.ipynb")
    (root / "notebooks/a.py").write_text("1")
    assert dirty() and dirty("notebooks/b.ipynb")
