#!/bin/sh
# Make .venv with the tested versions. Says which step it is at, and which one failed and why.
set -u
cd "$(dirname "$0")/.." || exit 1
log=$(mktemp)
trap 'rm -f "$log"' EXIT

step() { # step NAME COMMAND…
    name=$1
    shift
    printf '%s … ' "$name"
    if "$@" >"$log" 2>&1; then
        echo "done"
    else
        printf 'FAILED\n\nThe step «%s» failed:\n  %s\n\n' "$name" "$*"
        tail -n 25 "$log"
        printf '\nMend that, then run make again: what is done is kept.\n'
        exit 1
    fi
}

step "Python 3.11 or newer ($PYTHON; choose another with make PYTHON=…)" \
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"this is {sys.version}")'
[ -x .venv/bin/python ] || step "virtual environment in .venv" "$PYTHON" -m venv .venv
[ -x .venv/bin/uv ] || step "uv, the installer" .venv/bin/python -m pip install -q uv
# Compiled once here, as uv would not: else each kernel compiles torch anew where Python may not write.
step "packages of constraints.txt (a minute or more, about 6 GB with torch)" \
    .venv/bin/uv pip install --compile-bytecode --python .venv/bin/python -c constraints.txt -e ".[$EXTRAS]"
