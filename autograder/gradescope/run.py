"""The entry point on Gradescope: guards time, and sees to it that there is a results.json whatever happens.

Standard library only, for it stays beside the judge: 12 MB of the container's 768.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from autograder.gradescope import notices
from autograder.gradescope.metadata import read_metadata
from autograder.gradescope.place import Place, here
from autograder.gradescope.settings import Settings, read_settings

MARGIN_SECONDS = (
    20  # before Gradescope's own limit: to end the judge and write takes 0.1 s, to start the container some
)
_JUDGE = "import sys; from autograder.gradescope.run import become_judge; become_judge(*sys.argv[1:])"


def main() -> None:
    """Grades what lies in the submission folder."""
    started = time.monotonic()
    place = here()
    if unprotected := place.protect():
        print("Could not be made private:", *unprotected, sep="\n  ", file=sys.stderr)
    settings = read_settings(place.source / "settings.json")
    metadata = read_metadata(place.metadata)
    if 0 < settings.daily_limit <= metadata.graded_today():
        place.write(notices.over_the_limit(settings.daily_limit, metadata.last_score))
        return
    place.write(notices.begun())
    why = _judge(place, settings, started)
    if why:
        results = json.loads(place.results.read_text(encoding="utf-8"))
        place.write(notices.stopped(results, why))


def _judge(place: Place, settings: Settings, started: float) -> str:
    """Runs the judge within the time that is left; why it did not come to its end, "" if it did."""
    end = started + settings.minutes * 60 - MARGIN_SECONDS
    seconds = max(1.0, end - time.monotonic())
    command = [sys.executable, "-s", "-c", _JUDGE, str(place.root), str(seconds)]
    process = subprocess.Popen(command, start_new_session=True)
    try:
        code = process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()  # the judge and the student's process die with it
        process.wait()
        return notices.out_of_time(settings.minutes)
    return notices.ended_early(code) if code else ""


def become_judge(root: str, seconds: str) -> None:
    """Turns this process into the fork server whose first fork is the judge."""
    from autograder.sandbox.launch import become_judge as become

    place = Path(root)
    become("autograder.gradescope.judge:main", {"root": str(place), "seconds": float(seconds)})


if __name__ == "__main__":
    main()
