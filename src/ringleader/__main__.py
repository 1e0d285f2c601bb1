"""`python -m ringleader` is the command line, as is the installed `ringleader`; Ctrl-C while it loads ends it quietly, too."""

import sys

__all__ = ["main"]


def main() -> None:
    """Load the command line and run it."""
    try:
        from ringleader.cli.main import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
