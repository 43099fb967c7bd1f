"""All results of one output folder in one SQLite file, `grades.sqlite`: what is in it survives a kill.

One process writes, one transaction a submission: whenever it ends, a submission is there with all of its questions or
not at all. The tables and JSON files beside it are views that can be written again from here.

    about         the assignment, and what graded last
    submissions   one row each: where it came from, status, score, what is said about it as a whole
    questions     one row a submission and question: the key of what made it (see `identity`), points, the whole result
    contents      the submissions themselves, as read: `regrade` needs no other file
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from autograder.assignment import Assignment
from autograder.grading import QuestionResult, Result, conclude
from autograder.identity import Identity
from autograder.plain import from_json, to_json
from autograder.worker import Reply

FILE, LOCK = "grades.sqlite", ".lock"
SCHEMA = 1  # raised with every change of the tables; a file with another number is refused, in words
_TABLES = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE submissions (
    name TEXT PRIMARY KEY,        -- of its file or folder
    path TEXT NOT NULL,           -- where that lay
    fingerprint TEXT NOT NULL,    -- of the bytes there
    digest TEXT NOT NULL,         -- of its content, in `contents`, or '' if it could not be read
    key TEXT NOT NULL,            -- of what made the figures and numbers that belong to no question
    status TEXT NOT NULL, score REAL NOT NULL, possible REAL NOT NULL, seconds REAL NOT NULL,
    graded_at TEXT NOT NULL,      -- UTC, ISO 8601
    result TEXT NOT NULL          -- JSON: all but the questions
) WITHOUT ROWID;
CREATE TABLE questions (
    submission TEXT NOT NULL REFERENCES submissions (name) ON DELETE CASCADE,
    question TEXT NOT NULL, position INTEGER NOT NULL,
    key TEXT NOT NULL,            -- of what made it, or '' if it could not be judged, so that it is tried again
    score REAL NOT NULL, possible REAL NOT NULL,
    diagnosis TEXT NOT NULL,      -- key of the mistake that explains it, or ''
    result TEXT NOT NULL,         -- JSON
    PRIMARY KEY (submission, question)
) WITHOUT ROWID;
CREATE TABLE contents (digest TEXT PRIMARY KEY, packed BLOB NOT NULL);
"""


_SELECT = "SELECT name, path, fingerprint, digest, key, status, score, graded_at FROM submissions"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class StoreError(Exception):
    """The output folder can't be used as it is; the message says what to do."""


class DiskFull(StoreError):
    """No room is left; everything that was stored is kept."""


@dataclass(frozen=True)
class Stored:
    """What the store knows about one submission without its texts.

    Attributes:
        keys: of each question, what made its result.
        graded_at: seconds since the epoch.
    """

    name: str
    path: str
    fingerprint: str
    digest: str
    key: str
    status: str
    score: float
    graded_at: float
    keys: dict[str, str]


class Store:
    """The results in one output folder; opened by one process at a time.

    Args:
        folder: the output folder; made if it does not exist.
        slug: the assignment that is going to be graded into it; None: the one that is there.

    Raises:
        StoreError: another run has it open, it belongs to another assignment or to another version of this program,
            or is no folder that can be written to.
    """

    def __init__(self, folder: Path, slug: str | None) -> None:
        self.folder, self.path = folder, folder / FILE
        if slug is None and not self.path.is_file():
            raise StoreError(
                f"{folder} holds no {FILE}: name the output folder of an earlier `autograder grade`."
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(folder)
        except OSError as error:
            raise explained(error, folder) from error
        try:
            self._database = sqlite3.connect(self.path, isolation_level=None)
            self._open(slug)
        except sqlite3.Error as error:
            self._lock.close()
            raise explained(error, folder) from error
        except StoreError:
            self.close()
            raise

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets another run have it."""
        self._database.close()
        self._lock.close()

    def _open(self, slug: str | None) -> None:
        version = self._database.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, SCHEMA):
            raise StoreError(_other_version(self.path, version))
        self._database.execute("PRAGMA foreign_keys = ON")
        if version == 0:
            if self._database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                raise StoreError(_other_version(self.path, version))
            self._make(slug or "")
        self.slug = self.about("slug")
        if slug not in (None, self.slug):
            raise StoreError(f"{self.folder} holds grades of {self.slug}: choose another folder for {slug}.")

    def _make(self, slug: str) -> None:
        with _Transaction(self):
            for statement in _TABLES.split(";"):
                self._database.execute(statement)
            self._database.execute("INSERT INTO about VALUES ('slug', ?)", (slug,))
            self._database.execute(f"PRAGMA user_version = {SCHEMA}")

    # ------------------------------------------------------------------------------------------------------- writing

    def save(self, assignment: Assignment, identity: Identity, path: str, reply: Reply) -> Result:
        """Keeps one submission's result, with what is known of its other questions where only some were graded.

        Args:
            assignment: what was asked.
            identity: what made the result.
            path: where the submission lies.
            reply: the result, and the submission's content if it is new.

        Returns:
            The result as it is kept.

        Raises:
            DiskFull: there was no room for it; nothing of it is kept.
        """
        with _Transaction(self):
            old = self.get(reply.result.submission)
            same = old is not None and old.digest == reply.digest != ""
            result = self._merged(assignment, identity, reply.result) if same else reply.result
            if old is not None and (same or result.status == "error"):
                reply = replace(reply, digest=old.digest, fingerprint=reply.fingerprint or old.fingerprint)
            self._put_submission(identity, path, reply, result)
            self._put_questions(identity, result, {question.name for question in reply.result.questions})
        return result

    def _merged(self, assignment: Assignment, identity: Identity, new: Result) -> Result:
        """The new result, and the kept ones of questions that were not run because their keys are the same."""
        (old,) = self.results([new.submission])
        keys = self._keys(new.submission)
        fresh = {question.name: question for question in new.questions}
        kept = {q.name: q for q in old.questions if keys[q.name] == identity.questions.get(q.name)}
        asked = [question.name for question in assignment.questions]
        if new.status == "failed" or (new.status == "error" and not fresh) or not kept.keys() - fresh.keys():
            return new
        questions = [question for name in asked if (question := fresh.get(name) or kept.get(name))]
        merged = replace(
            new, questions=questions, message=old.message, usage=new.usage if fresh else old.usage
        )
        if self._key(new.submission) == identity.beside:
            merged = replace(merged, leaderboard=old.leaderboard, figures=old.figures, detail=old.detail)
        return conclude(assignment, merged)

    def _put_submission(self, identity: Identity, path: str, reply: Reply, result: Result) -> None:
        row = {
            "name": _in(result.submission), "path": _in(path), "fingerprint": reply.fingerprint, "digest": reply.digest,
            "key": identity.beside, "status": result.status, "score": result.score, "possible": result.possible,
            "seconds": result.seconds, "graded_at": datetime.now(timezone.utc).isoformat(),
            "result": to_json(replace(result, questions=[])),
        }  # fmt: skip
        names, changed = list(row), [f"{name} = excluded.{name}" for name in row if name != "name"]
        self._database.execute(
            f"INSERT INTO submissions ({', '.join(names)}) VALUES ({', '.join(':' + name for name in names)})"
            f" ON CONFLICT (name) DO UPDATE SET {', '.join(changed)}",
            row,
        )
        if reply.packed:
            self._database.execute(
                "INSERT OR IGNORE INTO contents VALUES (?, ?)", (reply.digest, reply.packed)
            )

    def _put_questions(self, identity: Identity, result: Result, fresh: set[str]) -> None:
        name, keys = _in(result.submission), self._keys(result.submission)
        self._database.execute("DELETE FROM questions WHERE submission = ?", (name,))
        for position, question in enumerate(result.questions):
            key = identity.questions[question.name] if question.name in fresh else keys[question.name]
            self._database.execute(
                "INSERT INTO questions VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    name, question.name, position, "" if question.undecided else key, question.score, question.possible,
                    question.diagnosis.key if question.diagnosis else "", to_json(question),
                ),
            )  # fmt: skip

    # ------------------------------------------------------------------------------------------------------- reading

    def get(self, name: str) -> Stored | None:
        """What is known about one submission, or None."""
        row = self._database.execute(f"{_SELECT} WHERE name = ?", (_in(name),)).fetchone()
        return self._stored(row) if row else None

    def all(self) -> Iterator[Stored]:
        """What is known about each submission, by name."""
        return map(self._stored, self._database.execute(f"{_SELECT} ORDER BY name").fetchall())

    def _stored(self, row: tuple[Any, ...]) -> Stored:
        name, path, fingerprint, digest, key, status, score, graded_at = row
        when = datetime.fromisoformat(graded_at).timestamp()
        keys = self._keys(_out(name))
        return Stored(_out(name), _out(path), fingerprint, digest, key, status, score, when, keys)

    def _key(self, name: str) -> str:
        stored = self.get(name)
        return stored.key if stored else ""

    def _keys(self, name: str) -> dict[str, str]:
        found = self._database.execute(
            "SELECT question, key FROM questions WHERE submission = ?", (_in(name),)
        )
        return dict(found.fetchall())

    def results(self, names: Iterable[str] | None = None) -> Iterator[Result]:
        """The results of these submissions, or of all by name; one at a time, so that many need no memory."""
        if names is None:
            names = [
                _out(row[0]) for row in self._database.execute("SELECT name FROM submissions ORDER BY name")
            ]
        for name in names:
            row = self._database.execute(
                "SELECT result FROM submissions WHERE name = ?", (_in(name),)
            ).fetchone()
            yield replace(from_json(Result, row[0]), questions=self._questions(name))

    def _questions(self, name: str) -> list[QuestionResult]:
        which = "SELECT result FROM questions WHERE submission = ? ORDER BY position"
        return [from_json(QuestionResult, row[0]) for row in self._database.execute(which, (_in(name),))]

    def content(self, digest: str) -> bytes:
        """A submission's content as `submission.pack` packed it; empty if it is not there."""
        row = self._database.execute("SELECT packed FROM contents WHERE digest = ?", (digest,)).fetchone()
        return bytes(row[0]) if row else b""

    def note(self, name: str, value: str) -> None:
        """Keeps something about the folder as a whole."""
        if self.about(name) != value:
            with _Transaction(self):
                self._database.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", (name, value))

    def about(self, name: str) -> str:
        """What was noted, or ""."""
        row = self._database.execute("SELECT value FROM about WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else ""


class _Transaction:
    """All of it or nothing; a disk without room becomes words."""

    def __init__(self, store: Store) -> None:
        self._store, self._database = store, store._database

    def __enter__(self) -> None:
        try:
            self._database.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise explained(error, self._store.folder) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._database.execute("COMMIT")
        except sqlite3.Error as failure:
            error = failure
        if error is not None and self._database.in_transaction:
            self._database.execute("ROLLBACK")
        if isinstance(error, sqlite3.Error):
            raise explained(error, self._store.folder) from error


def _locked(folder: Path) -> IO[str]:
    """Takes the folder for this process until that ends, in whatever way."""
    file = open(folder / LOCK, "a+", encoding="utf-8")  # noqa: SIM115  held as long as the store is open
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        owner = file.read().strip() or "unknown"
        file.close()
        raise StoreError(
            f"Another run is writing to {folder} (process {owner}): wait until it has ended, or stop it, "
            "or choose another output folder."
        ) from None
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def _other_version(path: Path, version: int) -> str:
    if version > SCHEMA:
        return f"{path} was made by a newer autograder (format {version}, this one writes {SCHEMA}): update autograder."
    return (
        f"{path} was made by an older autograder (format {version}, this one writes {SCHEMA}). Grade into a new "
        f"folder; or move {path.name} away, and everything is graded again into this one."
    )


def explained(error: sqlite3.Error | OSError, folder: Path) -> StoreError:
    """In words: what happened to the folder, and what to do."""
    text = getattr(error, "strerror", None) or str(error)
    if getattr(error, "errno", None) in _NO_ROOM or any(
        sign in text for sign in ("is full", "disk I/O error")
    ):
        return DiskFull(
            f"No room is left in {folder} ({text}). What was graded before is kept: make room, then give the same "
            "command again."
        )
    if "not a database" in text or "malformed" in text:
        return StoreError(
            f"{folder / FILE} is damaged, or was not made by autograder ({text}). Move it away, and everything is "
            "graded again."
        )
    return StoreError(f"{folder} cannot be used as output folder: {text}.")


def _in(text: str) -> str | bytes:
    """A text for the database; a file's name that is no Unicode goes in as its bytes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return os.fsencode(text)
    return text


def _out(value: str | bytes) -> str:
    return os.fsdecode(value) if isinstance(value, bytes) else value
