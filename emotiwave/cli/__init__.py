"""The command line: translates words into calls of `emotiwave.api` and answers into tables; it decides nothing."""

from emotiwave.cli.commands import app, main

__all__ = ["app", "main"]
