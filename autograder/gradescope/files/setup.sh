#!/usr/bin/env bash
# Gradescope runs this once, as root, when it builds the image. Whatever fails stops it, and is named.
set -Eeuo pipefail
trap 'echo "setup.sh FAILED in line $LINENO: this autograder cannot be used. The lines above say why." >&2' ERR

# Where PyTorch's CPU builds come from: the address that the "Get started" page of PyTorch shows for "CPU".
# Empty: pip's own configuration decides. Without a CPU build there, the installation stops here, on purpose: the
# usual build brings 3 GB of CUDA libraries that Gradescope has no use for.
TORCH_INDEX=@TORCH_INDEX@

SOURCE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
TARGET=/opt/autograder # readable by the user that a student's code runs as, unlike $SOURCE

find_python() {
    local name
    for name in python3.13 python3.12 python3.11 python3; do
        if command -v "$name" >/dev/null &&
            "$name" -c 'import sys, ensurepip, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    return 1
}

if ! find_python >/dev/null; then
    apt-get update
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3.11 python3.11-venv
fi
PYTHON="$(find_python)"
"$PYTHON" -m venv --clear "$TARGET"

install() {
    "$TARGET/bin/python" -m pip install --no-cache-dir --disable-pip-version-check --no-deps "$@"
}
install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "@TORCH@"
install --requirement "$SOURCE/requirements.txt"

# Proof that all of it works, and the font list of matplotlib made once instead of in each submission.
cd "$SOURCE"
"$TARGET/bin/python" -s -c 'import autograder.gradescope.judge'
"$TARGET/bin/python" -s -c '@PROOF@'
"$TARGET/bin/python" -m compileall -q autograder
chmod -R go+rX "$TARGET"
chmod -R go-rwx "$SOURCE"
echo "setup.sh: ready, $(du -sh "$TARGET" | cut -f1) in $TARGET."
