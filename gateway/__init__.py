"""REMEMBERS AND ANSWERS: the engine, its store, and every way to talk to it."""
