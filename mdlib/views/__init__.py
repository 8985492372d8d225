"""Random views of a whole batch at once, with the parameters that made them: their style."""

from mdlib.views.laws import SharedStyle, Views
from mdlib.views.redrawn import Redrawn
from mdlib.views.render import COLUMNS, apply
from mdlib.views.style import BINARY, PERIODS, circular, style

__all__ = [
    "BINARY",
    "COLUMNS",
    "PERIODS",
    "Redrawn",
    "SharedStyle",
    "Views",
    "apply",
    "circular",
    "style",
]
