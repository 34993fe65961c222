"""What ``vlm-doctor models`` says."""

from __future__ import annotations

from doctor.reports.pull import PullReport

DOCUMENT = PullReport
