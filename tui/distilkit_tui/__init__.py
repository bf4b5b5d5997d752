"""The terminal interface: reads the run folders that the command line reads, and starts runs the way a shell does."""
