"""Pictures that the site draws from the files of rows: SVG in the page, in its colours and letters.

They stand in the page's source and take its colour, so they are right in the dark, on a phone and
on paper, and weigh a few thousand characters.
"""

from __future__ import annotations

import json
from html import escape

import pandas as pd

from mdlib import methods, sweep
from mdlib.figures.explorable import STYLE

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 360, 262, 30, 352, 10, 222
GREY = "#808080"  # can be seen on white and on black
BLACK = ("#000", "#000000", "black", "k")  # which a dark page would hide
NAMED = ("vae", "simve", "infonce", "byol", "supervised", "untrained")  # the others are small dots

# What became of a claim: a word, and a colour that can be told apart by those who see no red.
KINDS = {
    "hold": "#2a9d5c",
    "in part": "#8fb339",
    "not shown": "#d55e00",
    "proved, tested": "#3b82c4",
    "not testable": GREY,
    "not yet tried": "#b8b8b8",
}


def svg(width: int, height: int, says: str, parts: list[str]) -> str:
    """One line of HTML, for a blank one would end it in Markdown."""
    return (
        f'<svg class="picture" viewBox="0 0 {width} {height}" role="img" aria-label="{says}" '
        f'fill="currentColor" font-family="inherit" font-size="13">{"".join(parts)}</svg>'
    )


def text(x: float, y: float, words: str, anchor: str = "start", more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(words)}</text>'


def content_style() -> str:
    """What thirteen methods keep of MNIST: a dot a method, the mean over the sweep's seeds."""
    rows = sweep.read_csv("simve_mnist")
    mean = rows.groupby("method", sort=False)[["linear, views", "style"]].mean()
    low, high = (0.2, 0.0), (0.95, 0.75)  # of the axes
    xs = LEFT + (mean["linear, views"] - low[0]) / (high[0] - low[0]) * (RIGHT - LEFT)
    ys = BOTTOM - (mean["style"] - low[1]) / (high[1] - low[1]) * (BOTTOM - TOP)
    if (mean > list(high)).any(axis=None) or (mean["linear, views"] < low[0]).any():
        raise ValueError("simve_mnist.csv has values beyond the axes of the picture of the book")
    parts = []
    for tick in (0.2, 0.4, 0.6):
        y = BOTTOM - tick / (high[1] - low[1]) * (BOTTOM - TOP)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{RIGHT}" stroke="currentColor" opacity=".15"/>')
        parts.append(text(LEFT - 5, y + 4, f"{tick:g}", "end", ' opacity=".7"'))
    for tick in (0.3, 0.5, 0.7, 0.9):
        x = LEFT + (tick - low[0]) / (high[0] - low[0]) * (RIGHT - LEFT)
        parts.append(text(x - 4, BOTTOM + 17, f"{tick:g}", "middle", ' opacity=".7"'))
    parts.append(f'<path d="M{LEFT} {TOP}V{BOTTOM}H{RIGHT}" fill="none" stroke="currentColor"/>')
    for name, x, y in zip(mean.index, xs, ys, strict=True):
        title = "untrained" if name == "untrained" else methods.find(name).title
        colour = GREY if name == "untrained" else methods.find(name).colour
        colour = "currentColor" if colour in BLACK else colour
        big = name in NAMED
        parts.append(
            f'<circle cx="{x:.1f}" cy="{min(y, BOTTOM):.1f}" r="{7 if big else 4}" fill="{colour}" '
            f'opacity="{1 if big else 0.8}"><title>{escape(title)}</title></circle>'
        )
        if big:
            left = x > (LEFT + RIGHT) / 2 + 40
            parts.append(
                text(x - 11 if left else x + 11, min(y, BOTTOM - 8) + 4, title,
                     "end" if left else "start", ' font-weight="600"')
            )  # fmt: skip
    parts.append(
        text(LEFT + 8, TOP + 8, "↑ style: how the picture was shown", more=' opacity=".8"')
    )
    parts.append(
        text(RIGHT, HEIGHT - 6, "content: what the picture shows →", "end", ' opacity=".8"')
    )
    says = (
        "Content against style for thirteen methods and an untrained network on MNIST. VAEs keep "
        "most style, InfoNCE and VICReg most content and no style, SimVE and BYOL lie between; no "
        "method without labels is at the top of both."
    )
    return svg(WIDTH, HEIGHT, says, parts)


def ledger(counts: pd.DataFrame) -> str:
    """A bar a work: how many claims came out how; `counts` has a column for each of KINDS."""
    height, bar, name = 22, 14, 172
    unit = (RIGHT - name) / counts.sum(axis=1).max()
    parts, x, y = [], 0.0, 14.0
    for kind, colour in KINDS.items():
        words = f"{kind} {int(counts[kind].sum())}"
        if x + 20 + 7.2 * len(words) > RIGHT:
            x, y = 0.0, y + 20
        parts.append(f'<rect x="{x}" y="{y - 10}" width="12" height="12" fill="{colour}"/>')
        parts.append(text(x + 16, y, words))
        x += 30 + 7.2 * len(words)
    y += 14
    for work, row in counts.iterrows():
        parts.append(text(name - 6, y + 12, str(work), "end", ' font-size="11.5"'))
        x = float(name)
        for kind, colour in KINDS.items():
            if count := int(row[kind]):
                parts.append(
                    f'<rect x="{x:.1f}" y="{y}" width="{unit * count - 1:.1f}" height="{bar}" '
                    f'fill="{colour}"><title>{escape(str(work))}: {count} {kind}</title></rect>'
                )
                x += unit * count
        y += height
    total = {kind: int(counts[kind].sum()) for kind in KINDS}
    says = "Claims by work and outcome. All: " + ", ".join(
        f"{n} {kind}" for kind, n in total.items()
    )
    return svg(WIDTH, int(y), says, parts)


def forest(rows: list[dict[str, object]]) -> str:
    """Claims with their intervals, to choose from; results.js draws them from `rows`.

    A row has says, verdict, d, low, high, n and metric; and, to choose by, work and data.
    """
    choices = []
    for name, words in (("work", "claims of"), ("data", "data"), ("verdict", "verdict")):
        values = dict.fromkeys(value for row in rows for value in str(row[name]).split(", "))
        options = "".join(f"<option>{escape(value)}</option>" for value in values if value)
        choices.append(
            f'<label><span>{words}</span><select name="{name}" aria-label="{words}">'
            f'<option value="">all</option>{options}</select></label>'
        )
    data = json.dumps(rows, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    return (
        '<figure class="explorable forest" data-explorable="forest-of-claims">'
        f"<style>{STYLE}</style>"
        f'<div class="explorable-controls" hidden="hidden"><div class="choices">{"".join(choices)}'
        '</div><label><span>|a − b| at least</span><input type="range" min="0" max="50" value="0" '
        'aria-label="smallest difference" aria-valuetext="0.000"><output>0.000</output></label>'
        '</div><div class="explorable-picture" tabindex="0" role="group" aria-label="claims">'
        "<ol></ol></div>"
        '<figcaption><span class="said"></span>A dot is a difference a − b, filled where its claim '
        "holds, with its 95 % interval. The axis is linear up to ±0.05, then logarithmic; ticks at "
        "±0.1 and ±1, in the unit that each row names.</figcaption>"
        f'<script type="application/json">{data}</script>'
        '<script src="../_static/results.js"></script></figure>'
    )
