"""Measures the gateway against two baselines in the same run: ratios are the result, absolute figures are noise."""
