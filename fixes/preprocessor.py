"""A repaired preprocessor_config.json in the model's snapshot, never in a blob."""

from __future__ import annotations

import json
import os
from pathlib import Path

from doctor.actions import Advice, WriteFile
from doctor.facts import Facts
from doctor.findings import Finding
from doctor.intents import Intents, UseRecipe

FILE = "preprocessor_config.json"


def actions(finding: Finding, facts: Facts) -> Intents:
    """The file with the class that this transformers has, or the recipe that needs no such file."""
    image_processor = facts.environment.image_processor
    if (
        finding.code == "preprocessor-stale"
        and image_processor is not None
        and image_processor.replacement
    ):
        file = facts.model.files[facts.model.image_processor_named_by or FILE]
        path = Path(os.path.expanduser(file.path))
        yield WriteFile(
            summary=f"write {path}, naming {image_processor.replacement} "
            f"in place of {image_processor.named}",
            path=str(path),
            content=repaired(path.read_text(), image_processor.replacement),
        )
    elif finding.code == "preprocessor-broken":
        yield Advice(summary=finding.fix.summary, code=finding.code)
    else:
        yield UseRecipe()


def repaired(text: str, class_name: str) -> str:
    """The configuration with another image processor class, and otherwise as it was."""
    content = json.loads(text)
    holder = content
    if isinstance(content.get("image_processor"), dict):
        holder = content["image_processor"]
    holder["image_processor_type"] = class_name
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
