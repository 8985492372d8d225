"""What the first page shows: parts by subject, and three ways through the book, with their times.

Everything is read from _toc.yml and from the chapters, which say how long they take to read.
"""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from mdlib.notebook.chapters import Chapter, find

BOOK = Path(__file__).resolve().parent

# Which chapters, for whom, and what else there is for them.
READERS = {
    "Student": (
        "From one picture to codes in two parts, theory and code in turn.",
        ["start_here", "theory/infonce_bound", "theory/latent_model", "theory/collapse",
         "methods/simve", "theory/multiview_elbo", "methods/partitioned_vae",
         "theory/disentanglement"],
        "Each ends with exercises that check themselves.",
    ),
    "Teacher": (
        "A course of four weeks or ten: notebooks with blanks, solutions, slides.",
        ["start_here", "theory/infonce_bound", "theory/latent_model", "theory/disentanglement"],
        "These four are the lectures. Plans and commands: [](teaching).",
    ),
    "Researcher": (
        "What holds, on how many seeds, and how to run it again on your own data.",
        ["experiments/sweeps", "experiments/mutual_information_benchmark", "experiments/simve",
         "experiments/partitioned"],
        "Every claim with its verdict: [](results.md). Code beside releases: [](conformance).",
    ),
}  # fmt: skip


def parts() -> dict[str, list[str]]:
    """The parts of _toc.yml that hold chapters: caption → their names; the first has none."""
    toc = yaml.safe_load((BOOK / "_toc.yml").read_text(encoding="utf-8"))
    found = {}
    for part in toc["parts"]:
        files = [page["file"] for page in part["chapters"]]
        names = [file.removeprefix("notebooks/") for file in files if file.startswith("notebooks/")]
        if names:
            found[part.get("caption", "")] = names
    return found


def minutes(chapter: Chapter) -> int:
    """To read it, as it says itself; ValueError if it does not."""
    found = re.match(r"(\d+) minutes to read; ", chapter.time)
    if not found:
        raise ValueError(
            f"{chapter.path}: **Time:** {chapter.time!r}: expected N minutes to read; about M "
            "seconds to run on one CPU core."
        )
    return int(found[1])


def hours(of: int) -> str:
    """Minutes as people say them."""
    return f"{of} minutes" if of < 90 else f"{of / 60:.1f} hours".replace(".0 ", " ")


def paths() -> str:
    """A card for each kind of reader: which chapters, in which order, and how long it takes."""
    cards = []
    for who, (what, names, more) in READERS.items():
        links = " → ".join(f"[{short(name)}](../notebooks/{name})" for name in names)
        time = hours(sum(minutes(find(name)) for name in names))
        cards.append(f":::{{grid-item-card}} {who} · {time}\n{what}\n\n{links}\n\n{more}\n:::")
    return (
        "::::{grid} 1 1 3 3\n:gutter: 3\n:class-container: paths\n\n"
        + "\n\n".join(cards)
        + "\n::::\n"
    )


def short(name: str) -> str:
    """A chapter's title up to its colon."""
    return find(name).title.partition(":")[0]


def contents() -> str:
    """Every part with its chapters: title, question, minutes to read."""
    said = []
    for caption, names in parts().items():
        found = [(name, find(name)) for name in names]
        if caption:
            said.append(f"### {caption} · {hours(sum(minutes(one) for _, one in found))}")
        said += [
            f"[{one.title}](../notebooks/{name}) · {minutes(one)}\u00a0min\n: {one.question}"
            for name, one in found
        ]
    return "\n\n".join(said) + "\n"
