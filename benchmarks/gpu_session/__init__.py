"""One prepared run for a machine with a GPU that is there for minutes: what works, what agrees, how fast it is."""
