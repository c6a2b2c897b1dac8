"""The gateway's HTTP surfaces: the native API, vendors' callbacks, probes, and the simulator's page."""
