"""A sweep is numbered alike everywhere, and what is wrong with it has a file and a line."""

import pytest

from mdlib import data, methods, sweep
from mdlib.notebook import chapters

CHAPTER = """\
# %% tags=["parameters"]
seed = 0  # of all
rate = 0.5  # a step
methods = "all"  # some
dataset = "digits"  # which
layers = [1, 2]  # sizes
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
        "fixed:\n  layers: [3]\ntime_limit: 10\nretries: 0\nrecord: [accuracy]\n"
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
    assert all(p.parameters["layers"] == [3] for p in spec.points)
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
        ("fixed:\n  dataset: digit\n", 3, "unknown data set 'digit'"),
        ("grid:\n  dataset:\n  - mnist\n  - emnist\n", 5, "unknown data set 'emnist'"),
        ("seeds: 2\nfixed:\n  rate: 1\n  methods: vea\n", 5, "unknown method 'vea'"),
        ("points:\n- {}\n- methods: byol,vea\n", 4, "unknown method 'vea'"),
        ("fixed:\n  out: here\n", 3, "'out' is set by the sweep"),
        ("fixed:\n  rate: 1\n  rate: 2\n", 4, "'rate' is there twice"),
        ("fixed:\n  rate: [1\n", 4, "no YAML"),
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
