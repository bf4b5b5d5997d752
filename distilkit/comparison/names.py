"""Names as short as they can be told apart: a suite's runs share most of theirs."""

from collections.abc import Iterable


def labels(names: Iterable[str]) -> dict[str, str]:
    """Return each name less what it shares with the others of its suite: the suite's own name, and their last words.

    `table/tinybert-bert_cat-seed1` and `table/fine_tune-bert_cat-seed1` are `tinybert…` and `fine_tune…`. Names that
    stand alone, or would not be told apart, stay as they are.
    """
    found = {name: name for name in names}
    suites: dict[str, list[str]] = {}
    for name in found:
        suite, slash, _ = name.rpartition("/")
        if slash:
            suites.setdefault(suite, []).append(name)
    for suite, members in suites.items():
        if len(members) > 1:
            own = {name: name.removeprefix(f"{suite}/") for name in members}
            shared = _shared_end(list(own.values()))
            found |= {name: f"{tail.removesuffix(shared)}…" if shared else tail for name, tail in own.items()}
    return found if len(set(found.values())) == len(found) else {name: name for name in found}


def _shared_end(texts: list[str]) -> str:
    """Return the words, each behind a hyphen, that all texts end with; each keeps a word of its own."""
    words = [text.split("-") for text in texts]
    count = 0
    while all(len(one) > count + 1 for one in words) and len({one[-count - 1] for one in words}) == 1:
        count += 1
    return "".join(f"-{word}" for word in words[0][len(words[0]) - count :])
