"""Sweeps: a YAML grid → runs → one table.

`load` reads and checks ``notebooks/sweeps/NAME.yaml``, `run` performs what is not done yet, `table`
gives the results as a DataFrame, `collect` writes them to NAME.csv, and `kept` reads that file. Of
a sweep that tunes, `best` is the trial that won.
"""

from mdlib.sweep.driver import Interrupted, Summary, estimate, run, states
from mdlib.sweep.spec import Point, Spec, SpecError, load
from mdlib.sweep.store import Busy
from mdlib.sweep.table import best, collect, kept, summary, table

__all__ = [
    "Busy",
    "Interrupted",
    "Point",
    "Spec",
    "SpecError",
    "Summary",
    "best",
    "collect",
    "estimate",
    "kept",
    "load",
    "run",
    "states",
    "summary",
    "table",
]
