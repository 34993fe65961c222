"""Write the published JSON Schema of the reports from their types (``make schema``)."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import msgspec

from doctor.commands import SUMMARIES
from doctor.reports import ErrorReport

PATH = Path(__file__).parent.parent / "doctor" / "schema" / "report-1.json"


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of all documents that the doctor prints."""
    modules = [importlib.import_module(f"doctor.reports.{name}") for name in SUMMARIES]
    types = [module.DOCUMENT for module in modules]
    types += [module.OTHER_DOCUMENT for module in modules if hasattr(module, "OTHER_DOCUMENT")]
    documents, definitions = msgspec.json.schema_components(
        [*types, ErrorReport], ref_template="#/$defs/{name}"
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "vlm-doctor/report/1",
        "description": "The documents that `vlm-doctor --format json` prints. Fields are added, "
        "never renamed; readers must accept fields that they do not know.",
        "anyOf": list(documents),
        "$defs": definitions,
    }


def text() -> str:
    """The schema as the file that is published."""
    return json.dumps(schema(), indent=2) + "\n"


if __name__ == "__main__":
    PATH.write_text(text())
