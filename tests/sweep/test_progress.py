"""Without a terminal, a sweep prints a line for each run that ends, with what remains."""

from collections import Counter

from mdlib.sweep import progress
from mdlib.sweep.task import Outcome


def test_a_line_for_each_run_however_quick(capfd, monkeypatch):
    clock = iter([100.0, 110.0, 110.1, 130.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    show = progress.Lines("s", total=6, done=2)  # two were there before
    counts = Counter(done=2)
    show.look(counts)  # nothing has ended
    for number in (3, 4):
        counts["done"] += 1
        show.look(counts, Outcome(number, "done", seconds=9.6, metrics={"score": 0.51234}))
    counts |= Counter(done=5, failed=1)
    show.look(counts, Outcome(5, "done", seconds=3.0))
    out, said = capfd.readouterr()
    assert not out
    assert said.splitlines() == [
        "s: 3 of 6; run 3 done in 0:00:10, score 0.5123; about 0:00:30 left",
        "s: 4 of 6; run 4 done in 0:00:10, score 0.5123; about 0:00:10 left",
        "s: 6 of 6, 1 failed; run 5 done in 0:00:03",
    ]


def test_of_a_picture_a_line_has_the_beginning(capfd):
    show = progress.Lines("s", total=1, done=0)
    show.look(Counter())
    show.look(Counter(done=1), Outcome(1, "done", seconds=1, metrics={"picture": "x" * 999}))
    (line,) = capfd.readouterr()[1].splitlines()
    assert line.endswith(f"picture {'x' * 40}…")


def test_no_terminal_no_bar(monkeypatch):
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: False, raising=False)
    assert type(progress.shown("s", 3, 0)) is progress.Lines
