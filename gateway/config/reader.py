"""Reads YAML into plain data and the line of every key, and refuses what YAML would quietly read as something else."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from gateway.config.fault import Fault, Path, dotted
from gateway.config.syntax import syntax

LARGEST = 1024 * 1024
"""Bytes of a configuration file."""

DEEPEST = 32
"""Levels of nesting: real files have fewer than ten."""

_TAG = "tag:yaml.org,2002:"
_TEXT = f"{_TAG}str"
_WORDS = {"true": True, "false": False}
_ZEROS = re.compile(r"[-+]?0[0-9_]*[0-9]")
_BASE_60 = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")


@dataclass(slots=True)
class Document:
    """What a file says. `faults` fills up while it is read, so that all of them can be told at once."""

    data: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    refused: set[Path] = field(default_factory=set)  # where `faults` already says what is wrong
    variables: dict[Path, str] = field(default_factory=dict)  # where an environment variable has spoken
    empty: list[Path] = field(default_factory=list)  # keys with nothing behind them, which YAML reads as null

    def line(self, path: Path) -> int:
        """The line of a path, or of the nearest thing around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def variable(self, path: Path) -> str:
        """The environment variable behind a path, or ""."""
        while path and path not in self.variables:
            path = path[:-1]
        return self.variables.get(path, "")

    def fault(self, path: Path, problem: str, remedy: str = "") -> Fault:
        """A fault at a path, placed in the line or the variable that wrote it."""
        variable = self.variable(path)
        return Fault(0 if variable else self.line(path), dotted(path), problem, remedy, variable)

    def complain(self, path: Path, problem: str, remedy: str = "") -> None:
        """Add a fault, unless the reader has said already what is wrong there."""
        if path not in self.refused:
            self.faults.append(self.fault(path, problem, remedy))

    def refuse(self, path: Path, line: int, problem: str, remedy: str) -> None:
        self.refused.add(path)
        self.faults.append(Fault(line, dotted(path), problem, remedy))


class _TooDeep(Exception):
    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line


class _Loader(yaml.SafeLoader):
    """Composes nodes without aliases, and so without the files that a few of them make unboundedly large."""

    def __init__(self, text: str, document: Document) -> None:
        super().__init__(text)
        self._document = document
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]  # PyYAML's types leave it out
        mark: Any = event.start_mark
        line = mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            self.get_event()  # type: ignore[no-untyped-call]  # as above
            problem, remedy = "aliases (*name) are not read here", "write it out, or let a policy extend another"
            self._document.faults.append(Fault(line, "", problem, remedy))
            return yaml.ScalarNode(f"{_TAG}null", "", mark, mark)
        if self._depth >= DEEPEST:
            raise _TooDeep(line)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


def read(content: bytes) -> Document:
    """Read a file's content. Never raises for what it says: see `faults`, after a syntax error the only one."""
    document = Document()
    if len(content) > LARGEST:
        problem = f"the file has more than {LARGEST} bytes"
        document.faults.append(Fault(0, "", problem, "take out what is no configuration"))
        return document
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        document.faults.append(Fault(line, "", "the file is not UTF-8", "save it as UTF-8"))
        return document
    root = _compose(text, document)
    if root is not None:
        document.data = _value(root, (), document)
    return document


def _compose(text: str, document: Document) -> yaml.Node | None:
    """The root node, or None when there is none or the syntax is wrong."""
    try:
        loader = _Loader(text, document)
        return loader.get_single_node()
    except _TooDeep as error:
        problem, remedy = f"this is nested more than {DEEPEST} levels deep", "make it flatter"
        document.faults.append(Fault(error.line, "", problem, remedy))
    except yaml.MarkedYAMLError as error:
        document.faults.append(syntax(error))
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        remedy = "take it out, or write it in double quotes as an escape"
        document.faults.append(Fault(line, "", f"the character U+{_ordinal(error):04X} is not allowed", remedy))
    return None


def _ordinal(error: yaml.reader.ReaderError) -> int:
    character: Any = error.character  # a code point in PyYAML 6, a character in some of its types
    return character if isinstance(character, int) else ord(character)


def _value(node: yaml.Node, path: Path, document: Document) -> Any:
    document.lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
        return _mapping(node, path, document)
    if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
        return [_value(item, (*path, index), document) for index, item in enumerate(node.value)]
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node, path, document)
    document.refuse(path, node.start_mark.line + 1, "tags (!name) are not read here", "write a plain value")
    return None


def _mapping(node: yaml.MappingNode, path: Path, document: Document) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = _key(key_node, path, document)
        if key is None:
            continue
        here = (*path, key)
        if key in data:
            problem = f"it is written twice, first in line {document.lines[here]}"
            document.faults.append(Fault(line, dotted(here), problem, "keep one of them"))
            continue
        document.lines[here] = line
        data[key] = _value(value_node, here, document)
    return data


def _key(node: yaml.Node, path: Path, document: Document) -> str | None:
    """A key as it is written, so that the country NO and the vendor's code 0123 keep their spelling."""
    line = node.start_mark.line + 1
    if not isinstance(node, yaml.ScalarNode):
        document.faults.append(Fault(line, dotted(path), "a key must be text", "write a name before the colon"))
        return None
    key = str(node.value)
    if node.tag in (f"{_TAG}bool", f"{_TAG}null"):
        meaning = "nothing" if node.tag.endswith("null") else "a truth value"
        document.refuse((*path, key), line, f"YAML reads this unquoted key as {meaning}", f'write "{key}" in quotes')
    if node.tag == f"{_TAG}merge":
        document.refuse((*path, key), line, "merged keys (<<) are not read here", "write them out")
    if _unprintable(key):
        document.refuse((*path, key), line, "a key has characters that can't be shown", "take them out")
    return key


def _scalar(node: yaml.ScalarNode, path: Path, document: Document) -> Any:
    text = str(node.value)
    if not text and node.tag == f"{_TAG}null":
        document.empty.append(path)
    if node.style is None and _ZEROS.fullmatch(text):
        value, problem, remedy = _zeros(text)
    elif node.tag in _READ_AS:
        value, problem, remedy = _READ_AS[node.tag](text)
    else:
        value, problem, remedy = text, "tags (!name) are not read here", "write a plain value"
    if isinstance(value, str) and _unprintable(value):
        problem, remedy = "the text has characters that can't be stored", "take the lone surrogate or NUL out"
        value = ""
    if problem:
        document.refuse(path, node.start_mark.line + 1, problem, remedy)
    return value


def scalar(text: str, path: Path, document: Document) -> Any:
    """A plain scalar read from elsewhere, as if it stood unquoted in the file, whatever characters it has."""
    loader: Any = _Loader("", document)
    tag = loader.resolve(yaml.ScalarNode, text, (True, False))
    mark = yaml.Mark("", 0, 0, 0, None, 0)
    return _scalar(yaml.ScalarNode(tag, text, mark, mark), path, document)


def _unprintable(text: str) -> bool:
    return "\0" in text or any("\ud800" <= character <= "\udfff" for character in text)


Reading = tuple[Any, str, str]
"""A value, what is wrong with it ("" for nothing), and the remedy."""


def _boolean(text: str) -> Reading:
    value = _WORDS.get(text.lower())
    if value is not None:
        return value, "", ""
    meant = yaml.SafeLoader.bool_values[text.lower()]
    problem = f"YAML reads an unquoted {text} as {str(meant).lower()}"
    return meant, problem, f'write "{text}" in quotes for the word, or {str(meant).lower()}'


def _integer(text: str) -> Reading:
    if _BASE_60.fullmatch(text):
        problem = "YAML reads digits with a colon as a number in base 60"
        return text, problem, f'write "{text}" in quotes for text, or a length of time such as 10m'
    if len(text) > 64:
        return text, "the number is too long", "write fewer digits"
    return int(text.replace("_", ""), 0), "", ""


def _zeros(text: str) -> Reading:
    """010 is 8 to YAML 1.1, 10 to YAML 1.2; 08080 is text to the one and a number to the other."""
    plain = text.lstrip("+-0_") or "0"
    return (
        text,
        "a number with a leading zero means different things to different readers",
        (f'write {plain}, or "{text}" in quotes for text'),
    )


def _float(text: str) -> Reading:
    if _BASE_60.fullmatch(text):
        return _integer(text)
    word = text.lower().replace("_", "")
    if word.lstrip("+-") in (".inf", ".nan"):
        return text, "the number is not finite", "write digits"
    return float(word), "", ""


def _string(text: str) -> Reading:
    return text, "", ""


_READ_AS = {
    _TEXT: _string,
    f"{_TAG}bool": _boolean,
    f"{_TAG}int": _integer,
    f"{_TAG}float": _float,
    f"{_TAG}null": lambda text: (None, "", ""),
    f"{_TAG}timestamp": _string,
    f"{_TAG}value": _string,
    f"{_TAG}merge": _string,
}
