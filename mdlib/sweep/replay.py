"""Execute rows of NAME.csv once more: does the code of today still give their numbers?"""

from __future__ import annotations

import math
import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise, zip_longest
from typing import TYPE_CHECKING, Any

from mdlib.checks import need
from mdlib.sweep import driver, engines
from mdlib.sweep.claims import rows_behind
from mdlib.sweep.spec import Point, Spec, load
from mdlib.sweep.table import MACHINE, PROVENANCE, of_runs, read_csv, used

if TYPE_CHECKING:
    import pandas as pd

# Rounding differs between kinds of CPU and numbers of threads, and training makes more of it.
# With one thread in place of two, one value of the book's replays (accuracy on 400 views, 50 steps)
# moves by .06, and all others by less than .05.
TOLERANCE = 0.1  # of a number, or in all where that is below 1


@dataclass(frozen=True)
class Value:
    """One value of a row, and what its run gave this time."""

    number: int  # of the run
    row: int  # of those that the run recorded, from 1
    metric: str
    collected: Any
    replayed: Any
    tolerance: float

    @property
    def difference(self) -> float | None:
        """Of two numbers, how far they are apart, in units of the larger of 1 and the first."""
        pair = self.collected, self.replayed
        if not all(isinstance(v, (int, float)) and math.isfinite(v) for v in pair):
            return None
        return abs(pair[0] - pair[1]) / max(1.0, abs(pair[0]))

    @property
    def agrees(self) -> bool:
        if self.tolerance and self.difference is not None:
            return self.difference <= self.tolerance
        both = (self.collected, self.replayed)
        return both[0] == both[1] or all(v != v for v in both)  # NaN: no value in either


def replay(
    name: str | os.PathLike | Spec,
    runs: int = 1,
    seed: int = 0,
    cheap: bool = False,
    data_root: str | os.PathLike | None = None,
    quiet: bool = False,
) -> list[Value]:
    """Run some of a sweep's collected runs anew, and compare all that they record with their rows.

    Values are to be the same on the same kind of machine (`MACHINE`: its processor, the number of
    threads, torch), and elsewhere, or where a row does not say, within `TOLERANCE`.

    Args:
        name: a sweep's name, the path of its .yaml, or a loaded one.
        runs: how many runs to execute; `seed` draws them, `cheap` takes the quickest ones.
        data_root: where the data sets lie; None for the usual places.
        quiet: print nothing.

    Raises:
        ValueError, OSError: no such sweep, no rows of it, or fewer than `runs`.
    """
    spec = name if isinstance(name, Spec) else load(name, data_root)
    kept = read_csv(spec)
    need(not kept.empty, f"{spec.name} has no rows to replay: mdlib collect {spec.called}")
    seconds = kept.groupby("number").run_seconds.first().sort_values(kind="stable")
    expected = f"expected 1 to {len(seconds)}, of which there are rows"
    need(1 <= runs <= len(seconds), f"runs={runs}: {expected} of {spec.name}")
    numbers = list(seconds.index[:runs] if cheap else sorted(seconds.index))
    numbers = sorted(numbers if cheap else random.Random(seed).sample(numbers, runs))
    kept = kept[kept["number"].isin(numbers)]
    some = replace(spec, points=[p for p in spec.points if p.number in numbers])
    out, failures = tempfile.mkdtemp(prefix="mdlib-replay-"), {}
    try:
        went = driver.run(some, out, _workers(kept, runs), data_root=data_root, quiet=quiet)
        failures = went.failures  # which are told with the paths of their notebooks
        anew = of_runs(replace(some, record=[]), out)
    finally:
        if not failures:
            shutil.rmtree(out)
    return [value for n in numbers for value in _values(spec, n, kept, anew)]


def of_claim(spec: Spec, name: str, seeds: list[int] | None = None) -> tuple[Spec, float]:
    """The runs behind one of a sweep's claims as a sweep of their own, and the seconds of all.

    They are read from NAME.csv: who has rows of the claim is run again, with other `seeds` if they
    are given. The seconds are the mean of those rows' for each run.

    Raises ValueError where the claim has no rows, or the chapter no such seeds.
    """
    claim, kept = spec.claims[name], read_csv(spec)
    need(not kept.empty, f"{spec.name} has no rows: mdlib sweep {spec.called}")
    every = rows_behind(claim, kept)
    used = every.drop_duplicates("number")
    need(len(used), f"{spec.name} has no rows of claim {name!r}: mdlib sweep {spec.called}")
    seed, settings = spec.chapter.parameter("seed"), []
    asked = [seed.conform(value) for value in seeds or []]
    for point in (spec.points[number - 1] for number in sorted(used["number"])):
        given = asked or [point.parameters["seed"]]
        settings += [point.parameters | {"seed": value} for value in given]
    unique = {str(parameters): parameters for parameters in settings}.values()
    points = [Point(number, parameters) for number, parameters in enumerate(unique, 1)]
    seconds = float(used["run_seconds"].mean()) * len(points)
    inner = _seeds_of_a_run(every)
    if asked and inner > 1 and any(b - a < inner for a, b in pairwise(sorted(asked))):
        message = f"expected seeds {inner} apart, as each run of {spec.chapter.name} has {inner}"
        raise ValueError(f"--seeds {', '.join(map(str, asked))}: {message}")
    return replace(spec, points=points), seconds


def _seeds_of_a_run(rows: pd.DataFrame) -> int:
    """How many seeds one run has: a chapter may train with s, s + 1, …"""
    if "seed (used)" not in rows:
        return 1
    return int((rows["seed (used)"] - rows["seed"]).max()) + 1


def _workers(kept: pd.DataFrame, runs: int) -> int:
    """How many runs at once, so that each has as many threads as it had."""
    cores = engines.cores()
    threads = kept["run_threads"].dropna()
    return max(1, cores // int(threads.iloc[0])) if len(threads) else min(cores, max(2, runs))


def _values(spec: Spec, number: int, kept: pd.DataFrame, anew: pd.DataFrame) -> Iterator[Value]:
    settings = {"number", *spec.chapter.parameters, *PROVENANCE}
    rows = (frame.to_dict("records") for frame in (kept, anew))
    old, new = ([row for row in found if row["number"] == number] for found in rows)
    for n, (row, found) in enumerate(zip_longest(old, new, fillvalue={}), 1):
        tolerance = 0.0 if all(row.get(k) == found.get(k) for k in MACHINE) else TOLERANCE
        for metric in [name for name in row or found if name not in settings]:
            # what was used is a column of its own only where it is not what was given
            given = found.get(metric.removesuffix(used("")), math.nan)
            replayed = found.get(metric, given) if found else None
            yield Value(number, n, metric, row.get(metric), replayed, tolerance)
