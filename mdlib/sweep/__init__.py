"""Sweeps: a YAML grid → runs → one table.

`load` reads and checks ``notebooks/sweeps/NAME.yaml``, `run` performs what is not done yet, `table`
gives the results as a DataFrame, `collect` writes them to NAME.csv, and `read_csv` reads that file.
Of a sweep that tunes, `best` is the trial that won.
"""

from mdlib.sweep.driver import Interrupted, Summary, estimate, run, states
from mdlib.sweep.plan import Busy
from mdlib.sweep.spec import Point, Spec, SpecError, load
from mdlib.sweep.table import best, collect, read_csv, summary, table

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
    "load",
    "read_csv",
    "run",
    "states",
    "summary",
    "table",
]
