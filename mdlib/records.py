"""What a run leaves behind: its metrics, its environment, and one page to read.

Every file is written whole or not at all. Nothing heavy is imported before it is needed, so a
chapter can record its numbers without waiting for a plotting or a notebook library.
"""

from __future__ import annotations

import json
import math
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from html import escape, unescape
from importlib import metadata
from pathlib import Path
from typing import Any

from mdlib._files import written_whole

Row = dict[str, Any]  # flat: name → number, string, bool or None

METRICS = "metrics.json"
PACKAGES = (
    *("mdlib", "torch", "torchvision", "numpy", "scipy", "scikit-learn", "pandas", "matplotlib"),
    *("papermill", "jupytext", "ipykernel"),
)


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Write `value` as JSON, whole or not at all.

    Raises ValueError for NaN or infinity, TypeError for what JSON cannot hold.
    """
    text = json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False)
    with written_whole(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: str | os.PathLike) -> Any:
    """Read a JSON file.

    Raises FileNotFoundError if it is missing, ValueError if it is truncated or no JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is truncated or no JSON ({error}): make it again") from None


def record(out: str | os.PathLike, rows: Any = None, **metrics: Any) -> list[Row]:
    """Append rows of metrics to ``out/metrics.json`` and return the rows that were added.

    Args:
        out: the run's folder; "" (a chapter run interactively) writes nothing.
        rows: a dict, a list of dicts, or a pandas DataFrame (its index is kept only if named).
        metrics: further metrics, which form one row of their own.

    Raises:
        ValueError: nothing to record, a name that is no string, a value that is NaN, infinite or
            no scalar (the metric is named), or an unreadable ``metrics.json`` (it is left alone).
    """
    added = [_flat(row) for row in _rows(rows)] + ([_flat(metrics)] if metrics else [])
    if not added:
        raise ValueError("nothing to record: give rows, or metrics as keywords")
    if out != "":
        path = Path(out, METRICS)
        write_json(path, (read_metrics(out) if path.exists() else []) + added)
    return added


def read_metrics(folder: str | os.PathLike) -> list[Row]:
    """The rows that a run recorded.

    Raises FileNotFoundError if it recorded none, ValueError if the file is damaged.
    """
    path = Path(folder, METRICS)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist: the run recorded nothing, or has not come to it yet"
        )
    rows = read_json(path)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{path} holds no list of rows: it was not written by mdlib.record")
    return rows


def _rows(rows: Any) -> Iterable[Mapping]:
    if rows is None:
        return []
    if hasattr(rows, "to_dict") and hasattr(rows, "columns"):  # a DataFrame, without importing it
        if any(name is not None for name in rows.index.names):
            rows = rows.reset_index()
        if not rows.columns.is_unique:
            raise ValueError(f"two columns have one name: {list(rows.columns)}")
        return rows.to_dict("records")
    return [rows] if isinstance(rows, Mapping) else rows


def _flat(row: Any) -> Row:
    if not isinstance(row, Mapping):
        raise ValueError(f"a row is a dict of metrics, not {type(row).__name__}: {row!r}")
    return {_name(name): _scalar(name, value) for name, value in row.items()}


def _name(name: Any) -> str:
    if not isinstance(name, str):
        raise ValueError(f"metric {name!r} has a name that is no string")
    return name


def _scalar(name: str, value: Any) -> Any:
    """`value` as a plain Python scalar; numpy's and torch's are converted."""
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(
            f"metric {name!r} is {value}: record finite numbers, or None for 'no value'"
        )
    if value is not None and not isinstance(value, (bool, int, float, str)):
        kind = type(value).__name__
        raise ValueError(f"metric {name!r} is a {kind}, not a number, string, bool or None")
    return value


def environment(device: str = "cpu", started: float | None = None) -> dict[str, Any]:
    """Where and with what a run was made. Holds no host name, user name or path: it is published.

    Args:
        device: where the run computed: "cpu", "cuda", "cuda:1", "mps" or "auto".
        started: ``time.time()`` at its start, to report the seconds since then.
    """
    now = time.time()
    device = _resolved(str(device))
    commit, dirty = _commit(Path(__file__).parent)
    return {
        "date": datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds"),
        "seconds": None if started is None else round(now - started, 1),
        "device": device,
        "device_name": _device_name(device),
        "threads": _threads(),
        "commit": commit,
        "dirty": dirty,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _resolved(device: str) -> str:
    """What "auto" means here. torch takes seconds to import: ask it only if it could say more."""
    nodes = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
    accelerated = sys.platform != "linux" or any(map(os.path.exists, nodes))
    if device != "auto":
        return device
    if not accelerated and "torch" not in sys.modules:
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _device_name(device: str) -> str:
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists() and (found := re.search(r"model name\s*: (.+)", cpuinfo.read_text())):
        return found[1]
    return platform.processor() or platform.machine()


def _threads() -> int:
    if torch := sys.modules.get("torch"):
        return torch.get_num_threads()
    if (count := os.environ.get("OMP_NUM_THREADS", "")).isdigit():
        return int(count)
    # Python ≥ 3.13 and Linux know how many cores this process may use; elsewhere, all of them
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _commit(folder: Path) -> tuple[str, bool | None]:
    """Commit of the checkout that holds `folder`, and whether anything in it was changed since."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
        return done.stdout.strip()

    try:
        git(
            "ls-files", "--error-unmatch", "__init__.py"
        )  # not merely installed inside some checkout
        return git("rev-parse", "HEAD"), git("status", "--porcelain") != ""
    except (OSError, subprocess.SubprocessError):
        return "unknown", None


# The page: nbconvert's own, less everything that it would fetch from a network.

_TEMPLATE = """{% extends 'lab/index.html.j2' %}
{% block html_head_js_requirejs %}<meta http-equiv="Content-Security-Policy" content="default-src
'none'; img-src data:; media-src data:; font-src data:; style-src 'unsafe-inline';
script-src 'unsafe-inline'">{% endblock %}
{% block jupyter_widgets %}{% endblock %}
{% block html_head_js_mathjax %}{% endblock %}
{% block html_head_js_mermaidjs %}{% endblock %}
{% block html_head_css %}<style>
math[display=block] { overflow-x: auto; overflow-y: hidden; padding: 0.2em 0; }
</style>{% endblock %}"""
_WIDGET = "application/vnd.jupyter.widget-view+json"
_REMOTE = re.compile(
    r"(<(?:script|link|img|iframe|embed|object|source|video|audio)\b[^>]*?\s)"
    r"(src|href|data|srcset)(\s*=\s*[\"']?(?:https?:)?//)",
    re.IGNORECASE,
)


def page(notebook: str | os.PathLike, path: str | os.PathLike, title: str, images: Path) -> None:
    """Write an executed notebook as one HTML page that needs no other file and no network.

    Formulas become MathML; images are embedded (those of the prose are looked up in the folder
    `images`); widgets, which are alive only in a notebook, are left out.

    Args:
        notebook: the executed .ipynb.
        path: the HTML file to write.
        title: the page's title.
        images: the folder against which the prose's image paths are meant.

    Raises:
        OSError, ValueError: the notebook cannot be read.
    """
    import nbformat
    from jinja2 import DictLoader, pass_context
    from nbconvert.exporters import HTMLExporter
    from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

    class Renderer(IPythonRenderer):
        def block_math(self, body):
            return mathml(body, display=True)

        def inline_math(self, body):
            return mathml(body)

        def latex_environment(self, name, body):
            return mathml(rf"\begin{{{name}}}{body}\end{{{name}}}", display=True)

    @pass_context
    def markdown2html(context, source):
        renderer = Renderer(
            escape=False,
            attachments=context.get("cell", {}).get("attachments", {}),
            embed_images=True,
            path=str(images),
            exclude_anchor_links=True,
        )
        return MarkdownWithMath(renderer=renderer).render(source)

    book = nbformat.read(notebook, as_version=4)
    book.metadata["title"] = title
    for cell in book.cells:
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if _WIDGET not in o.get("data", {})]
            for data in (output.get("data", {}) for output in cell.outputs):
                if "text/latex" in data:  # so that it meets the same renderer as the prose
                    data.setdefault("text/markdown", data["text/latex"])
    loader = DictLoader({"page.html.j2": _TEMPLATE})
    exporter = HTMLExporter(extra_loaders=[loader], template_file="page.html.j2")
    exporter.log.setLevel("ERROR")  # it remarks on images without a text in their stead
    exporter.register_filter("markdown2html", markdown2html)
    html, _ = exporter.from_notebook_node(book)
    with written_whole(path) as temporary:
        temporary.write_text(_REMOTE.sub(r"\1data-remote-\2\3", html), encoding="utf-8")


def mathml(tex: str, display: bool = False) -> str:
    """A TeX formula as MathML, which browsers typeset by themselves; as code if it is beyond us."""
    from xml.etree.ElementTree import Element, tostring

    from latex2mathml.converter import convert_to_element

    # the converter knows neither labels nor the environments that stand inside a formula
    tex = re.sub(r"\\(label\{[^}]*\}|nonumber|notag)", "", tex)
    tex = re.sub(r"\\tag\*?\{([^}]*)\}", r"\\qquad\\text{(\1)}", tex)
    tex = re.sub(r"\\(begin|end)\{(align|aligned|split|gather\*?|gathered)\}", r"\\\1{align*}", tex)
    try:
        math = convert_to_element(tex.strip(), display="block" if display else "inline")
    except Exception:  # its errors have no common class, and none may cost the reader the page
        return f"<code>{escape(tex.strip())}</code>"
    for element in list(math.iter()):
        element.text = unescape(element.text or "")
        if element.tag == "mo" and len(element.text) > 1 and element.text.isalpha():
            element.tag = "mi"  # \operatorname: a name, not a relation with wide space around it
        if side := element.attrib.pop("columnalign", None):  # browsers only heed the style
            element.set("style", f"text-align: {side}; padding-left: 0; padding-right: 0")
        _embolden(element)
    for row in [e for e in math.iter() if e.tag in ("math", "mrow", "mtd", "mstyle")]:
        for left, right in list(zip(row, list(row)[1:], strict=False)):
            if (_is_name(left) or _is_name(right)) and "mo" not in (left.tag, right.tag):
                row.insert(list(row).index(right), Element("mspace", width="0.167em"))
    return tostring(math, encoding="unicode")


def _is_name(element: Any) -> bool:
    """Is it a function's name such as log, with or without an index?"""
    if element.tag in ("msub", "munder", "msup"):
        element = element[0]
    return element.tag == "mi" and len(element.text) > 1 and element.text.isalpha()


def _embolden(element: Any) -> None:
    """Replace a `mathvariant`, which browsers ignore, by the character of that shape."""
    import unicodedata

    variant = element.get("mathvariant", "normal")
    if variant == "normal" or len(element.text) != 1:
        return
    name = unicodedata.name(element.text, "")
    name = re.sub(r"^(LATIN|GREEK) (SMALL|CAPITAL) LETTER", r"\2", name)
    try:
        shape = f"MATHEMATICAL {variant.replace('-', ' ').upper()} {name}"
        element.text = unicodedata.lookup(shape.replace("DOUBLE STRUCK", "DOUBLE-STRUCK"))
    except KeyError:  # there is no such character: better the plain one
        return
    del element.attrib["mathvariant"]
