"""Says in an operator's words why a file is not YAML: the library speaks of block ends and tokens."""

from __future__ import annotations

import re
from dataclasses import dataclass

import yaml

from gateway.config.fault import Fault


@dataclass(frozen=True, slots=True)
class _Mistake:
    context: str  # what the library was doing, as a pattern
    problem: str  # what it met; what it captures may be named in `says`
    says: str
    remedy: str
    at_beginning: bool = False  # the line to look at is where it began, not where it gave up


_MISTAKES = (
    _Mistake("", r"'\\t'", "a tab stands where YAML wants spaces", "indent with spaces"),
    _Mistake("", "but found another document", "a second document begins here (---)", "keep one document in the file"),
    _Mistake(
        "quoted scalar",
        "unexpected end of stream|document separator",
        "a quote is opened here and closed nowhere",
        "close it",
        at_beginning=True,
    ),
    _Mistake(
        "flow mapping",
        r"expected ',' or '}'",
        "the brace that is opened here is not closed",
        "close it with }, put a comma between its keys, and a text that has a colon in quotes",
        at_beginning=True,
    ),
    _Mistake(
        "flow sequence",
        r"expected ',' or ']'",
        "the bracket that is opened here is not closed",
        "close it with ], put a comma between its entries, and a text that has a colon in quotes",
        at_beginning=True,
    ),
    _Mistake(
        "",
        "mapping values are not allowed",
        "there is a colon too many here, or one too few in the line above, or the two are indented differently",
        "put a text that has a colon in quotes, and indent keys like their neighbours",
    ),
    _Mistake("", "but found '<scalar>'", "the text goes on after its quote or brace", "put the whole of it in quotes"),
    _Mistake(
        "block",
        "expected <block end>",
        "the line is not indented like those that it belongs to",
        "indent them by the same number of spaces",
    ),
    _Mistake("alias", "", "a text can't begin with * unless it is in quotes", 'write it so, such as "*"'),
    _Mistake("anchor", "", "a text can't begin with & unless it is in quotes", "put it in quotes"),
    _Mistake(
        "", "found character '(.)' that cannot", "a text can't begin with {} unless it is in quotes", "put it in quotes"
    ),
    _Mistake(
        "double-quoted",
        "escape",
        "in double quotes a backslash begins an escape, and this is none",
        "write the text in single quotes",
    ),
    _Mistake(
        "simple key",
        "could not find expected ':'",
        "the line is neither a key with its colon nor part of the text above",
        "write key: value",
        at_beginning=True,
    ),
    _Mistake(
        "",
        "sequence entries are not allowed",
        "a list can't begin in the line of its key",
        "write each entry in a line of its own, after a hyphen, or all of them as [one, another]",
    ),
)


def syntax(error: yaml.MarkedYAMLError) -> Fault:
    """The fault that an error of the parser is, with the line to look at."""
    context, problem = error.context or "", error.problem or "the YAML can't be read"
    for mistake in _MISTAKES:
        met = re.search(mistake.problem, problem)
        if met and mistake.context in context:
            place = (mistake.at_beginning and error.context_mark) or error.problem_mark or error.context_mark
            return Fault(_line(place), "", mistake.says.format(*met.groups()), mistake.remedy)
    place = error.problem_mark or error.context_mark
    return Fault(_line(place), "", f"this is not YAML: {problem}", "look at this line and the one above it")


def _line(mark: yaml.Mark | None) -> int:
    return mark.line + 1 if mark else 0
