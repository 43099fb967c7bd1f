"""What goes into a table that somebody opens in a spreadsheet."""

_FORMULA = ("=", "+", "-", "@", "\t")  # a spreadsheet would run a cell that begins so


def as_text(value: str) -> str:
    """A cell that is a text, whatever a student has called things."""
    return f"'{value}" if value.startswith(_FORMULA) else value
