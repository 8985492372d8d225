"""Build the site into book/_build/html. Warnings are errors; no notebook is executed.

The pages of results, conformance and status are written first, from files, and so is what stands in
book/made: the first page's pictures and paths. Those of the package are sphinx-autoapi's, from
docstrings, and are gone after the build. Last, slim.py takes away what no page loads.

Jupyter Book wants one folder with everything below it, and the repository's root is that folder;
_config.yml has it read only what _toc.yml names.

With SOLUTIONS=no in the environment, the site has blanks in the place of solutions.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import blanks
import landing
import outputs
import pages
import pictures
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
        "conformance.md": pages.conformance(),
        "status.md": pages.status(),
    }
    (BOOK / "made").mkdir(exist_ok=True)
    for name, text in found.items():
        (BOOK / name).write_text(text, encoding="utf-8")


def main() -> int:
    with_solutions = blanks.wanted()
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
    print(f"The book is in {BUILD / 'html' / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
