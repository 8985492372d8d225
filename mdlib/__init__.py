"""Helpers behind an open book on what self-supervised representations contain.

One sentence runs through the package, and each word in it is a module::

    load → views → method.loss → fit → encode → probe, measure → record → sweep → claim → table

Importing `mdlib` loads nothing heavy: torch, scikit-learn and the rest are imported by the modules
that need them.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("mdlib")
except PackageNotFoundError:  # a bare checkout on PYTHONPATH, as on a machine without pip
    __version__ = "0+checkout"


def __getattr__(name: str):
    if name == "record":
        from mdlib.notebook.results import record

        return record
    raise AttributeError(f"module 'mdlib' has no attribute {name!r}")
