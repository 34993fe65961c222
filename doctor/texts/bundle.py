"""The report of a bundle: what is in it, and what is not."""

from __future__ import annotations

import shlex

from doctor.reports.bundle import BundleReport
from doctor.terminal import Paper

WORDS = {
    "secret": "tokens and other secrets",
    "key": "private keys",
    "url": "addresses with credentials",
    "mail": "e-mail addresses",
    "address": "IP and MAC addresses",
    "name": "names of users and machines",
    "folder": "folders of your own",
}


def render(report: BundleReport, out: Paper) -> None:
    """Print what was written, and what was taken out."""
    out.line(("Bundle ", "bold"), f"{report.path} ({report.bytes / 1000:.0f} kB)")
    for member in report.members:
        out.line((f"{member.name}: ", "bold"), member.about, indent=2)
    taken = [f"{WORDS.get(what, what)} ({count})" for what, count in report.redacted.items()]
    out.line(
        ("Taken out: ", "bold"),
        ", ".join(taken) or "nothing had to be",
        ". Home folders are written ~.",
        indent=2,
    )
    path = shlex.quote(report.path)
    out.line(f"To look at it first: unzip -p {path} | less", whole=True)
    out.line(f"To judge it elsewhere: vlm-doctor check --facts {path}", whole=True)
