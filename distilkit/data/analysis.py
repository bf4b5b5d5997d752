"""Analysis of texts for BM25 by their language: words and their stems, and what stands for words without blanks."""

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import regex

from distilkit.data.scripts import LETTERS
from distilkit.data.segmenters import ICU, PAIRS, Segment, pairs, require_segmenter, version_of
from distilkit.data.texts import Texts
from distilkit.errors import UserError, nearest

AUTO = "auto"
# PyStemmer's Snowball stemmers by ISO 639-1. Of Norwegian's two forms both have one.
STEMMERS = {
    "ar": "arabic",
    "hy": "armenian",
    "eu": "basque",
    "ca": "catalan",
    "cs": "czech",
    "da": "danish",
    "nl": "dutch",
    "en": "english",
    "eo": "esperanto",
    "et": "estonian",
    "fi": "finnish",
    "fr": "french",
    "de": "german",
    "el": "greek",
    "hi": "hindi",
    "hu": "hungarian",
    "id": "indonesian",
    "ga": "irish",
    "it": "italian",
    "lt": "lithuanian",
    "ne": "nepali",
    "no": "norwegian",
    "nb": "norwegian",
    "nn": "norwegian",
    "fa": "persian",
    "pl": "polish",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sr": "serbian",
    "es": "spanish",
    "sv": "swedish",
    "ta": "tamil",
    "tr": "turkish",
    "yi": "yiddish",
}
UNSTEMMED = {
    "zh": "chinese",
    "ja": "japanese",
    "ko": "korean",
    "th": "thai",
    "lo": "lao",
    "km": "khmer",
    "my": "burmese",
    "vi": "vietnamese",
    "he": "hebrew",
    "uk": "ukrainian",
    "bg": "bulgarian",
    "hr": "croatian",
    "sk": "slovak",
    "sl": "slovenian",
    "bn": "bengali",
    "ur": "urdu",
    "te": "telugu",
    "ml": "malayalam",
    "kn": "kannada",
    "mr": "marathi",
    "gu": "gujarati",
    "pa": "punjabi",
    "si": "sinhala",
    "ka": "georgian",
    "mn": "mongolian",
    "kk": "kazakh",
    "az": "azerbaijani",
    "sw": "swahili",
    "ms": "malay",
    "tl": "tagalog",
    "is": "icelandic",
    "lv": "latvian",
    "sq": "albanian",
    "mk": "macedonian",
    "be": "belarusian",
    "af": "afrikaans",
    "am": "amharic",
}
PAIRED = ("zh", "ja", "ko", "th", "lo", "km", "my")
NAMES = {**STEMMERS, "nb": "bokmal", "nn": "nynorsk", **UNSTEMMED}
# Those that bm25s has.
STOPWORDS = {"en", "de", "nl", "fr", "es", "pt", "it", "ru", "sv", "no", "tr", "da"}

PLAIN = ("en", "id", "ms", "tl", "sw", "nl", "it")
"""Languages that are written without accents, or with so few that some passages may have none."""

SAMPLE, CHUNK, SURE = 400, 400, 0.5
ENGLISH = 0.2
"""The share of stop words from which a text is English without asking a model; other languages stay below 0.1."""

_WORD = rf"[[\w]--[{LETTERS}\p{{Hangul}}]]"
_TOKEN = regex.compile(
    rf"(?P<run>(?:[{LETTERS}\p{{Hangul}}]\p{{M}}*)+)|{_WORD}(?:{_WORD}|\p{{M}})+", flags=regex.VERSION1
)
# Full-width letters and half-width kana are the same letters as the others.
_FOLDED = regex.compile(r"[\uff00-\uffef]+")


@dataclass(frozen=True)
class Analyser:
    """How BM25 reads texts: `stemmer` and `stopwords` are names of PyStemmer and bm25s, None for none.

    `language` is an ISO 639-1 code, and `told` how it came about, for messages; `segmenter` cuts what has no blanks.
    """

    language: str = "en"
    stemmer: str | None = "english"
    stopwords: str | None = "en"
    told: str = ""
    segmenter: str = PAIRS

    def identity(self) -> dict[str, Any]:
        """Return what tokens depend on."""
        cut = {} if self.segmenter == PAIRS else {"segmenter": version_of(self.segmenter)}
        return {"stemmer": self.stemmer, "stopwords": self.stopwords, **cut}

    def __str__(self) -> str:
        """Return a sentence's part: the language, how it was found, and what the terms are."""
        name = NAMES.get(self.language, self.language).capitalize()
        cut = "words by ICU" if self.segmenter == ICU and self.language != "ko" else "pairs of characters"
        pairs = f", and {cut} where there are no blanks" if self.language in PAIRED else ""
        stems = f"stemmed for {self.stemmer.capitalize()}" if self.stemmer else "not stemmed"
        return f"language {name}{f' ({self.told})' if self.told else ''}, words {stems}{pairs}"


def analyser_of(language: str, stemmer: str | None, passages: Texts, segmenter: str = PAIRS) -> Analyser:
    """Return the analyser that `[data] language` and `stemmer` name, told from the passages where they say `auto`.

    Raises UserError for a language or a stemmer that is not known, and a segmenter that is not installed.
    """
    require_segmenter(segmenter)
    how = ""
    code = next((code for code, name in NAMES.items() if language.lower() in (code, name)), None)
    if language == AUTO:
        code, how = told(passages)
    elif code is None:
        known = [AUTO, *NAMES, *NAMES.values()]
        raise UserError(f"[data] language = {language!r}: no language is called that{nearest(language, known)}")
    require_stemmer(stemmer)
    found = _own_stemmer(code or "en") if stemmer == AUTO else stemmer
    return Analyser(code or "en", found, code if code in STOPWORDS else None, how, segmenter)


def told(passages: Texts) -> tuple[str, str]:
    """Return the language of most of the passages, and what messages say of that."""
    rows = np.unique(np.linspace(0, len(passages) - 1, min(SAMPLE, len(passages)), dtype=np.int64))
    texts = passages.texts(rows.tolist())
    if _share_of_english(texts) >= ENGLISH:
        return "en", "detected from the texts"
    votes = [_classified(chunk) for chunk in _chunks(texts)]
    best = max(sorted({*votes}), key=votes.count, default="en")
    # Names and keywords have no language; without a single accent they are not Swedish, whatever a model finds.
    odd = best not in PLAIN and all(text.isascii() for text in texts)
    if not odd and votes.count(best) > SURE * len(votes):
        return best, "detected from the texts"
    return "en", "assumed, since it cannot be detected from the texts"


def tokens(text: str, segment: Segment = pairs) -> Iterator[str]:
    """Yield the words of a lower-cased text, of two characters or more; of scripts without blanks what `segment` makes.

    Pairs of characters are what Lucene's analyser for Chinese, Japanese and Korean makes.
    """
    for found in _TOKEN.finditer(_FOLDED.sub(_folded, text)):
        if found["run"] is None:
            yield found[0]
        else:
            yield from segment(found[0])


def stemmer_of(name: str | None) -> "Callable[[str], str] | None":
    """Return a stemmer of PyStemmer; raises UserError for an unknown one."""
    if name is None:
        return None
    require_stemmer(name)
    import Stemmer

    found: Callable[[str], str] = Stemmer.Stemmer(name)
    return found


def require_stemmer(name: str | None) -> None:
    """Raise UserError for a stemmer that PyStemmer does not have."""
    import Stemmer

    if name not in (None, AUTO) and name not in Stemmer.algorithms(aliases=True):
        raise UserError(f"no stemmer is called {name!r}{nearest(str(name), [AUTO, *Stemmer.algorithms()])}")


def _folded(found: regex.Match[str]) -> str:
    return unicodedata.normalize("NFKC", found[0]).lower()


def _own_stemmer(code: str) -> str | None:
    import Stemmer

    # Which there are depends on PyStemmer's version.
    name = STEMMERS.get(code)
    return name if name in Stemmer.algorithms() else None


def _share_of_english(texts: list[str]) -> float:
    from bm25s.stopwords import STOPWORDS_EN

    words = [word for text in texts for word in text.lower().split()]
    return sum(word in STOPWORDS_EN for word in words) / max(1, len(words))


def _chunks(texts: list[str]) -> Iterator[str]:
    """Yield passages joined to some hundred characters, as a short text tells little."""
    held: list[str] = []
    for text in texts:
        held.append(text[:CHUNK])
        if sum(map(len, held)) >= CHUNK:
            yield " ".join(held)
            held = []
    if any(text.strip() for text in held):
        yield " ".join(held)


def _classified(text: str) -> str:
    return str(_detector().classify(text)[0])


@lru_cache(maxsize=1)
def _detector() -> Any:
    """Return py3langid's model of the languages that are known here."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    found = LanguageIdentifier.from_model_file(MODEL_FILE)
    found.set_languages([code for code in NAMES if code in found.labels])
    return found
