"""The pure core: what a verification is, how it changes, how its code is made, sealed and compared."""
