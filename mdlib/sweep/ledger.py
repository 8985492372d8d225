"""The ledger: what the works behind the book claim, and what of it holds here.

``book/claims.yaml`` has the claims in our words. Each points at what tries it, or says that nothing
does; verdicts and numbers are looked up where it points.
"""

from __future__ import annotations

import re
from collections import Counter
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mdlib.checks import need, unknown
from mdlib.io import read_text
from mdlib.notebook import chapters
from mdlib.notebook.provenance import short
from mdlib.sweep.claim import claims_of, sources
from mdlib.sweep.claims import effect, read_verdicts

if TYPE_CHECKING:
    import pandas as pd

POINTERS = ("claim", "theorem", "test", "untried", "untestable")


class Entry(BaseModel):
    """A claim of a work, and one pointer."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    source: str  # a key of the bibliography
    says: str = Field(min_length=1)  # in our words
    # SWEEP/ID of a claim of a sweep, or of several: simve*/style-*; or a list of such
    claim: str | list[str] | None = None
    theorem: str | None = None  # its label in a chapter
    test: str | None = None  # FILE::NAME
    untried: str | None = None  # the chapter that is to try it
    untestable: str | None = None  # why

    @property
    def pointer(self) -> tuple[str, str]:
        """What it points at, one of `POINTERS`, and where."""
        name, value = next((name, value) for name in POINTERS if (value := getattr(self, name)))
        return name, value if isinstance(value, str) else ", ".join(value)


def read() -> dict[str, Entry]:
    """The entries of ``book/claims.yaml`` by their ids.

    Raises ValueError, which names the entry, for unknown keys, for no pointer or several, and for a
    source that the bibliography doesn't have.
    """
    path = chapters.root() / "book" / "claims.yaml"
    known, found = sources(path.with_name("references.bib")), {}
    raw = claims_of(path)
    need(raw, f"{path}: expected `claims:`, and below it ids with `source`, `says` and a pointer")
    for name, values in raw.items():
        try:
            entry = found[name] = Entry.model_validate(values)
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(map(str, problem["loc"]))
            raise ValueError(f"{path}: {name}: {where}: {problem['msg']}") from None
        given = [pointer for pointer in POINTERS if getattr(entry, pointer)]
        what = f"expected one of {', '.join(POINTERS)}, not {', '.join(given) or 'none'}"
        need(len(given) == 1, f"{path}: {name}: {what}")
        need(entry.source in known, f"{path}: {name}: {unknown('source', entry.source, known)}")
    return found


def followed(entry: Entry, said: pd.DataFrame) -> dict[str, Any]:
    """What stands where an entry points: its verdict; with rows "a − b", n, data, device, commit.

    `said` are all `verdicts`.
    The verdict is a word of `mdlib.sweep.claims`; of several claims that don't agree "holds in
    some" or "holds in none"; of the other pointers "proved", "tested", "not yet tried" or "not
    testable here". Raises ValueError where there is nothing.
    """
    kind, value = entry.pointer
    if kind == "claim":
        return _of_claims(behind(entry, said))
    if kind == "theorem":
        label = re.compile(rf":label: {re.escape(value)}$", re.MULTILINE)
        there = [n for n in chapters.names() if label.search(read_text(chapters.find(n).path))]
        need(there, f"no chapter has a theorem with the label {value!r}")
        return {"verdict": "proved", "where": there[0], "label": value}
    if kind == "test":
        file, _, name = value.partition("::")
        path = chapters.root() / file
        there = path.is_file() and re.search(rf"^def {re.escape(name)}\(", read_text(path), re.M)
        need(name and there, f"there is no test {value}")
        return {"verdict": "tested", "where": value}
    return {"verdict": "not yet tried" if kind == "untried" else "not testable here"} | {
        "where": value
    }


def behind(entry: Entry, said: pd.DataFrame) -> pd.DataFrame:
    """Those of all `verdicts` that an entry points at.

    Raises ValueError where there are none, with the nearest names.
    """
    import pandas as pd

    frames = []
    for pattern in [entry.claim] if isinstance(entry.claim, str) else entry.claim or []:
        sweep, _, one = pattern.partition("/")
        of_sweep = said[[fnmatchcase(name, sweep) for name in said["sweep"]]]
        need(len(of_sweep), unknown("sweep with verdicts", sweep, set(said["sweep"])))
        found = of_sweep[[fnmatchcase(name, one) for name in of_sweep.index]]
        need(len(found), unknown(f"claim of {sweep}", one, of_sweep.index))
        frames.append(found)
    return pd.concat(frames)


def verdicts() -> pd.DataFrame:
    """All verdicts on claims of sweeps, by the claims' ids, with the column "sweep"."""
    import pandas as pd

    paths = sorted((chapters.root() / "notebooks" / "sweeps").glob("*.claims.csv"))
    frames = [read_verdicts(p).assign(sweep=p.name.removesuffix(".claims.csv")) for p in paths]
    need(frames, "no sweep has verdicts: mdlib collect NAME")
    return pd.concat(frames)


def _of_claims(said: pd.DataFrame) -> dict[str, Any]:
    counts, low, high = Counter(said["verdict"]), said["a − b"].min(), said["a − b"].max()
    one, several = said.iloc[0], f"{low:+.3f} to {high:+.3f}"
    n = sorted(set(said["n"]))
    commits = [short(c) for cell in said["run_commit"] for c in cell.split(", ")]
    agree = "holds in some" if counts["holds"] else "holds in none"
    return {
        "verdict": one["verdict"] if len(counts) == 1 else agree,
        "counts": ", ".join(f"{word} {times}" for word, times in counts.most_common()),
        "a − b": effect(one) if len(said) == 1 else several,
        "n": "–".join(map(str, dict.fromkeys([n[0], n[-1]]))),
        "kind": "confirmatory" if set(said["kind"]) == {"confirmatory"} else "exploratory",
        "data": ", ".join(dict.fromkeys(filter(None, said["dataset"]))),
        "device": ", ".join(dict.fromkeys(said["run_device"])),
        "commit": ", ".join(dict.fromkeys(commits)),
        "where": ", ".join(dict.fromkeys(said["sweep"])),
    }


def table() -> pd.DataFrame:
    """The whole ledger, by its ids: source, says, pointer, and what `followed` finds."""
    import pandas as pd

    lines, entries = {}, read()
    said = verdicts() if any(entry.claim for entry in entries.values()) else pd.DataFrame()
    for name, entry in entries.items():
        try:
            found = followed(entry, said)
        except ValueError as error:
            raise ValueError(f"book/claims.yaml: {name}: {error}") from None
        lines[name] = {"source": entry.source, "says": entry.says} | found
        lines[name]["pointer"] = entry.pointer[0]
    return pd.DataFrame.from_dict(lines, orient="index").fillna("").rename_axis("claim")


def chapter_of(sweep: str) -> str:
    """The name of a sweep's chapter, as its file has it."""
    path: Path = chapters.root() / "notebooks" / "sweeps" / f"{sweep}.yaml"
    found = re.search(r"^chapter: *(\S+)", read_text(path), re.MULTILINE)
    if not found:
        raise ValueError(f"{path} names no chapter")
    return found[1]
