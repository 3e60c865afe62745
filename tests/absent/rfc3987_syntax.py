"""In the way of the package of this name, which no deployment has (tests/conftest.py): jsonschema goes on without it."""

raise ImportError("left out: no deployment has it")
