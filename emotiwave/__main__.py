"""``python -m emotiwave`` is the command line."""

from emotiwave.cli import main

if __name__ == "__main__":
    main()
