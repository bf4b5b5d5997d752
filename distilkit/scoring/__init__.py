"""Scoring with rankers that are there already: teacher scores, re-ranked candidates, and what they are worth."""
