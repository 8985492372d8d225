"""A copy of mdlib that is not the checkout's: each of its modules is imported from there."""

import os
import subprocess
import sys

CODE = """if True:
    import pkgutil, mdlib
    from importlib import import_module
    print(mdlib.__file__)
    for module in pkgutil.walk_packages(mdlib.__path__, "mdlib."):
        if not module.name.endswith("__main__"):
            import_module(module.name)"""


def python_in(folder, *arguments):
    """Python from another place than the checkout, with what lies in `folder` before all else."""
    return subprocess.run(
        [sys.executable, "-W", "ignore", *arguments],
        env=os.environ | {"PYTHONPATH": str(folder)},
        cwd=folder.parent,
        capture_output=True,
        text=True,
    )


def check_all_modules(folder):
    done = python_in(folder, "-c", CODE)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(folder / "mdlib" / "__init__.py")
