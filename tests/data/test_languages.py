"""Texts of any language: BM25's words, windows, and texts told from ids where nothing has a blank."""

import pytest

from distilkit.data.analysis import Analyser, analyser_of, tokens, told
from distilkit.data.bm25 import Bm25
from distilkit.data.passages import split_words
from distilkit.data.scripts import looks_like_text
from distilkit.data.segmenters import segmenter_of
from distilkit.data.teacher_scores.formats import sniff
from distilkit.data.texts import Texts, write_texts
from distilkit.data.triples.reading import format_of
from distilkit.errors import UserError
from distilkit.models.words import word_tokenizer
from distilkit.scoring.inputs import holds_texts

# The first article of the Universal Declaration of Human Rights.
ARTICLE = {
    "de": "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und Gewissen begabt.",
    "fr": "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués de raison.",
    "fi": "Kaikki ihmiset syntyvät vapaina ja tasavertaisina arvoltaan ja oikeuksiltaan. Heille on annettu järki.",
    "pl": "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw. Są oni obdarzeni rozumem.",
    "ru": "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и совестью.",
    "vi": "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền lợi.",
    "zh": "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。",
    "ja": "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。",
    "ko": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
    "th": "มนุษย์ทั้งปวงเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ",
    "hi": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है।",
    "en": "All human beings are born free and equal in dignity and rights.  They are endowed with reason.",
}


def table(folder, texts):
    write_texts(folder / "texts.arrow", ((f"d{i}", text) for i, text in enumerate(texts)))
    return Texts.open(folder / "texts.arrow")


@pytest.mark.parametrize("language", ARTICLE)
def test_a_language_is_told_from_its_texts(tmp_path, language):
    assert told(table(tmp_path, [ARTICLE[language]] * 5)) == (language, "detected from the texts")


@pytest.mark.parametrize("texts", [["", ""], ["numpy.mean(a, axis) arithmetic"] * 9, ["alpha beta gamma delta"] * 50])
def test_texts_that_tell_no_language_are_read_as_english_and_said_so(tmp_path, texts):
    found = analyser_of("auto", "auto", table(tmp_path, texts))
    assert (found.language, found.stemmer, found.stopwords) == ("en", "english", "en")
    assert "cannot be detected" in str(found)


@pytest.mark.parametrize(
    ("language", "stemmer", "expected"),
    [
        ("de", "auto", ("de", "german", "de")),
        ("German", "none", ("de", "none", "de")),
        ("fi", "auto", ("fi", "finnish", None)),
        ("zh", "auto", ("zh", None, None)),
        ("vietnamese", "auto", ("vi", None, None)),
        ("en", "porter", ("en", "porter", "en")),
    ],
)
def test_a_language_has_its_stemmer_and_stop_words(tmp_path, language, stemmer, expected):
    wanted = None if stemmer == "none" else stemmer
    found = analyser_of(language, wanted, table(tmp_path, ["x"]))
    assert (found.language, str(found.stemmer).lower(), found.stopwords) == (
        expected[0],
        str(expected[1]).lower(),
        expected[2],
    )


def test_unknown_languages_are_refused_with_the_nearest(tmp_path):
    with pytest.raises(UserError, match="language = 'germann': no language is called that; did you mean 'german'"):
        analyser_of("germann", "auto", table(tmp_path, ["x"]))


def test_tokens_are_words_and_pairs_of_characters_as_in_lucene():
    # org.apache.lucene.analysis.cjk.TestCJKAnalyzer: 多くの学生が試験に落ちた。 and 一 alone.
    assert list(tokens("多くの学生が試験に落ちた。")) == [
        *("多く", "くの", "の学", "学生", "生が", "が試", "試験", "験に", "に落", "落ち", "ちた")
    ]
    assert list(tokens("一")) == ["一"]
    assert list(tokens("test テスト ｔｅｓｔ ﾃｽﾄ")) == ["test", "テス", "スト", "test", "テス", "スト"]
    # Marks belong to their letters, and words with them are whole.
    assert list(tokens("हिन्दी में x")) == ["हिन्दी", "में"]
    assert list(tokens("ที่นี่")) == ["ที่นี่"]
    assert list(tokens("the cats, mice-like 3 x2")) == ["the", "cats", "mice", "like", "x2"]


@pytest.mark.parametrize(
    ("language", "passages", "query"),
    [
        ("zh", ["萤火虫会发光，因为萤火虫很特别。", "苹果是水果。", "河流流入大海。"], "为什么萤火虫会发光"),
        ("ja", ["蛍は夜に光る虫です。", "りんごは果物です。", "川は海に流れる。"], "なぜ蛍は光るのか"),
        ("th", ["หิ่งห้อยเรืองแสงในเวลากลางคืน", "แอปเปิ้ลเป็นผลไม้", "แม่น้ำไหลลงสู่ทะเล"], "ทำไมหิ่งห้อยเรืองแสง"),
        ("ko", ["반딧불이는 밤에 빛난다.", "사과는 과일이다.", "강은 바다로 흐른다."], "반딧불이가 빛나는 이유"),
        ("de", ["Die Häuser der Stadt", "Der Apfel", "Ein Fluss"], "ein Haus in der Stadt"),
        ("fi", ["Talojen katot ovat punaisia", "Omena on hedelmä", "Joki"], "punainen talo"),
    ],
)
def test_bm25_finds_the_passage_of_the_query_first(tmp_path, language, passages, query):
    texts = table(tmp_path, passages)
    found, scores = Bm25(texts, k1=0.9, b=0.4, analyser=analyser_of(language, "auto", texts)).retrieve([query], 3)
    assert found[0, 0] == 0
    assert scores[0, 0] > scores[0, 1]


def test_words_of_icu_where_there_are_no_blanks(tmp_path):
    """As `ubrk_next` of ICU gives them; Korean stays in pairs, since its words carry their endings."""
    pytest.importorskip("icu4py")
    cut = segmenter_of("icu", "zh")
    assert list(tokens("萤火虫会发光，因为 two 12 a", cut)) == ["萤火", "虫", "会", "发光", "因为", "two", "12"]
    assert list(tokens("東京都に住んでいます", cut)) == ["東京", "都", "に", "住", "んで", "い", "ます"]
    assert list(tokens("หิ่งห้อยเรืองแสง", cut)) == ["หิ่งห้อย", "เรือง", "แสง"]
    assert list(tokens("반딧불이가", cut)) == ["반딧", "딧불", "불이", "이가"]
    # A developing country (发展中国家) is not China (中国), though the pair is in it.
    texts = table(tmp_path, ["发展中国家", "中国", "学生"])
    found = []
    for segmenter in ("pairs", "icu"):
        analyser = analyser_of("zh", "auto", texts, segmenter)
        found.append(Bm25(texts, k1=0.9, b=0.4, analyser=analyser).retrieve(["中国"], 3)[0][0].tolist())
    assert found == [[1, 0, -1], [1, -1, -1]]
    pairs, words = (analyser_of("zh", "auto", texts, segmenter).identity() for segmenter in ("pairs", "icu"))
    assert pairs == {"stemmer": None, "stopwords": None}
    assert words["segmenter"].startswith("icu ")
    told_so = [str(analyser_of("zh", "auto", texts, segmenter)) for segmenter in ("pairs", "icu")]
    assert told_so[0] == "language Chinese, words not stemmed, and pairs of characters where there are no blanks"
    assert told_so[1] == "language Chinese, words not stemmed, and words by ICU where there are no blanks"


def test_a_segmenter_that_is_not_installed_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("distilkit.data.segmenters.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"segmenter = 'icu' needs icu4py, .*: pip install 'distilkit\[icu\]'"):
        analyser_of("zh", "auto", table(tmp_path, ["x"]), "icu")


def test_stop_words_of_another_language_count_for_nothing(tmp_path):
    texts = table(tmp_path, ["und nicht der die", "Vernunft"])
    assert (Bm25(texts, k1=0.9, b=0.4, analyser=Analyser("de", "german", "de")).retrieve(["und die"], 2)[0] < 0).all()


def test_windows_of_scripts_without_blanks_count_characters():
    text = "萤火虫会发光，因为" * 667
    windows = split_words(text)
    # 6,003 characters, 150 every 75: one window, and one for each 75 characters beyond the first 150.
    assert len(windows) == 1 + -(-(6003 - 150) // 75) == 80
    assert {len(window) for window in windows[:-1]} == {150}
    assert windows[0] + windows[2] == text[:300]
    assert split_words("a b  c 中文 d", 3, 2) == ["a b  c", "c 中文", "文 d"]
    assert len(split_words("ที่" * 10, 5, 5)) == 2


@pytest.mark.parametrize(("field", "is_text"), [("q1", False), ("多くの学生", True), ("ภาษา", True), ("a b", True)])
def test_a_text_is_told_from_an_id_without_a_blank(tmp_path, field, is_text):
    assert looks_like_text(field) == is_text
    path = tmp_path / "triples.tsv"
    path.write_text(f"{field}\t{field}2\t{field}3\n")
    assert (format_of(path).holds, holds_texts(path)) == (("texts", True) if is_text else ("ids", False))
    path.write_text(f"1.5\t-1.0\t{field}\t{field}2\t{field}3\n")
    assert sniff(path) == ("tsv_texts" if is_text else "tsv_ids")


def test_a_vocabulary_of_whole_words_has_characters_where_there_are_no_blanks():
    tokenizer = word_tokenizer(["萤火虫会发光", "これはペンです", "ที่นี่ดี", "two words"])
    # BERT's own normaliser takes the marks away.
    assert tokenizer.tokenize("虫火 ペン words two") == ["虫", "火", "ヘ", "ン", "words", "two"]
    assert "[UNK]" not in tokenizer.tokenize("ดีที่นี่")
