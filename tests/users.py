"""Who grades: root, or an ordinary user; and where the interpreter and packages are that such a user may read."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

ORDINARY = 61299  # a user that nobody is


def readable_by_others(path: Path) -> bool:
    """Whether anybody may pass through to this folder or file and read it."""
    entries = [path, *path.resolve().parents, *path.parents]
    return bool(path.stat().st_mode & stat.S_IROTH) and all(p.stat().st_mode & stat.S_IXOTH for p in entries)


def public_interpreter() -> str | None:
    """An interpreter of this version that everybody may run and that finds its own library."""
    for candidate in (sys.executable, f"/usr/bin/python3.{sys.version_info[1]}", "/usr/bin/python3"):
        if Path(candidate).exists() and readable_by_others(Path(candidate).resolve()):
            version = subprocess.run(
                [candidate, "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True
            )
            if version.stdout.split() == [b"%d" % part for part in sys.version_info[:2]]:
                return candidate
    return None


def shared_packages(site: Path, folder: Path) -> Path | None:
    """The installed packages where everybody may read them, or None if that can't be had.

    Args:
        site: where they are.
        folder: where they are linked to, if others may not read them there.
    """
    if readable_by_others(site):
        return site
    linked = folder / "site-packages"
    failed = subprocess.run(["cp", "-al", site, linked], stderr=subprocess.DEVNULL, check=False).returncode
    return None if failed else linked
