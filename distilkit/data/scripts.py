"""Scripts that are written without blanks: their characters, units of text in any script, and texts told from ids."""

import regex

# Letters of Han, the kana, and of South-East Asia; the mark that lengthens a kana's vowel belongs to no script.
LETTERS = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}ーｰ"
CHARACTER = rf"[{LETTERS}]\p{{M}}*"
"""A character of such a script, with its marks: what stands for a word where words are not told apart."""

_UNIT = regex.compile(rf"{CHARACTER}|[^\s{LETTERS}]+")
_TEXT = regex.compile(rf"\s|[{LETTERS}]")


def units(text: str) -> list[tuple[int, int]]:
    """Return where the words of a text are, as (start, end): between blanks, or single characters without blanks."""
    return [unit.span() for unit in _UNIT.finditer(text)]


def looks_like_text(field: str) -> bool:
    """Return whether a field is a text and no id: it holds a blank, or a character of a script without blanks."""
    return _TEXT.search(field.strip()) is not None
