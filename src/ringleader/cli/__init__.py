"""The command line: `ringleader ...`."""
