"""A gate's verdict as JUnit XML, for CI systems, and as Markdown, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from evalkit.engine.gate import Check, Verdict

MARKS = {"pass": "passed", "fail": "**failed**", "inconclusive": "*not enough to tell*"}


def junit(verdict: Verdict) -> str:
    """One test case a check; an inconclusive one is skipped with its reason."""
    outcomes = [check.outcome for check in verdict.checks]
    suite = ET.Element(
        "testsuite",
        name="evalkit gate",
        tests=str(len(outcomes)),
        failures=str(outcomes.count("fail")),
        skipped=str(outcomes.count("inconclusive")),
        errors="0",
    )
    for check in verdict.checks:
        case = ET.SubElement(suite, "testcase", classname=f"evalkit.gate.{check.metric or 'run'}", name=_name(check))
        if check.outcome == "fail":
            ET.SubElement(case, "failure", message=check.told)
        elif check.outcome == "inconclusive":
            ET.SubElement(case, "skipped", message=check.told)
        else:
            ET.SubElement(case, "system-out").text = check.told
    ET.indent(suite)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def markdown(verdict: Verdict) -> str:
    """A heading with the outcome and a table of the checks."""
    lines = [f"## evalkit gate: {MARKS[verdict.outcome]}", ""]
    if verdict.profile == "sandbox":
        lines += ["Sandbox numbers: small embedded models, not comparable with published ones.", ""]
    lines += [f"`{_cell(verdict.run)}` against `{_cell(verdict.baseline)}`", "", "| metric | check | outcome | found |"]
    lines.append("|---|---|---|---|")
    lines += [
        f"| {_cell(check.metric or '')} | {_cell(check.name)} | {MARKS[check.outcome]} | {_cell(check.told)} |"
        for check in verdict.checks
    ]
    return "\n".join(lines) + "\n"


def _name(check: Check) -> str:
    return f"{check.metric}: {check.name}" if check.metric else check.name


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("`", "'").replace("<", "&lt;").replace("\n", " ")
