#!/bin/sh
# Writes requirements/*.txt from requirements/*.in: names, versions and hashes, never a registry's address.
set -eu
cd "$(dirname "$0")/.."
python3 -m venv .venv-lock
.venv-lock/bin/pip install --quiet pip-tools
for name in test bench; do
    CUSTOM_COMPILE_COMMAND="make lock" .venv-lock/bin/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras \
        --no-emit-trusted-host --no-emit-find-links --no-emit-options --no-annotate \
        --output-file "requirements/$name.txt" "requirements/$name.in"
    sed -i '/^--/d' "requirements/$name.txt" # where packages come from is not the lock's business
done
rm -rf .venv-lock
