"""A clean root with the documented folders at the documented places: mount and process namespaces, and chroot.

What is of the system (`/usr`, `/etc` and their like) is there to be read; the interpreter stands at /opt/autograder,
where setup.sh would have put it; nothing else of the machine is to be seen.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

PYTHON_HOME = "/opt/autograder"
_SYSTEM = ("usr", "etc", "bin", "sbin", "lib", "lib32", "lib64", "libx32")
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "DEBIAN_FRONTEND": "noninteractive",
}


def missing() -> str:
    """Why there can be no clean root here; "" if there can."""
    if not sys.platform.startswith("linux"):
        return "that takes Linux"
    if os.getuid() != 0:
        return "only root may mount"
    if lacking := [tool for tool in ("unshare", "mount", "chroot") if shutil.which(tool) is None]:
        return f"{lacking[0]} is not installed"
    tried = subprocess.run([*_unshare(), "true"], capture_output=True, text=True, check=False)
    return "" if tried.returncode == 0 else f"namespaces are refused ({tried.stderr.strip()[:100]})"


def command(
    root: Path, autograder: Path, words: list[str], opt: Path | None, more: Iterable[str] = ()
) -> list[str]:
    """What runs a program in the clean root.

    Args:
        root: an empty folder, which becomes the root.
        autograder: the folder that is to be seen as /autograder.
        words: the program and its arguments, as seen in there.
        opt: the folder that is to be seen as /opt; None: this interpreter with its packages stands at /opt/autograder.
        more: folders of this machine that are to be read there under their own names.
    """
    steps = ["set -e", "mount --make-rprivate /", f"mount -t tmpfs -o mode=755 tmpfs {_q(root)}"]
    steps += _system(root) + _devices(root) + _folders(root)
    if opt is None:
        steps += _bind(root, Path(sys.prefix), PYTHON_HOME) + _bind(
            root, Path(sys.base_prefix), sys.base_prefix
        )
    else:
        steps.append(f"mount --bind {_q(opt)} {_q(root)}/opt")
    for folder in more:
        steps += _bind(root, Path(folder), folder)
    steps.append(f"mount --bind {_q(autograder)} {_q(root)}/autograder")
    clean = ["env", "-i", *(f"{name}={value}" for name, value in ENVIRONMENT.items()), *words]
    inside = f"cd /autograder && exec {shlex.join(clean)}"
    steps.append(f"cd / && exec chroot {_q(root)} /bin/sh -c {_q(inside)}")
    return [*_unshare(), "sh", "-c", "\n".join(steps)]


def _unshare() -> list[str]:
    return ["unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child"]


def _system(root: Path) -> list[str]:
    steps = []
    for name in _SYSTEM:
        path = Path("/") / name
        if path.is_symlink():
            steps.append(f"ln -s {_q(os.readlink(path))} {_q(root / name)}")
        elif path.is_dir():
            steps += _bind(root, path, str(path))
    return steps


def _devices(root: Path) -> list[str]:
    steps = [f"mkdir {_q(root / 'dev')} {_q(root / 'proc')} {_q(root / 'sys')}"]
    for name in _DEVICES:
        steps.append(f"touch {_q(root / 'dev' / name)} && mount --bind /dev/{name} {_q(root / 'dev' / name)}")
    steps.append(f"mkdir -m 1777 {_q(root / 'dev/shm')}")
    steps.append(f"ln -s /proc/self/fd {_q(root / 'dev/fd')}")
    steps.append(f"mount -t proc proc {_q(root / 'proc')}")
    return steps


def _folders(root: Path) -> list[str]:
    made = " ".join(
        _q(root / name) for name in ("autograder", "opt", "var", "var/lib", "run", "home", "root")
    )
    return [f"mkdir -m 755 {made}", f"mkdir -m 1777 {_q(root / 'tmp')} {_q(root / 'var/tmp')}"]


def _bind(root: Path, path: Path, name: str) -> list[str]:
    """Shows a folder under a name, to be read only; folders above it are new ones that everybody may pass."""
    target = _q(Path(f"{root}{name}"))
    return [
        f"mkdir -p {target}",
        f"mount --rbind {_q(path)} {target}",
        f"mount -o remount,bind,ro {target}",
    ]


def _q(path: object) -> str:
    return shlex.quote(str(path))
