"""Explorables: figures with sliders that work wherever a web page does, without Python.

An explorable is a table of pictures, one for each position of one or more named sliders. The
chapter computes them all; the figure holds them, and a few lines of JavaScript show the one that
the sliders stand on. Where scripts don't run, one picture stands still, and there are no sliders.

    film("walk", images, {"direction": range(6), "step": [-2, -1, 0, 1, 2]})   # a cell ends on it
    curves("ceiling", {"InfoNCE": values}, {"K": sizes, "truth": levels}, along="truth")

In JupyterLab, `.live()` shows the same with ipywidgets.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mdlib.figures.pictures import png

_LIMIT = 1_000_000  # characters of an explorable's pictures; a page of the book has 2 MB

STYLE, SCRIPT = (
    Path(__file__).with_name(f"explorable{suffix}").read_text(encoding="utf-8")
    for suffix in (".css", ".js")
)


@dataclass(frozen=True, repr=False)
class Explorable:
    """A picture for each position of some sliders; a notebook shows it by itself.

    `film` and `curves` make them.

    Args:
        name: how the page's source calls it: lower-case words joined by "-", another in each figure
            of the book.
        sliders: the labels of each slider's positions.
        pictures: what changes, for all positions, those of the last slider fastest.
        frame: the HTML before and after what changes.
        dom_property: of the element of class explorable-moving in it, which a picture becomes.
        start: the index of each slider's first position.
        still: HTML of the picture that is shown without JavaScript; else the one at the start.
    """

    name: str
    sliders: dict[str, list[str]]
    pictures: list[str]
    frame: tuple[str, str]
    dom_property: str
    start: list[int]
    still: str = ""

    def __post_init__(self):
        if (size := sum(map(len, self.pictures))) > _LIMIT:
            raise ValueError(
                f"explorable {self.name!r}: {len(self.pictures)} pictures of {size / 1e6:.1f} MB, "
                f"expected {_LIMIT / 1e6:g} MB at most; use fewer positions, or smaller images"
            )

    def __repr__(self) -> str:
        return f"Explorable({self.name!r}, {' × '.join(self.sliders)}: {len(self.pictures)} states)"

    def picture(self, positions: Sequence[int]) -> str:
        """The HTML of the picture at these positions, an index a slider."""
        lengths = [len(labels) for labels in self.sliders.values()]
        before, after = self.frame
        return before + self.pictures[np.ravel_multi_index(positions, lengths)] + after

    def _repr_html_(self) -> str:
        controls = "".join(
            f'<label><span>{escape(slider)}</span><input type="range" min="0" '
            f'max="{len(labels) - 1}" value="{start}" aria-label="{escape(slider)}" '
            f'aria-valuetext="{escape(labels[start])}">'
            f'<output aria-live="off">{escape(labels[start])}</output></label>\n'
            for (slider, labels), start in zip(self.sliders.items(), self.start, strict=True)
        )
        data = {
            "property": self.dom_property,
            "positions": list(self.sliders.values()),
            "frame": self.frame,
            "pictures": self.pictures,
        }
        # "</script>" would end the script, and "<!--<script>" would not let it end.
        text = json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")
        return (
            f'<figure class="explorable" data-explorable="{escape(self.name)}">\n'
            f"<style>{STYLE}</style>\n"
            f'<div class="explorable-picture">{self.still or self.picture(self.start)}</div>\n'
            f'<div class="explorable-controls" hidden="hidden">\n{controls}</div>\n'
            f'<script type="application/json">{text}</script>\n'
            f"<script>{SCRIPT}</script>\n</figure>"
        )

    def live(self) -> Any:
        """The same as an ipywidgets box: a slider each, and an HTML widget for the picture.

        Raises ImportError, with how to install it, where there is no ipywidgets.
        """
        try:
            from ipywidgets import HTML, SelectionSlider, VBox
        except ImportError:
            raise ImportError("ipywidgets is missing: pip install 'mdlib[notebooks]'") from None
        sliders = [
            SelectionSlider(options=[(text, i) for i, text in enumerate(labels)], value=start,
                            description=slider, style={"description_width": "initial"})
            for (slider, labels), start in zip(self.sliders.items(), self.start, strict=True)
        ]  # fmt: skip
        picture = HTML()

        def show(_=None):
            inner = self.picture([slider.value for slider in sliders])
            picture.value = (
                f'<figure class="explorable"><style>{STYLE}</style>'
                f'<div class="explorable-picture">{inner}</div></figure>'
            )

        for slider in sliders:
            slider.observe(show, "value")
        show()
        return VBox([picture, *sliders])


# --- pictures -------------------------------------------------------------------------------------


def film(
    name: str,
    images: Tensor,
    sliders: Mapping[str, Iterable],
    row_labels: Sequence[str] = (),
    start: Mapping[str, Any] | None = None,
) -> Explorable:
    """A grid of images for each position of the sliders.

    Args:
        name: see `Explorable`.
        images: uint8, or float in [0, 1]: [S1, …, Sk, R, N, C, H, W], a dimension a slider, then as
            in `plots.image_grid` R rows of N images. They are kept losslessly, with 8 bits.
        sliders: for each slider its positions, numbers or texts.
        row_labels: R of them, or none.
        start: the position on which a slider stands at first, where that is not its first one.

    Raises:
        ValueError: images of another shape or range, positions or labels in another number, an
            unknown start, a bad name; pictures beyond _LIMIT.
    """
    labels, at = _checked(name, sliders, start)
    lengths = tuple(map(len, labels.values()))
    shape = tuple(images.shape)
    if len(shape) != len(lengths) + 5 or shape[:-5] != lengths or shape[-3] not in (1, 3):
        expected = ", ".join(map(str, lengths))
        raise ValueError(f"images {list(shape)}: expected [{expected}, R, N, 1 or 3, H, W]")
    if row_labels and len(row_labels) != shape[-5]:
        raise ValueError(f"{len(row_labels)} row labels for {shape[-5]} rows of images")
    if images.dtype != torch.uint8:
        if not ((images >= 0) & (images <= 1)).all():
            raise ValueError("images must be uint8, or lie in [0, 1]; clamp them")
        images = (255 * images).round().to(torch.uint8)
    rows = "".join(f"<div>{escape(label)}</div>" for label in row_labels)
    rows = f'<div class="explorable-rows">{rows}</div>' if rows else ""
    alt = f"images at each position of: {', '.join(labels)}"
    frame = f'{rows}<img class="explorable-moving" alt="{escape(alt)}" width="400" src="', '">'
    pictures = [png(_sheet(grid)) for grid in images.flatten(0, -6)]
    return Explorable(name, labels, pictures, frame, "src", at)


def _sheet(images: Tensor) -> Tensor:
    """Images uint8 [R, N, C, H, W] as one picture, with a grey line around each."""
    framed = torch.nn.functional.pad(images, (1, 1, 1, 1), value=128)
    return framed.permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1).squeeze(2)


# The chart's own units: its width on a phone, in pixels.
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 360, 240, 32, 350, 44, 198
_STROKES = ("#d55e00", "#0173b2", "#029e73")
GREY = "#777777"  # can be read on white and on black
_SVG = "http://www.w3.org/2000/svg"  # a name, which nobody loads
_DASHES = ("none", "7 4", "2 3")  # colour alone must not tell lines apart


def curves(
    name: str,
    lines: Mapping[str, Any],
    sliders: Mapping[str, Iterable],
    along: str,
    unit: str = "",
    start: Mapping[str, Any] | None = None,
) -> Explorable:
    """A chart of up to three lines over one slider's positions; the other sliders change the lines.

    A dot marks where the sliders stand, and the legend tells its value with two decimals.

    Args:
        name, sliders, start: as for `film`.
        lines: for each line an array or tensor [S1, …, Sk], a dimension a slider, or one that NumPy
            would broadcast to it.
        along: the slider whose positions are the horizontal axis, at equal distances.
        unit: of the vertical axis.

    Raises:
        ValueError: as `film`; more lines than three; values that are not finite.
    """
    from matplotlib.ticker import MaxNLocator

    labels, at = _checked(name, sliders, start)
    if along not in labels:
        raise ValueError(f"along={along!r}: expected one of the sliders {list(labels)}")
    if not 0 < len(lines) <= len(_STROKES):
        raise ValueError(f"{len(lines)} lines: expected 1 to {len(_STROKES)}")
    lengths = tuple(map(len, labels.values()))
    every = np.empty((len(lines), *lengths))
    for i, (line, value) in enumerate(lines.items()):
        try:
            every[i] = torch.as_tensor(value).cpu()
        except (RuntimeError, ValueError):
            raise ValueError(f"line {line!r}: expected an array {list(lengths)}") from None
        if not np.isfinite(every[i]).all():
            raise ValueError(f"line {line!r} has values that are not finite")
    ticks = MaxNLocator(5).tick_values(min(0, every.min().round(2)), every.max())
    xs = np.linspace(LEFT + 8, RIGHT - 8, len(labels[along]))
    ys = BOTTOM - (every - ticks[0]) / (ticks[-1] - ticks[0]) * (BOTTOM - TOP)
    axis = list(labels).index(along)
    pictures = []
    for positions in product(*map(range, lengths)):
        whole = (slice(None), *positions[:axis], slice(None), *positions[axis + 1 :])
        now = every[(slice(None), *positions)]
        pictures.append(_lines(xs, ys[whole], positions[axis], list(lines), now))
    frame = _axes(xs, labels[along], along, ticks, unit), "</g></svg>"
    chart = Explorable(name, labels, pictures, frame, "innerHTML", at)
    # Who removes scripts removes inline SVG, too, and leaves its texts; an image of it remains.
    alone = chart.picture(at).replace("currentColor", GREY)
    alone = alone.replace("<svg", f'<svg xmlns="{_SVG}"', 1)
    uri = "data:image/svg+xml;base64," + base64.b64encode(alone.encode()).decode()
    still = f'<img alt="{escape(", ".join(lines))} against {escape(along)}" src="{uri}">'
    return replace(chart, still=still)


def _lines(xs: np.ndarray, ys: np.ndarray, at: int, names: list[str], values: np.ndarray) -> str:
    """What moves in a chart: lines ys [L, len(xs)], dots at one position, the legend."""
    parts = []
    for i, (y, name, value) in enumerate(zip(ys, names, values, strict=True)):
        style = f'stroke="{_STROKES[i]}" stroke-dasharray="{_DASHES[i]}"'
        points = " ".join(f"{a:.0f},{b:.1f}" for a, b in zip(xs, y, strict=True))
        left = LEFT + i * (RIGHT - LEFT) // len(names)
        parts.append(
            f'<polyline points="{points}" fill="none" {style}/><path d="M{left} 12h18" {style}/>'
            f'<circle cx="{xs[at]:.0f}" cy="{y[at]:.1f}" r="4" fill="{_STROKES[i]}"/>'
            f'<text x="{left + 22}" y="16">{escape(name)} {value:z.2f}</text>'
        )
    parts.append(f'<path d="M{xs[at]:.0f} {TOP}V{BOTTOM}" stroke="currentColor" opacity=".4"/>')
    return "".join(reversed(parts))  # what comes last lies on top: the first line


def _axes(xs: np.ndarray, labels: list[str], along: str, ticks: Sequence[float], unit: str) -> str:
    """What stands still in a chart, and the opening of what moves."""
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" fill="currentColor" font-family="sans-serif" '
        'font-size="12">'
    ]
    for y, tick in zip(np.linspace(BOTTOM, TOP, len(ticks)), ticks, strict=True):
        parts.append(
            f'<path d="M{LEFT} {y:.1f}H{RIGHT}" stroke="currentColor" opacity=".2"/>'
            f'<text x="{LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>'
        )
    step = math.ceil(len(labels) / 8)  # as many as do not touch
    for x, text in list(zip(xs, labels, strict=True))[::step]:
        parts.append(
            f'<text x="{x:.0f}" y="{BOTTOM + 16}" text-anchor="middle">{escape(text)}</text>'
        )
    middle = (LEFT + RIGHT) // 2
    parts.append(
        f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">{escape(along)}</text>'
        f'<text x="0" y="{TOP - 10}">{escape(unit)}</text>'
        '<g class="explorable-moving" stroke-width="2">'
    )
    return "".join(parts)


def _checked(
    name: str, sliders: Mapping[str, Iterable], start: Mapping[str, Any] | None
) -> tuple[dict[str, list[str]], list[int]]:
    """The labels of the sliders' positions and where they start; ValueError for bad ones."""
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        raise ValueError(f"name={name!r}: expected lower-case words joined by '-'")
    sliders = {slider: list(positions) for slider, positions in sliders.items()}
    if not sliders or min(map(len, sliders.values())) < 2:
        raise ValueError(f"sliders={sliders}: expected one or more, of two positions or more")
    first = {slider: positions[0] for slider, positions in sliders.items()} | dict(start or {})
    for slider, position in first.items():
        if position not in sliders.get(slider, []):
            raise ValueError(f"start={start}: expected positions of the sliders {sliders}")
    labels = {
        slider: [p if isinstance(p, str) else f"{p:g}".replace("-", "−") for p in positions]
        for slider, positions in sliders.items()
    }
    return labels, [positions.index(first[slider]) for slider, positions in sliders.items()]
