"""DECIDES: what a policy makes of a request. Pure: no clock, no socket, no store."""
