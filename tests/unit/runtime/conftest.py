"""For tests with real sockets."""

from farewells import farewells  # noqa: F401  # a fixture for every test here
