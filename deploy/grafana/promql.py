"""The queries that panels are made of."""

from __future__ import annotations


def rate(metric: str, by: str, match: str = "") -> str:
    return f"sum by ({by}) (rate({metric}{{{match}}}[$__rate_interval]))"


def increase(metric: str, by: str, window: str) -> str:
    return f"sum by ({by}) (increase({metric}[{window}]))"


def quantile(q: float, metric: str, by: str = "", match: str = "") -> str:
    groups = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, sum by ({groups}) (rate({metric}_bucket{{{match}}}[$__rate_interval])))"


def share(metric: str, part: str, whole: str, by: str, window: str = "$__rate_interval") -> str:
    over = f"sum by ({by}) (increase({metric}{{{whole}}}[{window}]))"
    return f"sum by ({by}) (increase({metric}{{{part}}}[{window}])) / ({over} > 0)"


def net(metric: str, by: str, match: str = "", window: str = "1h") -> str:
    """Units of the currency in a window: what was spent less what came back."""
    matches = [",".join(filter(None, [match, f'movement="{move}"'])) for move in ("spent", "returned")]
    spent, returned = (f"sum by ({by}) (increase({metric}{{{matched}}}[{window}]))" for matched in matches)
    return f"({spent} - {returned}) / 1e6"


def per_approval(money: str, verifications: str, by: str, match: str = "") -> str:
    matched = ",".join(filter(None, [match, 'outcome="approved"']))
    approved = f"sum by ({by}) (increase({verifications}{{{matched}}}[1d]))"
    return f"{net(money, by, match, '1d')} / ({approved} > 0)"
