"""From a recipe to results: a graph of content-keyed nodes, and one walk that plans, checks, forecasts and runs it."""
