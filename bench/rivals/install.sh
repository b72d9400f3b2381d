#!/usr/bin/env bash
# Installs the rivals into a folder and builds each as it would be deployed:
# bin/NAME/bootstrap starts it, bin/NAME/code is what its zip holds.
# usage: install.sh FOLDER
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
into=$1
rm -rf "$into" && mkdir -p "$into/bin"
into=$(cd "$into" && pwd)

cp -R "$here/node" "$into/node"
npm ci --prefix "$into/node" --silent --no-audit --no-fund --ignore-scripts
node "$into/node/build.mjs" "$into/bin"

python=$(python3 -c 'import sys; print(sys.executable)')
pip() { "$python" -m pip install -q --disable-pip-version-check --root-user-action=ignore --no-warn-conflicts --target "$@"; }
pip "$into/bin/python/code" -r "$here/python/requirements.txt"
pip "$into/python" -r "$here/python/runtime.txt"
cp "$here/python/app.py" "$into/bin/python/code/"
cat >"$into/bin/python/bootstrap" <<SCRIPT
#!/bin/sh
PYTHONPATH=$into/bin/python/code:$into/python exec $python -m awslambdaric app.handler
SCRIPT
chmod +x "$into/bin/python/bootstrap"
touch "$into/installed"
