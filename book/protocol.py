"""The page of how the experiments compare: what holds for all, and tables made from the sweeps."""

from __future__ import annotations

from collections import Counter

import pages

from mdlib import sweep
from mdlib.sweep.claims import claims_path
from mdlib.sweep.rowfile import csv_path

OPENING = """# The protocol

How the experiments of this book compare methods. A chapter that does otherwise says so; the tables
are made from the files of the sweeps.

**The same for all methods of a comparison:** data and their split, the law of views, the encoder,
the batch, the images seen, the optimiser (AdamW) and its schedule, the probes and the seeds. A
method whose official schedule differs has it as an option (see [](conformance)). Warm-up is the
same for all, or the contrast names it.

**Settings.** Every method of a comparison gets the same number of trials, at random on log scales
or from a grid, on that data set or on another one that is named. A fifth of the *training* images
is held out (the same fifth, with the classes' proportions); the setting with the best score there,
in the mean over seeds of their own, wins. Test images are not looked at before; where they were,
the sweep's file says so. Where the winner stands at the end of what was tried, the chapter says
so.

**Claims.** A sweep's file has its claims before its rows are made: a contrast a − b in one column,
a margin, and the family over which Holm's adjustment goes. *Confirmatory* are those whose
commit is older than their rows, on seeds that nobody had seen; the rest are *exploratory*.

**Intervals** are Student's at 95 %, of differences paired by seed, where seeds redraw weights, the
order of images, views and probes. A bootstrap of five numbers would be too narrow. Such an interval
is about training again with the same images. Where rows keep which test views were right, a second
one, by a bootstrap over seeds × test images, is about other images as well.
"""

TUNED = """## What was tuned, and how much

Comparisons without a line here use one learning rate for all, or the settings that their chapter
names.

"""

CLAIMED = """## Claims by sweep

"""

TRIALS = ["sweep", "chapter", "data", "methods", "settings each", "seeds each", "run"]
KINDS = ["sweep", "chapter", "seeds", "confirmatory", "exploratory", "run"]


def page() -> str:
    """The page, as Markdown."""
    specs = pages.specs()
    tuned = pages.markdown(TRIALS, [line for spec in specs for line in tuning(spec)])
    claimed = pages.markdown(KINDS, [claims(spec) for spec in specs if spec.claims])
    parts = [OPENING, TUNED + pages.stacks("tuned", tuned)]
    return "\n".join([*parts, "", CLAIMED + pages.stacks("claimed", claimed), ""])


def tuning(spec: sweep.Spec) -> list[list[str]]:
    """A line a data set on which a sweep holds images out; none for other sweeps."""
    held = [p.parameters for p in spec.points if p.parameters.get("held_out") is True]
    lines = []
    for data in dict.fromkeys(given["dataset"] for given in held):
        here = [given for given in held if given["dataset"] == data]
        name = "variants" if "variants" in here[0] else "methods"
        settings = {
            tuple((k, str(v)) for k, v in given.items() if k != "seed"): given[name]
            for given in here
        }
        each = sorted(set(Counter(settings.values()).values()))
        seeds = {given.get("seed") for given in here}
        lines.append(
            [
                f"`{spec.name}`", pages.link(spec.chapter), data,
                str(len(set(settings.values()))), spans(each), str(len(seeds)), done(spec),
            ]
        )  # fmt: skip
    return lines


def claims(spec: sweep.Spec) -> list[str]:
    """How many claims a sweep has of each kind, and on which seeds."""
    if claims_path(spec).is_file():
        kinds = Counter(sweep.claims(spec)["kind"])
    else:
        kinds = Counter(claim.kind for claim in spec.claims.values())
    given = {point.parameters["seed"] for point in spec.points if "seed" in point.parameters}
    rows = sweep.read_csv(spec) if csv_path(spec).is_file() else {}
    seeds = sorted(set(rows.get("seed (used)", given)))  # a run may have several
    counted = [str(kinds[kind] or "") for kind in ("confirmatory", "exploratory")]
    return [f"`{spec.name}`", pages.link(spec.chapter), spans(seeds), *counted, done(spec)]


def spans(numbers: list[int]) -> str:
    """Sorted whole numbers as ranges: "0–4, 7"."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1] = [parts[-1][0], number]
        else:
            parts.append([number])
    return ", ".join("–".join(map(str, part)) for part in parts)


def done(spec: sweep.Spec) -> str:
    return "yes" if csv_path(spec).is_file() else "not yet"
