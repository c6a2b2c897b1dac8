"""Stands in the way of a package that only developers have, and that structlog imports where it is: 3.4 MB."""

raise ImportError("not installed")
