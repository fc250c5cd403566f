"""What a check found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["RULES", "Finding", "as_document", "failing"]

RULES = ("structure", "checksum", "model", "carried", "conventions", "error")
"""Subjects of findings."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Parameters
    ----------
    rule : str
        One of ``RULES``.
    where : str
        Variable and step, or the store.
    what : str
        What was expected, and what was got; one line.
    severity : str
        ``error``, or ``warning`` for what fails a strict check only.
    """

    rule: Literal["structure", "checksum", "model", "carried", "conventions", "error"]
    where: str
    what: str
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        """One line for a terminal."""
        line = " ".join(f"{self.severity}: {self.where}: {self.what} [{self.rule}]".split())
        return "".join(c if c.isprintable() else "?" for c in line)


def as_document(store: str, findings: list[Finding], *, strict: bool) -> dict[str, Any]:
    """What ``hpcodec validate --json`` prints: keys are added to it, never changed."""
    return {
        "store": store,
        "valid": not failing(findings, strict=strict),
        "strict": strict,
        "findings": [asdict(finding) for finding in findings],
    }


def failing(findings: list[Finding], *, strict: bool) -> list[Finding]:
    """Findings for which a store is not valid."""
    return [finding for finding in findings if strict or finding.severity == "error"]
