"""`otp-gateway policy test`: holds the policies to a file of written expectations, for a person or for CI."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli import loading, options

if TYPE_CHECKING:
    from gateway.config import Settings
    from gateway.config.reader import Document
    from policies.expectations import Case, Cases, Difference


@dataclass(frozen=True, slots=True)
class Verdict:
    """One case, where it stands, and how it differs."""

    name: str
    line: int
    differences: tuple[Difference, ...]


@click.command("test")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@options.config_file
@click.option("--junit", type=click.Path(path_type=Path), help="Also write the results there, as JUnit's XML.")
def command(files: tuple[Path, ...], config_file: Path, junit: Path | None) -> None:
    """Hold the policies of the configuration to the cases in FILES. Prints a line for each thing that came otherwise
    than expected. Ends with 0 when all cases hold. Needs no store, no secret and no network."""
    settings = loading.policies(config_file)
    found = {file: _verdicts(file, settings) for file in files}
    failed = 0
    for file, verdicts in found.items():
        for verdict in verdicts:
            failed += bool(verdict.differences)
            for difference in verdict.differences:
                click.echo(f"{click.style('FAIL', fg='red')} {file}:{verdict.line}: {verdict.name}: {difference}")
    if junit:
        _write(junit, found)
    total = sum(map(len, found.values()))
    click.echo(f"{total} {'case' if total == 1 else 'cases'}: {total - failed} passed, {failed} failed")
    if failed:
        raise click.exceptions.Exit(1)


def _verdicts(file: Path, settings: Settings) -> list[Verdict]:
    from policies.expectations import judge

    cases, document, apps = _cases(file, settings)
    return [
        Verdict(case.name, document.line(("cases", number)), judge(case, app, settings.policy(app, case.purpose)))
        for number, (case, app) in enumerate(zip(cases.cases, apps, strict=True))
    ]


def _cases(file: Path, settings: Settings) -> tuple[Cases, Document, list[str]]:
    """The file, and each case's app. Any fault of it ends the command, as one of the configuration does."""
    from gateway.config import Fault, Invalid
    from gateway.config.explain import validated
    from gateway.config.reader import LARGEST, read
    from policies.expectations import Cases

    try:
        with file.open("rb") as opened:
            document = read(opened.read(LARGEST + 1))
    except OSError as error:
        problem = f"the file can't be read: {(error.strerror or 'it is out of reach').lower()}"
        loading.refuse(Invalid(str(file), [Fault(0, "", problem, "name another")]))
    syntax = document.data is None and document.faults
    cases = None if syntax else validated(Cases, document.data or {}, (), document, strict=False)
    apps = _apps(cases.cases, settings, document) if cases else []
    if cases is None or document.faults:
        loading.refuse(Invalid(str(file), document.faults))
    return cases, document, apps


def _apps(cases: Sequence[Case], settings: Settings, document: Document) -> list[str]:
    """Who asks in each case: the app that it names, or the only one that there is."""
    from gateway.config.fault import instead

    known = list(settings.config.apps)
    for number, case in enumerate(cases):
        if case.app is None and len(known) > 1:
            document.complain(("cases", number), "says no app, and there are several", f"write app: {known[0]}")
        elif case.app is not None and case.app not in known:
            document.complain(("cases", number, "app"), f"there is no app {case.app!r}", instead(case.app, known))
    return [case.app or known[0] for case in cases]


def _write(junit: Path, found: dict[Path, list[Verdict]]) -> None:
    """The results in the form that CI systems draw tables from."""
    from xml.etree.ElementTree import Element, ElementTree, SubElement

    root = Element("testsuites")
    for file, verdicts in found.items():
        failures = sum(bool(verdict.differences) for verdict in verdicts)
        suite = SubElement(root, "testsuite", name=str(file), tests=str(len(verdicts)), failures=str(failures))
        for verdict in verdicts:
            where = {"name": verdict.name, "classname": str(file), "file": str(file), "line": str(verdict.line)}
            case = SubElement(suite, "testcase", where)
            if said := list(map(str, verdict.differences)):
                SubElement(case, "failure", {"message": said[0]}).text = "\n".join(said)
    try:
        ElementTree(root).write(junit, encoding="utf-8", xml_declaration=True)
    except OSError as error:
        raise click.ClickException(f"--junit: {junit} can't be written: {error.strerror}") from None
