"""The next step after a name that nothing has: the ones it is close to."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

CUTOFF = 0.6  # difflib's own; "atention", "att" and "Attention" find attention, "x" and "nothing" find none


def meant(given: str, known: Iterable[str]) -> str:
    """ "Did you mean ...? " with up to three names, or an empty text where none is close.

    >>> meant("atention", ["attention", "bpe"])
    'Did you mean attention? '
    """
    names = {name.casefold(): name for name in known}
    word = given.casefold()
    close = difflib.get_close_matches(word, names, n=3, cutoff=CUTOFF)
    close += [name for name in names if word and name.startswith(word) and name not in close]
    return f"Did you mean {' or '.join(names[name] for name in close[:3])}? " if close else ""
