"""A JupyterLab of its own, in a browser: for tests/test_lab.py."""

import os
import socket
import subprocess
import time
from contextlib import contextmanager
from urllib.error import URLError
from urllib.request import urlopen

import lab

TOKEN = "only-here"


@contextmanager
def running(folder, own):
    """The address of what `make lab` serves; `own` holds its settings and its log."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [
        *("--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1"),
        *(f"--ServerApp.port={port}", "--ServerApp.port_retries=0"),
        f"--IdentityProvider.token={TOKEN}",
    ]
    folders = {f"JUPYTER_{name}_DIR": str(own / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    with (own / "log").open("w") as log:
        server = subprocess.Popen(
            [*lab.server(folder), *options], env=os.environ | folders, stdout=log, stderr=log
        )
        address = f"http://127.0.0.1:{port}"
        try:
            until(lambda: answers(f"{address}/api?token={TOKEN}"), own / "log")
            yield address
        finally:
            server.terminate()
            server.wait(30)


def answers(address):
    try:
        return urlopen(address).status == 200
    except URLError:
        return False


def until(holds, log, seconds=120):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.3)


def opened(browser, address, notebook, errors):
    """A page with a notebook whose kernel can be asked; what goes wrong in it is noted."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(120_000)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{address}/lab/tree/{notebook}?token={TOKEN}&reset")
    page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]').wait_for()
    page.locator(".jp-Notebook .jp-Cell").first.click(position={"x": 50, "y": 10})  # the prompt
    page.keyboard.press("Escape")  # out of the cell's editor
    return page


def run_cells(page, count):
    """Run so many cells from the first one, as a reader does; the last may go on running."""
    for _ in range(count):
        page.keyboard.press("Shift+Enter")
        page.wait_for_timeout(150)
