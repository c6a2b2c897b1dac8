"""CARRIES: words a code and hands it to a provider. Knows nothing of policies or of the gateway."""
