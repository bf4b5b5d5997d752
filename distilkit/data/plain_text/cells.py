"""What a cell of a table must be to serve as a document."""

from distilkit.errors import UserError


def document(value: object, place: str, column: str) -> str:
    """Return the text of a cell; raises UserError, naming its place, for what is no string of whole characters."""
    if not isinstance(value, str):
        kind = "nothing" if value is None else type(value).__name__
        raise UserError(f"{place}: expected {column!r} to hold a text, got {kind}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise UserError(
            f"{place}: {column!r} is not valid Unicode (half of a surrogate pair); expected whole characters"
        ) from None
    return value
