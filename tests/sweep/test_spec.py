"""A sweep is numbered alike everywhere, and what is wrong with it has a file and a line."""

import re
from pathlib import Path

import pytest

from mdlib import data, methods, sweep
from mdlib.checks import need
from mdlib.notebook import chapters, data_checks, execution
from mdlib.sweep import driver

LAUGHS = "  x: &b [" + "*a," * 1000 + "]\n  y: [" + "*b," * 1000 + "]\n"

CHAPTER = """\
# %% tags=["parameters"]
seed = 0  # of all
rate = 0.5  # a step
methods = "all"  # some
dataset = "digits"  # which
note = ""  # anything
device = "auto"  # where
out = ""  # where
"""


@pytest.fixture(autouse=True)
def book(tmp_path, monkeypatch):
    def check(name, root=None):
        if name not in ("digits", "mnist"):
            raise ValueError(f"unknown data set {name!r}: Valid: digits, mnist")

    (tmp_path / "notebooks/sweeps").mkdir(parents=True)
    (tmp_path / "notebooks/tiny.py").write_text(CHAPTER)
    monkeypatch.setattr(chapters, "root", lambda: tmp_path)
    monkeypatch.setattr(data, "check", check)
    monkeypatch.setattr(methods, "names", lambda: ["vae", "byol"])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(text, head="chapter: tiny\n"):
    with open("notebooks/sweeps/s.yaml", "w") as file:
        file.write(head + text)
    return sweep.load("s")


def values(spec, *names):
    return [tuple(p.parameters[name] for name in names) for p in spec.points]


def test_only_the_chapter_is_required():
    spec = load("")
    assert [p.number for p in spec.points] == [1]
    defaults = {name: p.default for name, p in chapters.find("tiny").parameters.items()}
    assert spec.points[0].parameters == defaults
    assert (spec.record, spec.time_limit, spec.retries, spec.varying) == ([], None, 1, [])


def test_a_grid_is_a_product_with_the_last_key_fastest_then_the_seeds():
    spec = load(
        "grid:\n  rate: [1, 2.5e0]\n  methods: [vae, byol]\nseeds: [7, 5]\n"
        "fixed:\n  note: so\ntime_limit: 10\nretries: 0\nrecord: [accuracy]\n"
    )
    assert values(spec, "rate", "methods", "seed") == [
        (1.0, "vae", 7),
        (1.0, "vae", 5),
        (1.0, "byol", 7),
        (1.0, "byol", 5),
        (2.5, "vae", 7),
        (2.5, "vae", 5),
        (2.5, "byol", 7),
        (2.5, "byol", 5),
    ]
    assert [p.number for p in spec.points] == list(range(1, 9))
    assert all(p.parameters["note"] == "so" for p in spec.points)
    assert all(type(p.parameters["rate"]) is float for p in spec.points)
    assert (spec.time_limit, spec.retries, spec.record) == (10, 0, ["accuracy"])
    assert spec.varying == ["seed", "rate", "methods"]


def test_points_keep_the_order_of_the_file():
    spec = load("points:\n- rate: 1e-3\n- {}\n- rate: 2\n  methods: vae,byol\nseeds: 2\n")
    assert values(spec, "rate", "methods", "seed") == [
        (0.001, "all", 0),
        (0.001, "all", 1),
        (0.5, "all", 0),
        (0.5, "all", 1),
        (2.0, "vae,byol", 0),
        (2.0, "vae,byol", 1),
    ]


def test_plain_words_are_read_as_on_the_command_line():
    spec = load(
        "points:\n- {seed: 010, rate: 1e-3}\n- {seed: 0, rate: .5}\n- {seed: +7, rate: 1.}\n"
        "- {methods: vae, rate: 1E+1}\n- &a {seed: 08}\n- {<<: *a, rate: 2}\n"
    )
    assert values(spec, "seed", "rate") == [
        (10, 0.001),
        (0, 0.5),
        (7, 1.0),
        (0, 10.0),
        (8, 0.5),
        (8, 2.0),
    ]


@pytest.mark.parametrize("word", ["yes", "No", "off", "2020-01-01", "1:30", "0o7", "=", "'~'"])
def test_words_that_only_yaml_takes_for_something_else_are_text(word):
    spec = load(f"fixed:\n  note: {word}\n")
    assert spec.points[0].parameters["note"] == word.strip("'")


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        (b"chapter: tiny\n# caf\xe9\n", 2, "byte 0xe9 is no UTF-8"),
        ("chapter: tiny\n".encode("utf-16"), 1, "byte 0xff is no UTF-8"),
        (b"chapter: tiny\n\nretries: \x00\n", 3, "no YAML: special characters are not allowed"),
        (b"chapter: tiny\n<<<<<<< HEAD\nretries: 1\n", 3, "no YAML"),
        (b'chapter: tiny\nfixed: {rate: "1\n', 3, "no YAML"),
        (b"", 1, "expected keys such as"),
    ],
)
def test_a_damaged_file_is_named(content, line, message):
    with open("notebooks/sweeps/s.yaml", "wb") as file:
        file.write(content)
    with pytest.raises(sweep.SpecError) as error:
        sweep.load("s")
    assert str(error.value).startswith(f"notebooks/sweeps/s.yaml:{line}: ")
    assert message in str(error.value)


def test_a_chapter_whose_parameters_cannot_be_read_is_named_once(book):
    (book / "notebooks/tiny.py").write_text(CHAPTER.replace("0.5", "1 / 2"))
    with pytest.raises(sweep.SpecError, match=r"s\.yaml:1: parameters cell of .*tiny\.py") as error:
        load("grid:\n  rate: [1, 2]\nseeds: 3\n")
    assert str(error.value).count("\n") == 0


@pytest.mark.parametrize("name", ["number", "run", "run_threads", "sweep_done"])
def test_a_parameter_called_as_a_column_of_every_table_is_refused(book, name):
    (book / "notebooks/tiny.py").write_text(CHAPTER.replace("note", name))
    with pytest.raises(sweep.SpecError, match=rf"s\.yaml:1: .*tiny\.py has a parameter '{name}'"):
        load("")


def test_each_point_is_checked_as_a_run_is_and_data_are_looked_at_once(monkeypatch):
    looked_at, whole = [], execution.check

    def check(chapter, given, root=None, need_data=True):
        if given.get("seed", 0) > 9:
            raise ValueError("seed=77: expected 9 or less")
        if given.get("rate") == 2 and given.get("methods") == "byol":
            raise ValueError("rate=2.0: byol takes 1 or less")
        return whole(chapter, given, root, need_data)

    monkeypatch.setattr(execution, "check", check)
    monkeypatch.setattr(data, "check", lambda name, root=None: looked_at.append(name))
    load("grid:\n  methods: [vae, byol]\n  dataset: [digits, mnist]\nseeds: 3\n")
    assert looked_at == ["digits", "mnist"]
    text = "fixed:\n  rate: 2\npoints:\n- methods: vae\n- methods: byol\n"
    with pytest.raises(sweep.SpecError, match=r"s\.yaml:6: rate=2\.0: byol takes 1 or less"):
        load(text)
    with pytest.raises(sweep.SpecError, match=r"s\.yaml:5: seed=77: expected 9 or less"):
        load("grid:\n  seed:\n  - 0\n  - 77\n")


def test_a_chapter_may_be_a_path_seen_from_the_file(book):
    spec = load("", head="chapter: ../tiny.py\n")
    assert spec.chapter.path == book / "notebooks/tiny.py"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("sedes: 3\n", 2, "unknown key 'sedes': did you mean 'seeds'"),
        ("seeds: 3\nfixed:\n  rat: 1\n", 4, "unknown parameter 'rat': did you mean 'rate'"),
        ("fixed:\n  rate: fast\n", 3, "'rate' is 'fast', expected float"),
        ("fixed:\n  seed: 1.0\n", 3, "'seed' is 1.0, expected int"),
        ("grid:\n  rate:\n  - 1\n  - x\n", 5, "'rate' is 'x', expected float"),
        ("grid:\n  rate: []\n", 3, "'rate' of the grid has no values"),
        ("grid:\n  rate: 3\n", 3, "grid.rate is 3: Input should be a valid list"),
        ("grid:\n  rate: [1, 2, 1.0]\n", 3, "rate = 1.0 is in the grid twice"),
        ("grid:\n  rate:\n  - 1\n  - 1\n", 5, "rate = 1 is in the grid twice"),
        ("points:\n- rate: 1\n- seed: 0\n  rate: 1\n", 4, "run 2 is run 1 again"),
        ("points:\n- rate: 1\n- rte: 1\n", 4, "unknown parameter 'rte'"),
        ("fixed: {rate: 1}\ngrid:\n  rate: [1]\n", 4, "'rate' is in fixed and in the grid"),
        ("points: [{}]\ngrid:\n  rate: [1]\n", 2, "give a grid or points, not both"),
        ("seeds: 2\ngrid:\n  seed: [1]\n", 4, "seed is set here and by seeds"),
        ("seeds: 2\nfixed:\n  seed: 1\n", 4, "seed is set here and by seeds"),
        ("seeds: 2\npoints:\n- seed: 1\n", 4, "seed is set here and by seeds"),
        ("seeds: []\n", 2, "seeds is empty"),
        ("seeds: [1, 1]\n", 2, "seeds names a seed twice"),
        ("seeds: 0\n", 2, "seeds is 0: expected how many (1 or more), or a list"),
        ("seeds: [1, x]\n", 2, "seeds is [1, 'x']: expected how many"),
        ("retries: -1\n", 2, "retries is -1"),
        ("time_limit: soon\n", 2, "time_limit is 'soon'"),
        ("time_limit: .inf\n", 2, "time_limit is inf: Input should be less than or equal to"),
        ("time_limit: 1e7\n", 2, "time_limit is 10000000.0: Input should be less than or equal"),
        ("fixed:\n  dataset: digit\n", 3, "unknown data set 'digit'"),
        ("grid:\n  dataset:\n  - mnist\n  - emnist\n", 5, "unknown data set 'emnist'"),
        ("seeds: 2\nfixed:\n  rate: 1\n  methods: vea\n", 5, "unknown method 'vea'"),
        ("points:\n- {}\n- methods: byol,vea\n", 4, "unknown method 'vea'"),
        ("fixed:\n  out: here\n", 3, "'out' is set by the sweep"),
        ("fixed:\n  rate: 1\n  rate: 2\n", 4, "'rate' is there twice"),
        ("fixed:\n  rate: [1\n", 4, "no YAML"),
        ("fixed: {[1]: 2}\n", 2, "no YAML: found unhashable key"),
        ("retries: 1\nfixed: &f {rate: *f}\n", 3, "aliases (*) repeat values here without end"),
        ("grid:\n  rate: &f\n  - [1, *f]\n", 3, "aliases (*) repeat values here without end"),
        ("fixed: &f\n  <<: *f\n", 2, "aliases (*) repeat values here without end"),
        ("retries: 1\nfixed: " + "[" * 3000 + "\n", 1, "lists within lists without end"),
        (f"fixed:\n  note: &a [{'1,' * 1000}]\n{LAUGHS}", 4, "aliases (*) repeat values here"),
        ("grid:\n  methods: [vae, byol]\n  seed:\n  - 0\n  - 0x10\n", 6, "'seed' is '0x10'"),
        ("fixed:\n  seed: 1_000\n", 3, "'seed' is '1_000', expected int"),
        ("fixed:\n  seed: 1:30\n", 3, "'seed' is '1:30', expected int"),
        ("fixed:\n  rate: 190:20:30.15\n", 3, "'rate' is '190:20:30.15', expected float"),
        ("fixed:\n  rate: .nan\n", 3, "'rate' is nan, expected a finite number"),
        ("fixed:\n  seed: null\n", 3, "'seed' is None, expected int"),
        ("fixed:\n", 2, "fixed is None: Input should be a valid dictionary"),
        ("points: [null]\n", 2, "points.0 is None: Input should be a valid dictionary"),
        ("points:\n- rate: 1\n- seed: 3\n  device: gpu\n", 5, "unknown device 'gpu'"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_line(text, line, message):
    with pytest.raises(sweep.SpecError) as error:
        load(text)
    first = str(error.value).splitlines()[0]
    assert first.startswith(f"notebooks/sweeps/s.yaml:{line}: ")
    assert message in first


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(sweep.SpecError) as error:
        load("fixed:\n  rat: 1\n  seed: x\n")
    assert [line.split()[0] for line in str(error.value).splitlines()] == [
        "notebooks/sweeps/s.yaml:3:",
        "notebooks/sweeps/s.yaml:4:",
    ]


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("", "s.yaml:1: expected keys"),
        ("- 1\n", "s.yaml:1: expected keys"),
        ("retries: 1\n", "s.yaml:1: 'chapter' is missing"),
        ("retries: 1\nchapter: tny\n", "s.yaml:2: unknown chapter 'tny': did you mean 'tiny'"),
        ("chapter: no.py\n", "s.yaml:1: no chapter at"),
    ],
)
def test_the_chapter_is_looked_for_first(head, message):
    with pytest.raises(sweep.SpecError, match=message):
        load("", head)


def test_data_are_asked_about_every_setting_of_the_grid(book, monkeypatch):
    (book / "asks.py").write_text(
        '# %% tags=["parameters"]\ndataset = "digits"\nbatch_size = 8\nsize = 0\nseed = 0\n'
    )
    asked = []

    def check(dataset, values, *_):
        asked.append((values["batch_size"], values["size"]))
        need(values["batch_size"] < 1000, "more than there are")

    monkeypatch.setattr(data_checks, "check", check)
    head = f"chapter: {book}/asks.py\n"
    load("grid: {batch_size: [8, 9], size: [32, 30]}\nseeds: 3\n", head)
    assert asked == [(8, 32), (8, 30), (9, 32), (9, 30)]
    with pytest.raises(sweep.SpecError, match=r"s\.yaml:3: more than there are"):
        load("grid:\n  batch_size: [8, 2000]\n", head)


def test_who_only_reads_results_needs_no_data(monkeypatch):
    def missing(name, root=None):
        raise FileNotFoundError(f"{name} is missing: fetch it")

    monkeypatch.setattr(data, "check", missing)
    with pytest.raises(sweep.SpecError, match=r"s\.yaml:3: digits is missing: fetch it"):
        load("fixed:\n  dataset: digits\n")
    assert len(sweep.load("s", need_data=False).points) == 1
    with pytest.raises(FileNotFoundError, match="no results of s"):
        sweep.table("s")


def test_an_unknown_sweep_is_named():
    load("")
    with pytest.raises(ValueError, match="unknown sweep 'ss': did you mean 's'"):
        sweep.load("ss")
    with pytest.raises(ValueError, match=r"no sweep at x\.yaml"):
        sweep.load("x.yaml")
    for name in (None, 5, b"s", ["s"]):
        with pytest.raises(ValueError, match=re.escape(f"{name!r} names no sweep: expected NAME")):
            sweep.load(name)


def test_each_data_set_of_a_grid_is_looked_at_whatever_its_parameter_is_called(book):
    chapter = (book / "notebooks/tiny.py").read_text()
    cell = 'image_sets = "digits"  # asked\n# [some data sets]\n'
    (book / "notebooks/tiny.py").write_text(chapter.replace("seed = 0", f"{cell}seed = 0", 1))
    with pytest.raises(sweep.SpecError, match="unknown data set 'nosuchset'"):
        load("grid:\n  image_sets: [digits, nosuchset]\n")


@pytest.mark.parametrize(
    ("device", "gpus"), [("cuda", ()), ("cuda:1", ("0",)), ("mps", ()), ("mps", ("0",))]
)
def test_a_device_that_is_not_here_is_refused_before_anything_runs(device, gpus, monkeypatch):
    monkeypatch.setattr(driver.os.path, "exists", lambda path: False)
    monkeypatch.setattr(driver.sys, "platform", "linux")
    monkeypatch.setattr(driver.engines, "gpus", lambda: gpus)
    spec = load(f"fixed: {{device: {device}}}\n")
    with pytest.raises(ValueError, match=f"device='{device}' is not on this machine"):
        driver.run(spec, "runs", quiet=True)
    assert not Path("runs").exists()
    monkeypatch.setattr(driver.engines, "gpus", lambda: ("0", "1"))
    assert device == "mps" or driver._check_devices(spec) is None
