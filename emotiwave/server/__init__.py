"""The service: clips in over HTTP, answers out, and a page that does the same in a browser."""
