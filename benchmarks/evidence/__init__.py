"""The papers' tables from finished suites: RESULTS.md, docs/evidence.md, the choice of a method, and its plot."""
