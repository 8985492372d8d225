"""Sweeps: a YAML grid → runs → one table.

`load` reads and checks ``notebooks/sweeps/NAME.yaml``, `run` performs what is not done yet, `table`
gives the results as a DataFrame, `collect` writes them to NAME.csv, `read_csv` reads that file, and
`replay` executes rows of it once more. `claims` gives the verdicts on what the YAML claims, which
`collect` and `judge` write to NAME.claims.csv. Of a sweep that tunes, `best` is the trial that won.
`draw` makes the figures that every sweep has, from NAME.csv; `show_claims` is what
a chapter shows of its verdicts, `show_pictures` of the pictures that runs kept.
"""

from mdlib.sweep.draw import draw, show_claims, show_pictures
from mdlib.sweep.driver import Interrupted, Stopped, Summary, estimate, run, states
from mdlib.sweep.plan import Busy
from mdlib.sweep.replay import replay
from mdlib.sweep.spec import Point, Spec, SpecError, load
from mdlib.sweep.table import best, claims, collect, judge, read_csv, summary, table

__all__ = [
    "Busy",
    "Interrupted",
    "Point",
    "Spec",
    "SpecError",
    "Stopped",
    "Summary",
    "best",
    "claims",
    "collect",
    "draw",
    "estimate",
    "judge",
    "load",
    "read_csv",
    "replay",
    "run",
    "show_claims",
    "show_pictures",
    "states",
    "summary",
    "table",
]
