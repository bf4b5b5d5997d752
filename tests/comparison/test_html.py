"""The page: one file without a network, every name escaped, and the data of its drill-down."""

import json
import re
from html.parser import HTMLParser

import pytest
from finished_runs import finished_runs, write_record

from distilkit.comparison.compare import compare
from distilkit.comparison.render import render
from distilkit.comparison.render.drill import RESULTS, drill
from distilkit.comparison.render.html import differing
from distilkit.comparison.systems import System, read_systems

NASTY = "</script><script>alert(1)</script> <img src=x onerror=alert(2)> & {{ 7*7 }} \x1b[31m"


class Page(HTMLParser):
    """The elements, their attributes and their text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text, self.scripts, self.ids = [], [], "", [], []
        self.open = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.open.append(tag)
        self.attributes += attrs
        self.ids += [value for name, value in attrs if name == "id"]
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data
        else:
            self.text += data


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    runs = finished_runs(tmp_path_factory.mktemp("html") / "runs")
    return compare(read_systems(["s", "other"], runs_dir=runs))


@pytest.fixture(scope="module")
def page(result):
    return Page(render(result, "html"))


def test_the_page_has_all_parts(page):
    for id_ in ("answer", "means", "tables", "plots", "comparisons", "queries", "configuration", "policy", "data"):
        assert id_ in page.ids
    text = " ".join(page.text.split())
    for words in (
        "5 systems on test",
        "Query set test (16 queries) Baseline teacher Margin 3 %",
        "Difference to teacher in nDCG@10",
        "Effectiveness and cost",
        "nDCG@10 by re-ranking depth",
        "Training time",
        "Fidelity to the teacher",
        "Differences by query",
        "other against teacher:",
        "Judged@10",
        "Order of results: score descending, then document id descending",
        "distilkit 0.0.9",
    ):
        assert words in text, words
    # A plot each, and the axis of the forest plot beside a line for each system.
    assert page.tags.count("svg") == 7 + 5 + 1


def test_it_needs_no_network(page):
    for name, value in page.attributes:
        if name in ("src", "href", "xlink:href", "data", "action"):
            assert value.startswith("#"), (name, value)
    assert not {"link", "iframe", "img", "object", "base"} & set(page.tags)
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'") in page.attributes
    assert not re.search(r"fetch\(|XMLHttpRequest|@import|url\(http", "".join(page.scripts))


def test_ids_are_of_one_element_each(page):
    assert len(page.ids) == len(set(page.ids))


def test_the_drill_down_has_both_rankings_with_grades(page, result):
    (data,) = json.loads(page.scripts[0])
    assert data["systems"] == ["s", "teacher", "other", "s-label_only", "bm25"]
    assert data["short"][3:] == ["s · label-only", "BM25"]
    assert data["systems"][data["baseline"]] == "teacher"
    assert data["measures"] == ["nDCG@10", "RR@10"]
    assert len(data["queries"]) == data["total"] == 16
    query = data["queries"][0]
    assert query["values"][0][0] == round(result.sources[3].per_query["nDCG@10"][query["id"]], 4)
    assert {len(ranking) for ranking in query["rankings"]} == {20}
    grades = {data["documents"][int(place)]: grade for place, grade in query["grades"].items()}
    assert (grades.get("d0"), grades.get("d3"), grades.get("d1")) == (2, 1, None)
    scores = [score for _, score in query["rankings"][0]]
    assert scores == sorted(scores, reverse=True)
    spreads = [max(one["values"][0]) - min(one["values"][0]) for one in data["queries"]]
    assert spreads == sorted(spreads, reverse=True)


def test_the_configuration_shows_what_differs_alone(result):
    assert differing(result) == [("strategy.name", [("prediction", "s, other"), ("fine_tune", "s · label-only")])]


def test_keys_newer_than_a_run_have_their_defaults(tmp_path):
    runs = finished_runs(tmp_path)
    settings = {"seed": 1, "strategy": {"name": "margin_mse"}, "data": {"source": "pydocs", "max_length": 48}}
    student = {"architecture": "bert_dot", "vocabulary": "collection"}
    write_record(runs / "s", "s", resolved={**settings, "name": "s"})
    write_record(runs / "other", "other", resolved={**settings, "name": "other", "general": {"pairs": False}})
    systems = [runs / name for name in ("s", "other")]
    assert differing(compare(read_systems([*map(str, systems)]))) == []
    write_record(runs / "other", "other", resolved={**settings, "name": "other", "student": student})
    found = dict(differing(compare(read_systems([*map(str, systems)]))))
    assert found["student.vocabulary"] == [("whole", "s"), ("collection", "other")]
    write_record(runs / "s", "s", resolved={**settings, "name": "s", "no_key_of_today": 1})
    found = dict(differing(compare(read_systems([*map(str, systems)]))))
    assert found["student.vocabulary"] == [("(not set)", "s"), ("collection", "other")]


def test_no_name_becomes_markup():
    queries = {f"<i>q{place}</i>": place / 9 for place in range(9)}
    systems = [System("base", {"RR@10": queries}), System(NASTY, {"RR@10": {**queries, "<i>q0</i>": 0.5}})]
    text = render(compare(systems, eval_set="<u>set</u>"), "html")
    page = Page(text)
    assert len(page.scripts) == 2
    assert not {"img", "i", "u"} & set(page.tags)
    assert "{{ 7*7 }}" in page.text
    assert "\x1b" not in text
    (data,) = json.loads(page.scripts[0])
    assert NASTY in data["systems"]
    assert {one["id"] for one in data["queries"]} == set(queries)


def test_a_page_keeps_the_queries_that_differ_most_where_there_are_many():
    count = RESULTS // 20
    systems = [
        System(name, {"RR@10": {f"q{place}": (place % 97) / 97 * sign for place in range(count)}})
        for name, sign in (("a", 1.0), ("b", 0.5))
    ]
    (data,) = drill(compare(systems))
    assert len(data["queries"]) == count
    assert sum("rankings" in one for one in data["queries"]) == count // 2
    assert "rankings" in data["queries"][0]
    assert "rankings" not in data["queries"][-1]


def test_several_sets_have_a_part_each():
    systems = [
        System(name, {"RR@10": {f"{one}{place}": place * shift for place in range(4)}}, eval_set=one)
        for one in ("dev", "dl19")
        for name, shift in (("a", 0.1), ("b", 0.2))
    ]
    page = Page(render(compare(systems), "html"))
    assert [one["set"] for one in json.loads(page.scripts[0])] == ["dev", "dl19"]
    assert "dl19 (4 queries)" in page.text
