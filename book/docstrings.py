"""A Sphinx extension: mdlib's docstrings, written to be read in a terminal, as reStructuredText.

Signs mean themselves, single backticks may name what the package has, indented blocks are code or
lists of names, and works that are cited become links. napoleon then sees to Args, Returns, Raises.
"""

import re
from typing import Any

from sphinx.application import Sphinx

SECTION = re.compile(r"(Args|Raises|Returns|Yields):$")
NAMED = re.compile(r"( +)([\w.]+(?:, [\w.]+)*): (.*)")
AS_IT_IS = re.compile(r"(``.+?``|`[^`]+`|(?<!\*)\*\w[^*`]*\*(?![\w*]))")  # code, code, emphasis
# What a method that says nothing of itself inherits from torch.nn.Module.
FOREIGN = ("Return the extra representation of", "Define the computation performed at every call")
WORKS = (
    (r"github\.com/[\w./-]*\w", r"`\g<0> <https://\g<0>>`__"),
    (r"arXiv[: ](\d{4}\.\d{4,5})", r"`arXiv:\1 <https://arxiv.org/abs/\1>`__"),
    (r"doi:(10\.\d+/[\w.]*\w)", r"`doi:\1 <https://doi.org/\1>`__"),
)


def text(line: str) -> str:
    pieces = AS_IT_IS.split(line)
    for i in range(0, len(pieces), 2):
        pieces[i] = re.sub(r"[*|\\]|(?<=\w)_(?!\w)", r"\\\g<0>", pieces[i])
        for work, link in WORKS:
            pieces[i] = re.sub(work, link, pieces[i])
    return "".join(pieces)


def translate(lines: list[str]) -> list[str]:
    """The lines of a docstring, and of what they say the same in reStructuredText."""
    done: list[str] = []
    head, block, bullet = "", "", ""
    for line in lines:
        if not line.startswith("    ") or SECTION.match(head):
            if line and not line.startswith(" "):
                head, block = line, ""
            done.append("Attributes" if line == "Attributes:" else text(line))
            continue
        if not block:
            block = "names" if NAMED.match(line) and not head.endswith("::") else "code"
            done += [""] if done[-1] else []
            done += ["::", ""] if block == "code" and not head.endswith("::") else []
        if block == "code":
            done.append(line)
        elif match := NAMED.match(line):
            bullet = match[1]
            done.append(f"{bullet}* ``{match[2]}``: {text(match[3])}")
        else:
            done.append(f"{bullet}  {text(line.strip())}")
    return done


def process(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    lines[:] = [] if lines[0].startswith(FOREIGN) else translate(lines)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", process, priority=100)  # before napoleon
    return {"parallel_read_safe": True, "parallel_write_safe": True}
