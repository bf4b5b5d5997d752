"""A ranker behind HTTP: requests, the queue that they wait in, the thread that scores them, and the server."""
