"""Sweeps on real kernels, killed in every way: nothing is lost, and nothing counted twice."""

import concurrent.futures
import contextlib
import errno
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from sweep_tools import (
    CHAPTER,
    assert_whole,
    descendants,
    folder_of,
    start,
    started,
    wait_for,
    write,
)

import mdlib
from mdlib import sweep
from mdlib.sweep import asker, driver, engines, performer, plan
from mdlib.sweep.task import Outcome, Task

SIX = "grid:\n  rate: [1, 2, 3]\nseeds: 2\n"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out {seed} 'é'"  # papermill would put the seed's value there


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "book"


def run(path, out, **options):
    return sweep.run(sweep.load(path), out, workers=2, **options)


def events(path, out, number):
    return [event["event"] for event in plan.read_log(folder_of(path, out, number))]


def test_a_sweep_leaves_its_runs_and_their_table(folder, out, capfd):
    path = write(folder, SIX)
    done = run(path, out)
    assert done.counts == {"done": 6}
    assert done.failures == {}
    first, *lines, last = capfd.readouterr().err.splitlines()
    assert first == f"s: 6 runs, 0 of them done, in {out}"
    assert last.startswith("s: 6 done, 0 failed, 0:00:")
    said = r"s: [1-6] of 6; run [1-6] done in 0:00:\d\d, seed [01], rate [123], score \d+"
    assert 1 <= len(lines) <= 6
    assert all(re.match(said, line) for line in lines), lines
    frame = assert_whole(path, out)
    for name in frame["run"]:
        assert {p.name for p in (out / name).iterdir()} == {
            *("params.json", "executed.ipynb", "metrics.json", "environment.json", "log.jsonl"),
            *("status", ".lock", "tried"),
        }
        notebook = nbformat.read(out / name / "executed.ipynb", as_version=4)
        assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
    assert events(path, out, 3) == ["start", "end"]

    assert sweep.read_csv(path).empty
    written, csv = sweep.collect(path, out)
    text = written.to_csv(index=False)
    assert sweep.read_csv(path).to_csv(index=False) == text
    assert csv == path.with_suffix(".csv")
    assert sweep.table(path, out / "none").to_csv(index=False) == text
    means = sweep.summary(frame, sweep.load(path))
    assert means["n"].tolist() == [2, 2, 2]
    assert means["score"].tolist() == [f"{100 * rate}.500 ± 0.707" for rate in (1, 2, 3)]
    assert means.index.tolist() == [1.0, 2.0, 3.0]

    # again: nothing is left to do, and no file changes
    before = {p: p.stat().st_mtime_ns for p in out.glob("*/*") if p.name != ".lock"}
    assert run(path, out, quiet=True).counts == {"done": 6}
    assert before == {p: p.stat().st_mtime_ns for p in out.glob("*/*") if p.name != ".lock"}


@pytest.mark.parametrize(
    ("act", "cause"),
    [
        ("exit", "ProcessDied: its process ended with exit code 3"),
        ("crash", "ProcessDied: killed by SIGSEGV: a crash in compiled code"),
        ("kill", "ProcessDied: killed by SIGKILL: out of memory?"),
        ("raise", "ValueError: as you wished"),
        ("hang", "TimeLimit: it took more than 8 s and was killed"),
    ],
)
def test_a_run_that_goes_wrong_is_tried_again(folder, out, capfd, act, cause):
    limit = "time_limit: 8\n" if act == "hang" else ""
    path = write(folder, f"points:\n- act: {act}\n- {{}}\n{limit}retries: 1\n")
    assert run(path, out).counts == {"done": 2}
    assert_whole(path, out)
    assert events(path, out, 1) == ["start", "failure", "start", "end"]
    said = capfd.readouterr().err
    notebook = folder_of(path, out, 1) / "executed.failed.ipynb"
    assert f"run 1 failed, attempt 1: {cause}\n" in said
    attempts = [e["attempt"] for e in plan.read_log(folder_of(path, out, 1))]
    assert attempts == [1, 1, 2, 2]
    assert f"executed up to there: {notebook}\n  it is tried again" in said


@pytest.mark.parametrize(
    ("act", "cause"),
    [("exit", "ProcessDied"), ("raise", "ValueError"), ("hang", "TimeLimit")],
)
def test_a_run_that_always_goes_wrong_is_named(folder, out, capfd, act, cause):
    limit = "time_limit: 8\n" if act == "hang" else ""
    points = f"points:\n- {{act: {act}, once: false}}\n- {{}}\n"
    path = write(folder, f"{points}{limit}retries: 0\n")
    done = run(path, out)
    assert done.counts == {"done": 1, "failed": 1}
    assert_whole(path, out, missing=[1])
    notebook = folder_of(path, out, 1) / "executed.failed.ipynb"
    for text in (done.failures[1], capfd.readouterr().err):
        assert f"run 1 failed: {cause}: " in text
        assert str(notebook) in text
    assert not notebook.with_name("executed.ipynb").exists(), "so a success is called"
    cells = nbformat.read(notebook, as_version=4).cells
    assert "the act is" in json.dumps([cell.get("outputs") for cell in cells])
    assert sweep.states(sweep.load(path), out) == {1: "failed", 2: "done"}
    status = plan.read_status(folder_of(path, out, 1))
    assert (status["state"], status["cause"]) == ("failed", cause)


def test_a_worker_is_killed(folder, out):
    path = write(folder, "fixed:\n  wait: 1.0\ngrid:\n  rate: [1, 2]\n")
    killed = []

    def kill():
        pid = started(path, out, 1)
        time.sleep(0.5)
        os.kill(pid, signal.SIGKILL)
        killed.append(pid)

    thread = threading.Thread(target=kill)
    thread.start()
    done = run(path, out, quiet=True)
    thread.join()
    assert killed
    assert done.counts == {"done": 2}
    assert_whole(path, out)
    assert events(path, out, 1) == ["start", "failure", "start", "end"]


def test_the_forkserver_is_killed(folder, out):
    path = write(folder, "grid:\n  rate: [1, 2]\n")
    assert run(path, out, quiet=True).counts == {"done": 2}
    for server in asker._servers.values():
        os.kill(server._forkserver_pid, signal.SIGKILL)
    path = write(folder, "grid:\n  rate: [1, 2, 3, 4]\n")
    assert run(path, out, quiet=True).counts == {"done": 4}
    assert_whole(path, out)


def test_the_driver_is_killed_and_the_sweep_resumed(folder, out):
    path = write(folder, "fixed:\n  wait: 0.5\ngrid:\n  rate: [1, 2, 3, 4, 5, 6]\nretries: 0\n")
    driver = start(path, out, "--workers", 2)
    wait_for(lambda: any(out.glob("*/status")))
    started(path, out, 3)
    left = descendants(driver)
    assert left
    driver.kill()
    driver.communicate()
    wait_for(lambda: not any(process.is_running() for process in left), 5)  # none works on
    states = sweep.states(sweep.load(path), out)
    done = [number for number, state in states.items() if state == "done"]
    assert 1 <= len(done) < 6
    assert set(states.values()) == {"done", "waiting"}
    before = {n: (folder_of(path, out, n) / "status").stat().st_mtime_ns for n in done}
    assert run(path, out, quiet=True).counts == {"done": 6}
    assert_whole(path, out)
    assert before == {n: (folder_of(path, out, n) / "status").stat().st_mtime_ns for n in done}


def test_ctrl_c_lets_go_and_a_second_one_kills(folder, out):
    path = write(folder, "grid:\n  act: ['', hang]\n  wait: [0.0, 30.0]\nretries: 0\n")
    driver = start(path, out, "--workers", 2)
    # run 1 is done; 2 waits and can be interrupted, 3 hangs and cannot
    wait_for(lambda: (folder_of(path, out, 3) / "hangs").exists())
    left = descendants(driver)
    driver.send_signal(signal.SIGINT)
    wait_for(lambda: "stop" in events(path, out, 2))
    assert driver.poll() is None
    driver.send_signal(signal.SIGINT)
    begun = time.monotonic()
    _, said = driver.communicate(timeout=10)
    assert time.monotonic() - begun < 5
    assert driver.returncode == 130
    assert "1 of 4 runs are done and stay so" in said
    assert "failed:" not in said  # run 4 had not begun: it has not failed
    wait_for(lambda: not any(process.is_running() for process in left), 5)
    states = sweep.states(sweep.load(path), out)
    assert states == {1: "done", 2: "waiting", 3: "waiting", 4: "waiting"}
    notebook = (folder_of(path, out, 2) / "executed.ipynb").read_text()
    assert "KeyboardInterrupt" in notebook


def test_a_second_driver_says_so_and_leaves(folder, out):
    path = write(folder, "fixed:\n  wait: 600.0\ngrid:\n  rate: [1, 2]\n")
    first = start(path, out, "--workers", 2)
    started(path, out, 1)
    second = start(path, out)
    _, said = second.communicate(timeout=120)
    assert second.returncode == 3
    assert f"{out} is in use by another process: is this sweep running already?" in said
    assert "running" in sweep.states(sweep.load(path), out).values()
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=120)
    assert first.returncode == 130
    assert events(path, out, 1) == ["start", "stop"]


@pytest.mark.parametrize("name", ["metrics.json", "executed.ipynb", "environment.json", "status"])
def test_a_file_truncated_by_hand_is_noticed(folder, out, name):
    path = write(folder, "grid:\n  rate: [1, 2]\n")
    run(path, out, quiet=True)
    broken = folder_of(path, out, 2) / name
    broken.write_bytes(broken.read_bytes()[:-20])
    assert sweep.states(sweep.load(path), out) == {1: "done", 2: "waiting"}
    assert sweep.table(path, out)["number"].tolist() == [1]  # never half a row
    assert run(path, out, quiet=True).counts == {"done": 2}
    assert_whole(path, out)
    assert events(path, out, 1) == ["start", "end"]
    assert events(path, out, 2) == ["start", "end"] * 2


@pytest.mark.parametrize(
    "damage",
    [
        *("[]", "3", "{}", "[" * 100_000, '{"state": "done", "files": {}}'),
        *({"state": "fine"}, {"seconds": None}, {"ended": 7}, {"files": []}),
    ],
)
def test_a_status_that_says_nothing_true_is_none(tmp_path, damage):
    status = plan.write_status(tmp_path, "failed", seconds=1.5)
    assert plan.read_status(tmp_path) == status
    text = damage if isinstance(damage, str) else json.dumps(status | damage)
    (tmp_path / plan.STATUS).write_text(text)
    assert plan.read_status(tmp_path) is None


def test_a_file_that_its_status_has_not_seen(tmp_path):
    plan.write_status(tmp_path, "failed", seconds=1.5)
    (tmp_path / "metrics.json").write_text('[{"score": 999}]')
    assert plan.read_status(tmp_path) is None


def test_a_damaged_log_loses_no_attempt(tmp_path):
    (tmp_path / plan.LOG).write_bytes(b'{"event": "start"}\n3\n\xff\n{"event": "st')
    plan.log(tmp_path, "start", message="a name that is not UTF-8: \udcff")
    assert plan.attempts(tmp_path) == 2
    assert plan.read_log(tmp_path)[-1]["message"].endswith("\udcff")


def test_runs_whose_files_are_removed_are_not_done(folder, out):
    """A folder goes when it was counted; its run runs again, or the sweep says that it failed."""
    path = write(folder, "fixed: {wait: 0.5}\nseeds: 3\nretries: 0\n")

    def remove():
        wait_for(lambda: (folder_of(path, out, 1) / "status").exists())
        time.sleep(0.3)
        shutil.rmtree(folder_of(path, out, 1))

    thread = threading.Thread(target=remove)
    thread.start()
    done = sweep.run(sweep.load(path), out, workers=1, quiet=True)
    thread.join()
    assert done.counts == {"done": 2, "failed": 1}
    assert f"its files are gone from {folder_of(path, out, 1)}" in done.failures[1]
    with pytest.raises(ValueError, match="is not UTF-8: choose another folder"):
        run(path, out / "bad \udcff")


HARD = """\
# %% tags=["parameters"]
act = ""  # what goes wrong
out = ""  # where to

# %%
import os
import signal
import sys
import time
from pathlib import Path

import mdlib

class Wordless(Exception):
    def __str__(self):
        raise RuntimeError("no words")

if act == "fork and die" and os.fork() == 0:
    time.sleep(600)
if act == "fork and die":
    os._exit(3)
elif act == "signal 40":
    os.kill(os.getpid(), 40)
elif act == "sys.exit":
    sys.exit()
elif act == "exit":
    exit()
elif act == "wordless":
    raise Wordless
elif act == "input":
    input("name?")
elif act == "import":
    __import__("hel" + "per")
elif act == "nan":
    Path(out, "metrics.json").write_text('[{"score": NaN}]')

# %%
mdlib.record(out, score=1.0)
"""


def test_what_ends_a_chapter_is_named(folder, out):
    """Also where a child of it lives on, and where papermill takes the end for a good one."""
    causes = {
        "fork and die": "ProcessDied: its process ended with exit code 3",
        "signal 40": "ProcessDied: killed by signal 40",
        "sys.exit": "RuntimeError: exit: the chapter ended itself before its last cell",
        "exit": "RuntimeError: exit: the chapter ended itself before its last cell",
        "wordless": "RuntimeError: no words",
        "input": "StdinNotImplementedError: ",
        "import": "RuntimeError: it imported helper, which no text of it names",
        "nan": "ValueError: .*metrics.json was not written by mdlib.record: metric 'score' is nan",
    }
    text = f"grid:\n  act: {json.dumps(list(causes))}\nretries: 0\ntime_limit: 120\n"
    path = write(folder, text, HARD)
    (folder / "helper.py").touch()
    done = run(path, out, quiet=True)
    assert done.counts == {"failed": len(causes)}
    for number, cause in enumerate(causes.values(), 1):
        assert re.match(f"run {number} failed: {cause}", done.failures[number])


def test_a_full_disk(folder, tmp_path, capfd):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small disk needs the right to mount one")
    try:
        out = disk / "out"
        path = write(folder, "points:\n- {}\n- {act: fill, once: false}\nretries: 0\n")
        done = sweep.run(sweep.load(path), out, workers=1)
        assert done.counts == {"done": 1, "failed": 1}
        assert "No space left on device" in done.failures[2]
        assert str(folder_of(path, out, 2) / "executed.failed.ipynb") in capfd.readouterr().err
        assert_whole(path, out, missing=[2])
        # with space again, and a chapter that does not fill it, the same command goes on
        (folder_of(path, out, 2) / "big").unlink()
        (folder / "chapter.py").write_text(
            (folder / "chapter.py").read_text().replace('== "fill"', '== "no"')
        )
        assert set(sweep.states(sweep.load(path), out).values()) == {"stale", "waiting"}
        assert run(path, out, quiet=True).counts == {"done": 2}
        assert_whole(path, out)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_changed_chapter_makes_its_runs_stale(folder, out):
    path = write(folder, "grid:\n  rate: [1, 2]\n")
    run(path, out, quiet=True)
    chapter = folder / "chapter.py"
    chapter.write_text(chapter.read_text().replace("# # A chapter", "# # The chapter"))
    assert set(sweep.states(sweep.load(path), out).values()) == {"done"}  # prose changes no number
    chapter.write_text(chapter.read_text().replace("100 * rate", "100 * rate + 0"))
    spec = sweep.load(path)
    assert sweep.states(spec, out) == {1: "stale", 2: "stale"}
    assert len(sweep.table(spec, out)) == 2  # all of one source: nothing is mixed

    one = write(folder, "grid:\n  rate: [1]\n", chapter.read_text(), name="one")
    run(one, out, quiet=True)
    assert sweep.states(spec, out) == {1: "done", 2: "stale"}
    with pytest.raises(ValueError, match=r"1 runs are stale: .* \(run 2\).* mdlib sweep .*s"):
        sweep.table(spec, out)
    assert sweep.table(spec, out, stale=True)["number"].tolist() == [1, 2]
    assert run(path, out, quiet=True).counts == {"done": 2}
    assert_whole(path, out)


@pytest.mark.parametrize("tag", ["reads-rows", "solution", "check", "hidden", "launch"])
def test_cells_that_record_nothing_are_no_part_of_a_run(folder, out, tag):
    shows = '\n# %% tags=["reads-rows"]\nraise OSError("there are no rows yet")\n'
    shows = shows.replace("reads-rows", tag)
    path = write(folder, "seeds: 1\n", CHAPTER + shows)
    assert run(path, out, quiet=True).counts == {"done": 1}
    chapter = folder / "chapter.py"
    chapter.write_text(chapter.read_text().replace("yet", "so far"))
    assert set(sweep.states(sweep.load(path), out).values()) == {"done"}
    chapter.write_text(chapter.read_text().replace(f' tags=["{tag}"]', ""))
    assert set(sweep.states(sweep.load(path), out).values()) == {"stale"}


def test_a_script_is_run_by_the_runs_alone(folder, out):
    chapter = f"{CHAPTER}\n%run script.py\n%run script\n"
    chapter = f"{chapter}print('as again.py')\n"
    path = write(folder, "seeds: 2\n", chapter)
    for name in ("script", "again"):
        (folder / f"{name}.py").write_text(
            f"print('x', file=open({str(folder / name)!r} + '.txt', 'a'))\n"
        )
    went = run(path, out, quiet=True)
    assert went.counts == {"done": 2}, went.failures
    assert (folder / "script.txt").read_text() == "x\n" * 4
    assert not (folder / "again.txt").exists()
    (folder / "script.py").write_text("x = 1\n")
    assert set(sweep.states(sweep.load(path), out).values()) == {"stale"}


@pytest.mark.parametrize(
    ("how", "name"),
    [
        ("exec('import ' + 'hel' + 'per')", "helper"),
        ("import sys\nsys.path.insert(0, 'src')\nimport thing", "src.thing"),
    ],
)
def test_a_module_that_no_text_names_as_the_folder_has_it_is_told(folder, out, how, name):
    path = write(folder, "seeds: 1\nretries: 0\n", f"{CHAPTER}\n{how}\n")
    (folder / "src").mkdir()
    (folder / "src/thing.py").write_text("x = 1\n")
    (folder / "helper.py").write_text("import json.tool\n")
    [message] = run(path, out, quiet=True).failures.values()
    assert f"it imported {name}, which no text of it names" in message


def test_a_chapter_edited_while_the_sweep_runs(folder, out):
    """It is said once, the sweep ends, and no folder holds results of other sources."""
    path = write(folder, "fixed: {wait: 1.5}\nseeds: 8\nretries: 3\n")
    names = driver.folders(sweep.load(path), out.resolve())
    driven = start(path, out, "--workers", 2)
    wait_for(lambda: (names[1] / "log.jsonl").exists() and (names[2] / "log.jsonl").exists(), 60)
    chapter = folder / "chapter.py"
    chapter.write_text(chapter.read_text().replace("100 * rate", "200 * rate"))
    _, said = driven.communicate(timeout=120)
    assert driven.returncode == 4
    assert said.count("is another one than when the sweep was started") == 1
    assert re.search(r"s: \d done, 0 failed, \d stopped", said) or "of 8 runs are done" in said
    for number, name in names.items():
        if (name / "metrics.json").exists():
            rows = json.loads((name / "metrics.json").read_text())
            assert rows[0]["score"] == 50 + number - 1
    assert run(path, out, quiet=True).counts == {"done": 8}


def test_an_edit_that_is_taken_back(folder, out):
    """No process that has imported the edited module is left to stop the next sweep."""
    chapter = CHAPTER.replace("import mdlib\n", "import mdlib\nimport helper\n")
    path = write(folder, "fixed: {wait: 0.4}\nseeds: 6\n", chapter)
    helper = folder / "helper.py"
    helper.write_text("x = 1\n")
    first = folder_of(path, out, 1)

    def edit():
        wait_for(lambda: (first / "status").exists())
        helper.write_text("x =\n")

    thread = threading.Thread(target=edit)
    thread.start()
    with pytest.raises(driver.SourcesEdited):
        run(path, out, quiet=True)
    thread.join()
    helper.write_text("x = 1\n")
    assert run(path, out, quiet=True).counts == {"done": 6}
    assert_whole(path, out)


def test_mdlib_edited_between_two_sweeps_of_one_process(tmp_path):
    """The second sweep's runs are of the second code, though the first's are still imported."""
    package = Path(mdlib.__file__).parent
    shutil.copytree(package, tmp_path / "mdlib", ignore=shutil.ignore_patterns("__pycache__"))
    mark = tmp_path / "mdlib" / "marked.py"
    mark.write_text("MARK = 1\n")
    chapter = """\
# %% tags=["parameters"]
seed = 0  # of nothing
out = ""  # where to

# %%
import mdlib
from mdlib.marked import MARK

mdlib.record(out, mark=MARK)
"""
    path = write(tmp_path / "book", "seeds: 2\n", chapter)
    code = f"""\
from pathlib import Path
from mdlib import sweep
assert sweep.__file__.startswith({str(tmp_path)!r}), sweep.__file__
for mark in (1, 2):
    Path({str(mark)!r}).write_text(f"MARK = {{mark}}\\n")
    spec = sweep.load({str(path)!r})
    assert sweep.run(spec, {str(tmp_path / "out")!r}, SCHEDULER, quiet=True).counts == {{"done": 2}}
    assert sweep.table(spec, {str(tmp_path / "out")!r})["mark"].tolist() == [mark] * 2
"""
    variables = dict(os.environ, PYTHONPATH=str(tmp_path), PYTHONDONTWRITEBYTECODE="1")
    code = code.replace("SCHEDULER", "workers=1")
    subprocess.run([sys.executable, "-c", code], env=variables, check=True, cwd=tmp_path)


def test_nothing_is_done_twice(folder, out):
    """Who is asked for a run that is done gives its outcome, and touches no file of it."""
    path = write(folder, "")
    assert run(path, out, quiet=True).counts == {"done": 1}
    done = folder_of(path, out, 1)
    before = {p: p.stat().st_mtime_ns for p in done.iterdir() if p.name != ".lock"}
    spec = sweep.load(path)
    source = done.name.rpartition("-")[2]
    task = Task(1, str(spec.chapter.path), spec.chapter.name, str(done), source, "", {})
    for ask in (asker.execute, lambda task: performer.perform(task, threading.Event())):
        outcome = ask(task)
        assert (outcome.state, outcome.attempt) == ("done", 1)
    assert before == {p: p.stat().st_mtime_ns for p in done.iterdir() if p.name != ".lock"}


def test_a_run_that_somebody_lost_is_waited_for(folder, out, monkeypatch):
    """What a killed driver left on a worker goes on; who asks for the same run gets its outcome."""
    path = write(folder, "")
    mine = folder_of(path, out, 1)
    spec = sweep.load(path)
    task = Task(1, str(spec.chapter.path), "chapter", str(mine), mine.name[-12:], "", {})
    times = iter(range(0, 10**9, 1000))  # with each look at the clock, a quarter of an hour is gone
    clock = SimpleNamespace(monotonic=lambda: next(times), sleep=time.sleep)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        with plan.locked(mine / plan.LOCK):
            monkeypatch.setattr(plan, "time", clock)
            asked = pool.submit(performer.perform, task, threading.Event())
            time.sleep(0.2)
            for name in (plan.NOTEBOOK, plan.ENVIRONMENT):
                (mine / name).write_text("{}")
            plan.write_status(mine, "done", seconds=7.0)
            assert not asked.done()
        assert (asked.result().state, asked.result().seconds) == ("done", 7.0)


def test_two_chapters_in_one_folder(folder, out):
    """Runs of one chapter are none of the other's, not even stale ones."""
    for name in "ab":
        path = write(folder / name, "seeds: 2\n", CHAPTER.replace("100 *", f"{ord(name)} *"))
    assert run(folder / "a/s.yaml", out, quiet=True).counts == {"done": 2}
    assert sweep.states(sweep.load(path), out) == {1: "waiting", 2: "waiting"}
    with pytest.raises(FileNotFoundError, match=f"no run of s is done in {out}"):
        sweep.collect(path, out)
    assert run(path, out, quiet=True).counts == {"done": 2}
    for name in "ab":
        table = sweep.table(folder / name / "s.yaml", out)
        assert table["score"].tolist() == [ord(name) / 2, ord(name) / 2 + 1]


def test_a_module_that_hangs_is_named(folder, out, monkeypatch):
    """It is imported once for all runs, before the first; the time limit holds there, too."""
    monkeypatch.setattr(asker, "START", 0.5)
    chapter = CHAPTER.replace("import mdlib\n", "import mdlib\nimport helper\n")
    path = write(folder, "retries: 0\ntime_limit: 0.5\n", chapter)
    (folder / "helper.py").write_text("import time\ntime.sleep(600)\n")
    done = run(path, out, quiet=True)
    assert "TimeLimit: what it imports was not imported within 1 s" in done.failures[1]
    assert sweep.states(sweep.load(path), out) == {1: "failed"}


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_a_file_system_without_locks_is_named(folder, out, monkeypatch, number):
    def flock(*_):
        raise OSError(number, os.strerror(number))

    path = write(folder, "seeds: 2\n")
    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OSError, match=f"the file system of {out} has no locks") as caught:
        run(path, out, quiet=True)
    assert caught.value.errno == number
    (out / folder_of(path, out, 1).name).mkdir()
    (folder_of(path, out, 1) / ".lock").touch()
    assert sweep.states(sweep.load(path), out) == {1: "waiting", 2: "waiting"}


def test_an_outcome_that_the_engine_loses_is_a_failure(folder, out, monkeypatch):
    """All runs are accounted for, whatever becomes of a future."""
    path, cancelled = write(folder, "seeds: 3\nretries: 0\n"), None

    class Engine:
        window = 2

        def submit(self, task):
            future = concurrent.futures.Future()
            if task.number == 1:
                future.set_exception(OSError("no more"))
            elif task.number == cancelled:
                future.cancel()
                future.set_running_or_notify_cancel()
            elif task.number == 2:
                future.set_exception(OSError("no more"))
            else:
                future.set_result(Outcome(3, "done", host="elsewhere"))
            return future

        def everywhere(self, function, *arguments):
            pass

        def news(self):
            return iter(())

    monkeypatch.setattr(engines, "opened", lambda *_: contextlib.nullcontext(Engine()))
    monkeypatch.setattr(driver, "UNSEEN", 0.3)
    done = run(path, out, quiet=True)
    assert done.counts == {"failed": 3}
    assert "run 1 failed: OSError: the engine lost it" in done.failures[1]
    assert "run 2 failed: OSError: the engine lost it: no more" in done.failures[2]
    assert f"it was done on elsewhere, but {folder_of(path, out, 3)} is not" in done.failures[3]

    cancelled = 2
    with pytest.raises(driver.SchedulerGone, match="0 of 3 runs are done and stay so") as caught:
        run(path, out, quiet=True)
    assert caught.value.code == 5


def test_a_third_ctrl_c_leaves_what_does_not_answer(folder, out, monkeypatch):
    class Frozen:
        window = 2

        def submit(self, task):
            return concurrent.futures.Future()

        def everywhere(self, function, *arguments):
            pass

        def news(self):
            for _ in range(3):
                os.kill(os.getpid(), signal.SIGINT)
            time.sleep(600)

    monkeypatch.setattr(engines, "opened", lambda *_: contextlib.nullcontext(Frozen()))
    with pytest.raises(driver.Interrupted, match="0 of 2 runs are done and stay so"):
        run(write(folder, "seeds: 2\n"), out, quiet=True)


def test_a_run_goes_on_from_its_checkpoint(folder, out):
    chapter = """\
# %% tags=["parameters"]
seed = 0  # of all
out = ""  # where

# %%
import os
from pathlib import Path

import mdlib
from mdlib.training.checkpoint import code_digest

saved = Path(out, "checkpoint")
begun = int(saved.read_text()) if saved.exists() else 0
code = code_digest()
for step in range(begun, 10):
    saved.write_text(str(step))
    if begun == 0 and step == 6:
        os._exit(1)
mdlib.record(out, begun=begun, code=code)
"""
    path = write(folder, "", chapter)
    assert run(path, out, quiet=True).counts == {"done": 1}
    [row] = sweep.table(path, out).to_dict("records")
    assert row["begun"] == 6
    # what changes the hash of no run is no reason to refuse its checkpoint
    assert row["code"] == row["run"].rpartition("-")[2]


def test_exit_code_is_1_if_a_run_failed(folder, out):
    path = write(folder, "fixed: {act: raise, once: false}\nretries: 0\n")
    driver = start(path, out)
    _, said = driver.communicate(timeout=120)
    assert driver.returncode == 1
    assert str(folder_of(path, out, 1) / "executed.failed.ipynb") in said


def test_plan_and_states_are_printed(folder, out):
    path = write(folder, "grid:\n  rate: [1, 2]\nseeds: 2\n")
    took = {"cell_type": "code", "metadata": {"tags": ["provenance"]}, "source": ""}
    took["outputs"] = [{"data": {"text/plain": ["{'date': '2026',\n", " 'seconds': 2.0}"]}}]
    (folder / "chapter.ipynb").write_text(json.dumps({"cells": [took]}))
    command = [sys.executable, "-m", "mdlib.cli"]
    plan = [*command, "sweep", path, "--out", out, "--dry-run", "--workers", "2"]
    said = subprocess.run(plan, capture_output=True, text=True, check=True).stdout
    assert (
        "4 runs, 4 to do: about 0:00:04 with 2 at once (as its notebook took with its defaults)"
        in said
    )
    assert not out.exists()
    run(path, out, quiet=True)
    status = [*command, "sweep", path, "--out", out, "--status"]
    said = subprocess.run(status, capture_output=True, text=True, check=True).stdout
    assert said == "s: 4 runs: 4 done\n"
    collect = [*command, "collect", path, "--out", out]
    said = subprocess.run(collect, capture_output=True, text=True, check=True).stdout
    assert "s: 4 of 4 runs" in said
    assert "100.500 ± 0.707" in said
    said = subprocess.run(plan, capture_output=True, text=True, check=True).stdout
    assert "4 runs, 0 to do: about 0:00:00" in said
    assert "the median of 4 earlier runs" in said


def test_where_runs_lie_does_not_depend_on_where_one_stands(tmp_path, monkeypatch):
    """A chapter reads its sweep from its own folder, the command line is typed at the book's."""
    book = tmp_path / "book"
    path = write(book / "notebooks" / "sweeps", "")
    monkeypatch.setattr(driver.chapters, "root", lambda: book)
    other = write(tmp_path / "other", "")
    for here in (book, book / "notebooks"):
        monkeypatch.chdir(here)
        assert driver.default_out(sweep.load(path)) == book / "runs" / "sweeps" / "s"
        assert driver.default_out(sweep.load(other)) == here / "runs" / "sweeps" / "s"
