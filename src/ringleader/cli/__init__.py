"""The command line: thin commands over the public API; every module here is one command or one group of commands."""
