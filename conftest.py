"""Of a run of notebooks, print how long each took: nbval only knows cells."""

from collections import Counter
from itertools import chain


def pytest_terminal_summary(terminalreporter):
    seconds = Counter()
    for report in chain.from_iterable(terminalreporter.stats.values()):
        file = getattr(report, "nodeid", "").partition("::")[0]
        if file.endswith(".ipynb"):
            seconds[file] += getattr(report, "duration", 0)
    if seconds:
        terminalreporter.section("seconds of each notebook")
        for file, total in seconds.most_common():
            terminalreporter.write_line(f"{total:7.1f}  {file}")
