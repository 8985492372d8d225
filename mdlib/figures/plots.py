"""The figures that several chapters share.

Each function draws and returns nothing, so that a cell may end on it; `plt.gcf()` is the figure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from torch import Tensor

from mdlib import methods
from mdlib.checks import need
from mdlib.evaluation.statistics import Interval
from mdlib.figures import tables
from mdlib.figures.pictures import as_text as as_text  # a chapter finds it here


class OfMethods(Mapping[str, str]):
    """An attribute of every method by the method's name, looked up when it is asked for."""

    def __init__(self, attribute: str, untrained: str):
        self.attribute, self.untrained = attribute, untrained

    def __getitem__(self, name: str) -> str:
        if name == "untrained":
            return self.untrained
        if name not in methods.REGISTRY:
            raise KeyError(name)
        return getattr(methods.find(name), self.attribute)

    def __iter__(self) -> Iterator[str]:
        yield from (*methods.REGISTRY, "untrained")

    def __len__(self) -> int:
        return len(methods.REGISTRY) + 1

    def __or__(self, other: Mapping[str, str]) -> dict[str, str]:
        return {**self, **other}


# One colour a method in the whole book, a family by its hue: blues and greens decode, orange
# contrasts, purple, pink and brown do neither. VAE, SimVE, InfoNCE and BYOL are colour-blind safe
# together.
COLOURS = OfMethods("colour", untrained="#7f7f7f")
LABELS = OfMethods("title", untrained="untrained")


def theme() -> None:
    """The book's look, of figures and of tables: call it once, in a chapter's setup."""
    tables.show()
    sns.set_theme(style="whitegrid", context="notebook", font_scale=0.9)
    plt.rcParams |= {
        "figure.dpi": 150,
        "figure.constrained_layout.use": True,
        "axes.grid": True,
        "grid.alpha": 0.4,
        "image.cmap": "gray",
    }


def causal_graph(
    edges: Iterable[tuple[str, str]],
    axis: plt.Axes | None = None,
    hidden: Collection[str] = (),
) -> None:
    """Draw who causes whom, (cause, effect) each: causes to the left, or in a circle if there is
    one. What is `hidden` is grey. Circles are as large as the fullest column lets them be."""
    import networkx as nx

    if axis is None:
        _, axis = plt.subplots(figsize=(3.5, 2))
    graph, size, margin, letters = nx.DiGraph(edges), 1200.0, 0.3, 7
    if nx.is_directed_acyclic_graph(graph):
        layers = dict(enumerate(nx.topological_generations(graph)))
        places = nx.multipartite_layout(graph, subset_key=layers)
        if (most := max(map(len, layers.values()))) > 3:
            margin, letters = 0.15, 6
            points = axis.get_window_extent().height * 72 / axis.figure.dpi
            size = min(size, (0.85 * points / (1 + 2 * margin) / (most - 1)) ** 2)
    else:
        places = nx.circular_layout(graph)
    colours = ["0.75" if name in hidden else "#cfe3f3" for name in graph]
    nx.draw_networkx(graph, places, ax=axis, node_color=colours, node_size=size, font_size=letters)
    axis.margins(0.3, margin)
    axis.axis("off")


def image_grid(
    images: Tensor, row_labels: list[str] | None = None, column_labels: list[str] | None = None
) -> None:
    """Images [R, K, C, H, W] in [0, 1] or uint8 as R rows of K; labels beside and above them, as
    many as rows and columns (else ValueError)."""
    rows, columns, _, height, width = images.shape
    for labels, count, what in [(row_labels, rows, "row"), (column_labels, columns, "column")]:
        if labels is not None:
            need(len(labels) == count, f"{len(labels)} {what} labels for {count} {what}s of images")
    pad = 2
    images = images.cpu().numpy()
    images = images / 255 if images.dtype == np.uint8 else images
    framed = np.pad(images, [(0, 0)] * 3 + [(pad, pad)] * 2, constant_values=1.0)
    sheet = framed.transpose(0, 3, 1, 4, 2).reshape(
        rows * (height + 2 * pad), columns * (width + 2 * pad), -1
    )
    _, axes = plt.subplots(figsize=(min(7, 0.75 * columns + 1), min(9, 0.75 * rows + 0.3)))
    axes.imshow(sheet.squeeze(-1) if sheet.shape[-1] == 1 else sheet, vmin=0, vmax=1)
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    sns.despine(ax=axes, left=True, bottom=True)
    if row_labels is not None:
        axes.set_yticks((np.arange(rows) + 0.5) * (height + 2 * pad), row_labels)
    if column_labels is not None:
        axes.set_xticks((np.arange(columns) + 0.5) * (width + 2 * pad), column_labels)
        axes.xaxis.tick_top()
    axes.tick_params(length=0)


def matrices(
    found: Mapping[str, np.ndarray], rows: Sequence[str], columns: Sequence[str], ylabel: str = ""
) -> None:
    """A panel for each name: its matrix [R, C] of numbers from 0 to 1, dark to bright."""
    size = (7, min(3, 1.2 + 0.16 * len(rows)))
    _, axes = plt.subplots(1, len(found), figsize=size, sharey=True, squeeze=False)
    for axis, (name, matrix) in zip(axes[0], found.items(), strict=True):
        axis.imshow(matrix, vmin=0, vmax=1, cmap="viridis")
        axis.set_xticks(range(len(columns)), columns, rotation=90, fontsize=7)
        axis.set_yticks(range(len(rows)), rows, fontsize=7)
        axis.set_title(name, fontsize=8)
        axis.grid(False)
    axes[0, 0].set_ylabel(ylabel, fontsize=8)


def loss_curves(histories: dict[str, list[pd.DataFrame]], window: int = 25) -> None:
    """One panel a method: the total loss of each seed against the step, as a running mean.

    `histories` has, for each method, what `fit` returned for each seed.
    """
    _, axes = plt.subplots(1, len(histories), figsize=(7, 2.1), squeeze=False)
    for axis, (name, runs) in zip(axes[0], histories.items(), strict=True):
        for run in runs:
            run.loss.rolling(window, min_periods=1).mean().plot(
                ax=axis, color=COLOURS.get(name), lw=1, alpha=0.8
            )
        axis.set(title=LABELS.get(name, name), xlabel="step")
    axes[0, 0].set_ylabel("loss (nats; BYOL: 2 − 2 cos)")


def content_style(rows: pd.DataFrame, content: str, style: str) -> None:
    """The book's figure: a dot a method, content to the right, style upwards, bars ± one std.

    `rows` has a "method" and one row a seed; `content` and `style` name the columns to draw, an
    accuracy and a mean R².
    """
    _, axes = plt.subplots(figsize=(5.2, 4))
    groups = rows.groupby("method", sort=False)[[content, style]]
    mean, std = groups.mean(), groups.std()
    near = (mean.max() - mean.min()).clip(lower=1e-9) * [0.25, 0.12]
    for name, (x, y) in mean.iterrows():
        axes.errorbar(
            x, y, xerr=std.loc[name, content], yerr=std.loc[name, style], color=COLOURS.get(name),
            marker="s" if name == "untrained" else "o", markersize=9, capsize=3, lw=1.2,
        )  # fmt: skip
        # The name goes to the right of its dot, unless another dot is there already.
        right = mean.drop(index=name) - [x, y]
        crowded = ((right[content] >= 0) & (right.abs() < near).all(axis=1)).any()
        crowded |= (right[content] < 0).all()  # the rightmost name would leave the axes
        axes.annotate(
            LABELS.get(name, name), (x, y), xytext=(-9 if crowded else 9, 7),
            ha="right" if crowded else "left",
            textcoords="offset points", color=COLOURS.get(name), weight="bold",
        )  # fmt: skip
    axes.margins(0.2)
    axes.set(xlabel=f"{content} (accuracy)", ylabel=f"{style} (mean $R^2$)")


_ASIDE = [(1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1), (0, 1), (0, -1)]
_ASIDE += [(right, 2 * up) for right, up in _ASIDE[2:]]  # where there is a crowd


def name_points(
    axis: plt.Axes,
    points: Sequence[tuple[float, float]],
    names: Sequence[str],
    colours: Sequence[str],
) -> None:
    """Write each point's name beside it, where the fewest points and names are in the way.

    The axis must be where it will be: draw the figure's canvas before.
    """
    letter = np.array([4.4, 8]) * axis.figure.dpi / 72  # pixels, at 7 points
    centres = axis.transData.transform(points)
    taken = [(centre - 4, centre + 4) for centre in centres]
    for here, name, colour in zip(centres, names, colours, strict=True):
        box = letter * [len(name), 1.2]
        places = []
        for right, up in _ASIDE:
            middle = here + np.array([right * (box[0] / 2 + 12), up * box[1]])  # clear of the dot
            low, high = middle - box / 2, middle + box / 2
            hits = sum((low < b).all() and (a < high).all() for a, b in taken)
            inside = (low > axis.bbox.min).all() and (high < axis.bbox.max).all()
            places.append((hits + 3 * (not inside), len(places), low, high))
        _, _, low, high = min(places, key=lambda place: place[:2])
        taken.append((low, high))
        x, y = axis.transData.inverted().transform((low + high) / 2)
        axis.text(x, y, name, color=colour, fontsize=7, weight="bold", ha="center", va="center")


def forest(
    intervals: Mapping[str, Interval | None] | Mapping[str, Mapping[str, Interval | None]],
    margin: float = 0.0,
    xlabel: str = "difference",
) -> None:
    """Differences with their intervals, a row each: filled where 0 is outside, hollow elsewhere.

    A single value, whose interval is all numbers, is a hollow dot without bars.

    `intervals` has an `Interval` for each row's name, None where there is none; or such a mapping
    for each panel's title, and then all panels share rows, in the order in which they turn up.
    ±`margin` is shaded: within it, a difference counts for nothing. Without rows no figure is made.
    """
    panels = {title: rows for title, rows in intervals.items() if isinstance(rows, Mapping)}
    if not panels:
        panels = {"": {n: one for n, one in intervals.items() if not isinstance(one, Mapping)}}
    names = list(dict.fromkeys(name for rows in panels.values() for name in rows))
    if not names:
        return
    size = (max(4, min(7, 2.5 * len(panels) + 1)), 0.23 * len(names) + 0.9)
    figure, axes = plt.subplots(1, len(panels), figsize=size, sharey=True, squeeze=False)
    for axis, (title, rows) in zip(axes[0], panels.items(), strict=True):
        axis.axvline(0, color="k", lw=0.8)
        if margin:
            axis.axvspan(-margin, margin, color="0.9", lw=0)
        for place, name in enumerate(names):
            if (found := rows.get(name)) is None:
                continue
            sure = found.low > 0 or found.high < 0
            ends = [[found.mean - found.low], [found.high - found.mean]]
            axis.errorbar(
                found.mean, place, xerr=ends if np.isfinite(ends).all() else None,
                fmt="o", ms=5, capsize=2, lw=1.2, color="#0173b2" if sure else "0.45",
                mfc=None if sure else "w",
            )  # fmt: skip
        axis.set_title(title, fontsize=9)
        axis.locator_params(axis="x", nbins=4)
    axes[0, 0].set_yticks(range(len(names)), names, fontsize=8)
    axes[0, 0].set_ylim(len(names) - 0.5, -0.5)
    figure.supxlabel(xlabel, fontsize=9)


def comparisons(
    found: pd.DataFrame,
    panels: str,
    rows: Sequence[str],
    margin: float = 0.0,
    xlabel: str = "difference",
    labels: Mapping[str, str] = LABELS,
) -> None:
    """The `forest` of a table of `statistics.compare`.

    Each value of the column `panels` has a panel; a row is named by its values in the columns
    `rows`, of which methods have their titles by `labels`.
    """
    named: dict[str, dict[str, Interval]] = {}
    for one in found.to_dict("records"):
        name = ": ".join(labels.get(one[column], one[column]) for column in rows)
        named.setdefault(one[panels], {})[name] = one["interval"]
    forest(named, margin, xlabel)


def claims(said: pd.DataFrame, xlabel: str = "a − b") -> None:
    """A row a claim, as `sweep.claims` gives them: its interval, and the verdict beside it.

    Filled where the claim holds, hollow elsewhere; the diamond of an exploratory one says that its
    rows were seen before it was written.
    """
    if said.empty:
        return
    _, axis = plt.subplots(figsize=(7, 0.3 * len(said) + 0.9))
    axis.axvline(0, color="k", lw=0.8)
    for place, (_, one) in enumerate(said.iterrows()):
        ends = [[one["a − b"] - one["low"]], [one["high"] - one["a − b"]]]
        sure = one["verdict"] != "undecided"
        axis.errorbar(
            one["a − b"], place, xerr=ends if np.isfinite(ends).all() else None, capsize=2, lw=1.2,
            fmt="D" if one["kind"] == "exploratory" else "o", ms=5,
            color="#0173b2" if sure else "0.45", mfc=None if one["verdict"] == "holds" else "w",
        )  # fmt: skip
        text = f"{one['verdict']} ({one['expected']})"
        axis.annotate(
            text, (1.02, place), xycoords=("axes fraction", "data"), va="center", fontsize=8
        )
    axis.set_yticks(range(len(said)), said.index, fontsize=8)
    axis.set_ylim(len(said) - 0.5, -0.5)
    axis.set_xlabel(xlabel, fontsize=9)


def dots(
    rows: pd.DataFrame,
    columns: Sequence[str],
    order: Sequence[str],
    by: str = "method",
    hue: str | None = None,
    labels: Mapping[str, str] = LABELS,
) -> None:
    """A panel a column, a row for each of `order` that has values: mean and ± one std over seeds.

    `by` is the column in which `order` stands; each value of the column `hue` has a colour of its
    own, in a legend above.
    """
    columns = [c for c in columns if c in rows and rows[c].notna().any()]
    there = [name for name in order if rows.loc[rows[by] == name, columns].notna().any(axis=None)]
    size = (7, 0.24 * len(there) + 1.1)
    figure, axes = plt.subplots(1, len(columns), figsize=size, sharey=True, squeeze=False)
    groups = [(None, rows)] if hue is None else list(rows.groupby(hue, sort=False))
    for axis, column in zip(axes[0], columns, strict=True):
        for i, (label, part) in enumerate(groups):
            shift = 0.2 * (i - (len(groups) - 1) / 2)
            table = part.groupby(by)[column].agg(["mean", "std"]).reindex(there)
            axis.errorbar(
                table["mean"], np.arange(len(there)) + shift, xerr=table["std"], fmt="os^D"[i % 4],
                ms=4, capsize=1.5, lw=1, color=f"C{i}", label=label,
            )  # fmt: skip
        axis.set_title(column, fontsize=9)
        axis.locator_params(axis="x", nbins=4 if len(columns) < 5 else 3)
    axes[0, 0].set_yticks(range(len(there)), [labels.get(name, name) for name in there], fontsize=8)
    axes[0, 0].set_ylim(len(there) - 0.5, -0.5)
    if hue is not None:
        handles = axes[0, 0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside upper center", ncols=4, fontsize=8)


def parts(
    rows: pd.DataFrame,
    asked: Sequence[str],
    order: Sequence[str],
    names: Mapping[str, str],
    labels: Mapping[str, str] = LABELS,
) -> None:
    """What each part of a code knows: the `dots` of the columns "ASKED, PART", a colour a part.

    `names` has a name for the legend for each part, such as {"c": "content part"}.
    """
    found = [
        rows[["method"]].assign(part=name, **{a: rows.get(f"{a}, {part}", np.nan) for a in asked})
        for part, name in names.items()
    ]
    dots(pd.concat(found), asked, order, hue="part", labels=labels)


def curves(
    rows: pd.DataFrame,
    x: str,
    columns: Sequence[str],
    hue: str | None = None,
    colours: Mapping[str, str] = COLOURS,
) -> None:
    """A panel a column: the mean and ± one std over seeds against the number `x`.

    Each value of the column `hue` has a line of its own, in a legend above, and its colour.
    """
    size = (max(4, min(7, 2.5 * len(columns) + 1)), 2.8)
    figure, axes = plt.subplots(1, len(columns), figsize=size, squeeze=False)
    values = rows[x][rows[x] > 0]
    wide = len(values) == len(rows) and values.max() >= 20 * values.min()
    groups = [(None, rows)] if hue is None else list(rows.groupby(hue, sort=False))
    for axis, column in zip(axes[0], columns, strict=True):
        for i, (label, part) in enumerate(groups):
            table = part.dropna(subset=[column]).groupby(x)[column].agg(["mean", "std"])
            axis.errorbar(
                table.index, table["mean"], yerr=table["std"].fillna(0), fmt="-" + "os^D"[i % 4],
                ms=4, capsize=1.5, lw=1, color=colours.get(label, f"C{i}"),
                label=LABELS.get(label, label),
            )  # fmt: skip
        axis.set_title(column, fontsize=9)
        axis.set_xlabel(x, fontsize=9)
        axis.set_xscale("log" if wide else "linear")
    if hue is not None:
        handles = axes[0, 0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside upper center", ncols=4, fontsize=8)
