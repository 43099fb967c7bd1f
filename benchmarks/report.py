"""How long the report of a class takes: writing it, and opening its first page. `python -m benchmarks.report [N]`.

A small class of real submissions to `attention` is graded once; its results, under N names, are the class. The page is
opened in a headless Chromium, where there is one.
"""

from __future__ import annotations

import itertools
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from autograder import submission
from autograder.assignment import load
from autograder.grading import Judge, Result
from autograder.report import site
from autograder.sandbox.host import Sandbox
from tests import make_class

STUDENTS = 500


def main() -> None:
    """Measures and prints."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else STUDENTS
    assignment = load("attention")
    with tempfile.TemporaryDirectory() as folder:
        kinds = _graded(Path(folder) / "class", assignment)
        results = [
            replace(result, submission=f"student {number:03} {result.submission}")
            for number, result in zip(range(count), itertools.cycle(kinds), strict=False)
        ]
        started = time.perf_counter()
        page = site.write(Path(folder), site.Class(assignment, results))
        print(f"{count} students: written in {time.perf_counter() - started:.1f} s")
        size = sum(path.stat().st_size for path in page.parent.rglob("*") if path.is_file())
        print(f"{size / 2**20:.1f} MB in all, the class page {page.stat().st_size / 2**20:.2f} MB")
        print(f"opened in {_opened(page):.2f} s" if shutil.which("chromium") else "no Chromium to open it in")


def _graded(folder: Path, assignment) -> list[Result]:
    make_class.write(folder)
    results = []
    with Sandbox() as sandbox:
        judge = Judge(assignment, sandbox)
        for name, path in submission.find([folder], assignment.slug):
            try:
                read = submission.read(path, name, assignment)
            except submission.SubmissionError:
                continue
            print(f"grading {name}", file=sys.stderr)
            results.append(judge.grade(read))
    return results


def _opened(page: Path) -> float:
    """Seconds from the request to the page's load event."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        tab = browser.new_page()
        started = time.perf_counter()
        tab.goto(page.as_uri(), wait_until="load")
        tab.evaluate("document.body.offsetHeight")  # laid out as well
        return time.perf_counter() - started


if __name__ == "__main__":
    main()
