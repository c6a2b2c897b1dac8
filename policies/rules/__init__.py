"""One rule a file: a pydantic model that is its YAML schema, and a pure function that applies it."""
