"""`distilkit bench`: what a ranker costs, at query time and at index time."""
