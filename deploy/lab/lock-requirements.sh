#!/usr/bin/env bash
# Writes requirements/*.lock: every version pinned, with the hashes of the public index.
#
# This machine's own pip settings (mirrors, local wheels) are left out, so that the lock files
# install elsewhere; set PIP_INDEX_URL or PIP_CERT to override. Run it on the oldest Python.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

export PIP_CONFIG_FILE=/dev/null CUSTOM_COMPILE_COMMAND='make lock'
unset PIP_FIND_LINKS PIP_EXTRA_INDEX_URL

tools=.tools/lock
[[ -x $tools/bin/pip-compile ]] || "${PYTHON:-python3}" -m venv "$tools"
"$tools/bin/python" -m pip install --quiet --disable-pip-version-check 'pip-tools==7.6.2'

compile() { # NAME ARGUMENT...
  local name=$1
  shift
  "$tools/bin/pip-compile" --quiet --upgrade --generate-hashes --strip-extras --allow-unsafe \
    --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options \
    --output-file "requirements/$name.lock" "$@" pyproject.toml
}

# What is installed by these files decodes what practices have: the extra is part of them.
compile runtime --extra decoders
compile dev --extra dev --constraint requirements/runtime.lock

if grep -nE '://|--(extra-)?index-url|--find-links|--trusted-host' requirements/*.lock; then
  echo 'lock-requirements: a lock file names a place; it must not' >&2
  exit 1
fi
