"""Reports of finished runs: what stands below the tables."""

import json

from finished_runs import finished_runs

from distilkit.comparison.reports import report


def test_the_note_of_a_recipe_stands_below_the_tables(tmp_path):
    runs = finished_runs(tmp_path)
    without = report(runs / "s", "text")
    path = runs / "s" / "run.json"
    record = json.loads(path.read_text())
    record["resolved"]["report"] = {"note": "The differences mean nothing yet.\x1b"}
    path.write_text(json.dumps(record))
    parts = report(runs / "s", "text").split("\n\n")
    assert parts[-2].startswith("The differences mean nothing yet.")
    assert "\x1b" not in parts[-2]
    assert "\n\n".join([*parts[:-2], parts[-1]]) == without
