"""All tests: the conformance kit says how many of its checks ran."""

pytest_plugins = ["specloom.testing.reporting"]
