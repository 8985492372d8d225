"""Build the site into book/_build/html. Warnings are errors; no notebook is executed.

The pages of results, protocol, conformance and status are written first, from files, and so is
what stands in book/made: the first page's pictures and paths. Those of the package are
sphinx-autoapi's, from docstrings, and are gone after the build. Last, slim.py takes away what no
page loads.

Jupyter Book wants one folder with everything below it, and the repository's root is that folder;
_config.yml has it read only what _toc.yml names.

With SOLUTIONS=no in the environment, the site has blanks in the place of solutions.

A site of the same files is not built again: `_build/of` says what the last one was built of.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import blanks
import landing
import outputs
import pages
import pictures
import protocol
from slim import slim

from mdlib.sweep import ledger

BOOK = Path(__file__).resolve().parent
ROOT = BOOK.parent
BUILD = BOOK / "_build"


def write_pages() -> None:
    """Write the pages that git does not keep, since they follow from what it keeps."""
    found = {
        "made/paths.md": landing.paths(),
        "made/contents.md": landing.contents(),
        "made/content_style.html": pictures.content_style(),
        "made/ledger.html": pictures.ledger(pages.counts(ledger.table())),
        "results.md": pages.results(),
        "protocol.md": protocol.page(),
        "conformance.md": pages.conformance(),
        "status.md": pages.status(),
    }
    (BOOK / "made").mkdir(exist_ok=True)
    for name, text in found.items():
        (BOOK / name).write_text(text, encoding="utf-8")


def sources(with_solutions: bool) -> str:
    """A hash of all files that git knows or would take, or "" where there is no git to ask."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    found = hashlib.sha256(f"{sys.version} {with_solutions}".encode())
    for name in sorted(filter(None, listed.stdout.split("\0"))):
        path = ROOT / name
        content = path.read_bytes() if path.is_file() else b""
        found.update(f"{name} {hashlib.sha256(content).hexdigest()}\n".encode())
    return found.hexdigest()


def main() -> int:
    with_solutions = blanks.wanted()
    built_of, now = BUILD / "of", sources(with_solutions)
    page = BUILD / "html" / "index.html"
    whole = page.is_file() and built_of.is_file()  # somebody may have taken the pages away
    if now and whole and built_of.read_text(encoding="utf-8") == now:
        print(f"The book of these files is in {page} already")
        return 0
    if faults := outputs.faults():
        print("The book needs notebooks that were run:", *faults, sep="\n", file=sys.stderr)
        return 1
    write_pages()
    shutil.rmtree(BUILD, ignore_errors=True)  # a stale page would hide its warnings
    command = [
        *(Path(sys.executable).with_name("jupyter-book"), "build", "."),
        *("--config", "book/_config.yml", "--toc", "book/_toc.yml"),
        *("--path-output", "book", "--warningiserror", "--keep-going"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        print(done.stdout[-6000:], done.stderr[-6000:], sep="\n", file=sys.stderr)
        return done.returncode
    if not with_solutions:
        blanks.downloads(BUILD / "html")
    slim(BUILD / "html")
    built_of.write_text(now, encoding="utf-8")
    print(f"The book is in {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
