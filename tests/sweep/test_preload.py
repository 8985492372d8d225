"""What the forkserver does beside importing; that it serves runs is in test_survives."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(("server", "heard"), [("os.getpid()", ""), ("os.getppid()", "leaks\n")])
def test_a_forkserver_ends_without_what_libraries_say_at_the_end(server, heard):
    script = (
        "import atexit, os\n"
        "from mdlib.sweep import preload\n"
        "atexit.register(os.write, 1, b'leaks\\n')\n"
        f"atexit.register(preload._leave, {server})\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, heard, "")
