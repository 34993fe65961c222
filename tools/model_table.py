"""Make the published table of models and releases anew: what `make models` runs.

For each pair of mlx-vlm and transformers in ``models/releases.json`` an environment is made without
torch. The doctor's probe says for every kind of model what it needs there, and the processor of
every family in ``models/families.json`` is really loaded and shown a picture
(``models/measure.py``). Written are ``docs/models.md``, for people, ``docs/models.json``, with what
was predicted and measured side by side, and ``doctor/model_releases.json``: the first release that
has each kind of model. With ``--torch`` the same is done in environments with torch and torchvision
(6 GB each on Linux), and only ``tests/recorded/processors-with-torch.json`` is written.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import uv
from packaging.utils import canonicalize_name
from packaging.version import Version

from doctor.probes import environment
from doctor.target import Target

ROOT = Path(__file__).resolve().parent.parent

FOLDER = ROOT / ".cache" / "models"
DATA = ROOT / "tools" / "models"
TABLE = ROOT / "docs" / "models.md"
RESULTS = ROOT / "docs" / "models.json"
WITH_TORCH = ROOT / "tests" / "recorded" / "processors-with-torch.json"
FIRST = ROOT / "doctor" / "model_releases.json"
UV = os.fsdecode(uv.find_uv_bin())
MLX = "mlx[cpu]" if sys.platform == "linux" else "mlx"
PYTHON = "3.11"
AT_ONCE = 25

# What a cell of the table says, by what was told or measured.
WORDS = {
    "runs": "no torch",
    "torch": "**torchvision**",
    "blind": "text only",
    "code": "own code",
    "fails": "**fails**",
    "unsupported": "-",
    "unknown": "?",
}
LEGEND = {
    "no torch": "the processor loads and takes a picture with neither torch nor torchvision",
    "**torchvision**": "it needs torchvision, and so torch",
    "text only": "no error, but only the tokenizer is loaded: the picture is ignored",
    "own code": "the model's repository brings the code of its processor, and mlx-vlm runs that "
    "only with `trust_remote_code`; what it imports is its own affair",
    "**fails**": "it ends in an error that no backend helps with (the note says which)",
    "-": "this release has no such kind of model, or makes no prompt with a picture for it",
    "?": "it could not be told (the note says why)",
    "✓": "measured: loaded for real in this environment, and the prediction was right",
    "✗": "measured, and the prediction was wrong",
}


def families() -> list[dict[str, Any]]:
    """The families of the data file, each with what it takes over from another."""
    listed = json.loads((DATA / "families.json").read_text())
    by_type = {family["type"]: family for family in reversed(listed)}
    return [{**by_type.get(family.get("like"), {}), **family} for family in listed]


def question(family: dict[str, Any]) -> dict[str, Any]:
    """What the doctor's probe is asked about a model of a family, as it asks about a folder."""
    config = family.get("config", {})
    return {
        "model_type": family["type"],
        "processor_class": family.get("processor_class"),
        "image_processor_type": family.get("image_processor_type"),
        "remote_processor": "AutoProcessor" in family.get("auto_map", {}),
        "remote_config": "AutoConfig" in family.get("config_auto_map", config.get("auto_map", {})),
        "files_read": True,
    }


def predicted(row: dict[str, Any], torch: bool) -> tuple[str, str]:
    """What the probe's answer foretells: a word of ``WORDS``, and why."""
    processor = row["processor"]
    if not row["supported"]:
        return "unsupported", ""
    if processor is None:
        return "unknown", "there is no mlx-vlm or no transformers"
    if processor["needs"] and not torch:
        return "torch", ", ".join(need["class_name"] for need in processor["needs"])
    if {"torch", "torchvision"} & set(row["missing"]):
        return "torch", "it imports " + ", ".join(row["missing"])
    if processor["fails"]:
        return "code" if "trust_remote_code" in processor["fails"] else "fails", processor["fails"]
    if processor["unknown"]:
        return "unknown", processor["unknown"]
    if processor["packages"]:
        return "fails", "it asks for " + ", ".join(processor["packages"])
    if processor["sees"] is False:
        return "blind", "no processor class is known for it"
    if processor["prompts"] is False:
        return "unsupported", "this mlx-vlm makes no prompt for it"
    return "runs", ""


def measured(result: dict[str, Any]) -> tuple[str, str]:
    """What really happened, as a word of ``WORDS``, and the error."""
    said = " ".join(str(result.get(key)) for key in ("error", "because", "own_error")).lower()
    error = str(result["error"] or "")
    if result["stage"] in ("seen", "loaded"):
        return "runs", ""
    if result["stage"] == "blind":
        return "blind", ""
    if "not supported" in error or "Unsupported model" in error:
        return "unsupported", error
    if "custom code" in error:
        return "code", error
    return "torch" if "torch" in said else "fails", error


# What loading alone tells, of a model about whose files nothing is known.
LOADING = {"runs", "torch"}

# Both of a pair mean that no generation with a picture runs.
BROKEN = {"torch", "blind", "code", "fails", "unsupported"}


def agree(foretold: str, happened: str) -> bool:
    """Whether the verdict that follows from a prediction is what happened."""
    return foretold == happened or {foretold, happened} <= BROKEN


def make_environment(release: dict[str, Any]) -> Path:
    """An environment of a pair of releases, without torch; its interpreter."""
    folder = FOLDER / "environments" / release["name"]
    python = folder / "bin" / "python"
    if not python.exists():
        _uv("venv", "--no-project", "--python", PYTHON, str(folder))
    _uv(
        "pip",
        "install",
        "--python",
        str(python),
        f"{MLX}{release.get('mlx', '')}",
        *release["pins"],
    )
    return Path(python)


def _uv(*words: str) -> None:
    subprocess.run([UV, "--quiet", *words], check=True)


def ask(python: Path, questions: list[dict[str, Any]]) -> dict[str, Any]:
    """What the doctor's probe says of an environment and of many kinds of model.

    A few dozen are asked at once: an answer has to come within the probe's time limit.
    """
    target = Target(python=str(python), found_by="make models")
    answer: dict[str, Any] = {}
    surveyed: list[Any] = []
    for start in range(0, max(1, len(questions)), AT_ONCE):
        asked: dict[str, object] = {
            "model_type": None,
            "modules": [],
            "survey": questions[start : start + AT_ONCE],
        }
        with environment.Probe(target, FOLDER / "notes" / python.parent.parent.name) as probe:
            probe.ask(asked)
            answer = dict(probe.answer())
        surveyed += answer.get("survey", [])
    return {**answer, "survey": surveyed}


def plain_family(row: dict[str, Any]) -> dict[str, Any]:
    """A model about whose files nothing is known: only whether its processor loads is measured."""
    name = row["processor"] and row["processor"]["name"]
    return {
        "model": row["model_type"],
        "type": row["model_type"],
        "processor_class": name,
        "only_load": "its marks for pictures are not known",
    }


def measure(python: Path, listed: Path, folder: Path, *only: str) -> dict[str, Any]:
    """Load the processors of listed families for real in an environment (``measure.py``)."""
    variables = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
        "PYTHONHASHSEED": "0",  # chance decides which missing backend is named
        "PYTHONPYCACHEPREFIX": str(FOLDER / "bytecode"),
    }
    output = subprocess.run(
        [str(python), str(DATA / "measure.py"), str(listed), str(folder), *only],
        check=True,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ).stdout
    results = json.loads(output)
    assert isinstance(results, dict)
    return results


def survey(release: dict[str, Any]) -> dict[str, Any]:
    """Everything about one pair of releases."""
    python = make_environment(release)
    known = families()
    asked = [question(family) for family in known]
    types = ask(python, [])["supported_model_types"]
    others = [{"model_type": one} for one in types if one not in {q["model_type"] for q in asked}]
    answer = ask(python, asked + others)
    folders = FOLDER / "folders" / release["name"]
    really = measure(python, DATA / "families.json", folders)
    plain = [
        plain_family(row)
        for row in answer["survey"][len(known) :]
        if row["supported"] and row["vision"]
    ]
    listed = FOLDER / "plain.json"
    listed.write_text(json.dumps(plain))
    plainly = measure(python, listed, folders / "plain")
    versions = {
        str(canonicalize_name(item["name"])): item["version"] for item in answer["distributions"]
    }
    torch = "torch" in versions and "torchvision" in versions
    rows = []
    for family, row in zip([*known, *others], answer["survey"], strict=True):
        foretold, why = predicted(row, torch)
        name = family.get("model")
        happened, error = measured(really[name]) if name in really else (None, "")
        if name is None and row["model_type"] in plainly and foretold in LOADING:
            happened, error = measured(plainly[row["model_type"]])
            if happened not in LOADING:
                happened, error = None, ""  # the plain folder may lack what it needs
        if name is None and not (row["supported"] and row["vision"]):
            continue  # a helper, or a model of text alone
        rows.append(
            {
                "model": name,
                "type": row["model_type"],
                "processor": row["processor"] and row["processor"]["name"],
                "from": row["processor"] and row["processor"]["provider"],
                "predicted": foretold,
                "why": why,
                "measured": happened,
                "error": _shown(error),
                "imports": sorted({*row["missing"], *(row["processor"] or {}).get("packages", ())})
                if foretold != "unsupported"
                else [],
                "imports_when_used": row["later"] if foretold != "unsupported" else [],
            }
        )
    text_types = sum(row["supported"] and not row["vision"] for row in answer["survey"])
    names = (
        *("mlx-vlm", "transformers", "tokenizers", "huggingface-hub"),
        *("mlx", "mlx-lm", "torch", "torchvision"),
    )
    return {
        "name": release["name"],
        "versions": {name: versions[name] for name in names if name in versions},
        "types_without_eyes": text_types,
        "rows": rows,
    }


def _shown(error: str) -> str:
    """An error's line without the folder of this machine."""
    return error.replace(str(FOLDER) + os.sep, "")[:200]


def first_releases(releases: Iterable[str]) -> dict[str, str]:
    """The first of these releases that has each type of model; their wheels alone are fetched."""
    folder = FOLDER / "wheels"
    folder.mkdir(parents=True, exist_ok=True)
    first: dict[str, str] = {}
    for release in sorted(releases, key=Version):
        wheel = folder / f"mlx_vlm-{release}-py3-none-any.whl"
        if not wheel.exists():
            subprocess.run(
                [
                    *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
                    *("--disable-pip-version-check", "--only-binary", ":all:"),
                    *("--ignore-requires-python", "--dest", str(folder), f"mlx-vlm=={release}"),
                ],
                check=True,
            )
        for model_type in _types_of(wheel):
            first.setdefault(model_type, release)
    return dict(sorted(first.items()))


def _types_of(wheel: Path) -> set[str]:
    """The model types that a wheel of mlx-vlm brings, its other names for them included."""
    readers = _readers()
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())

        def read(name: str) -> str:
            return archive.read(name).decode("utf-8", "replace") if name in names else ""

        types = {
            parts[2]
            for parts in (name.split("/") for name in names)
            if len(parts) == 4 and parts[:2] == ["mlx_vlm", "models"] and parts[3] == "__init__.py"
            if "Model" in readers.binds(read("/".join(parts)))
        }
        others = readers.remapping_table(read("mlx_vlm/utils.py"))
    return types | {other for other, module in others.items() if module in types}


def _readers() -> Any:
    """The probe's readers of source; they import each other as the probe does."""
    sys.path.append(str(environment.PROBE))
    return importlib.import_module("processor_source")


def render(results: list[dict[str, Any]]) -> str:
    """The table as Markdown."""
    known = families()
    rows: dict[tuple[str | None, str], list[str]] = {}
    notes: dict[str, int] = {}
    for column, result in enumerate(results):
        for row in result["rows"]:
            key = (row["model"], row["type"])
            cells = rows.setdefault(key, [WORDS["unsupported"]] * len(results))
            cells[column] = _cell(row, notes)
    order = [(family["model"], family["type"]) for family in known]
    order += sorted(key for key in rows if key[0] is None)
    heads = [
        f"{result['versions']['mlx-vlm']}, tf {result['versions']['transformers']}"
        for result in results
    ]
    lines = [
        "# Which models run where, and what they need",
        "",
        "Made by `make models`; do not edit. The columns are releases of mlx-vlm with a "
        "transformers (tf) that it goes with, in environments without torch. What a cell says is "
        "what `vlm-doctor check` reads in the source of the installed packages; what was measured "
        "is marked. Measured means: the processor of a model's folder (the file and class names of "
        "the real repositories, a tokenizer of single bytes, no weights) was loaded as "
        "`mlx_vlm.load` does it, and shown a picture. For the types without a model's name, and a "
        "few others, it was only loaded.",
        "",
        *(f"- {word}: {meaning}" for word, meaning in LEGEND.items()),
        "- + name: a further package that an import on the way asks for and that mlx-vlm does not "
        "bring",
        "",
        *_agreement(results),
        "",
        "| model | type | " + " | ".join(heads) + " |",
        "|---" * (len(heads) + 2) + "|",
    ]
    for model, model_type in order:
        if (model, model_type) in rows:
            shown = model or ""
            lines.append(
                f"| {shown} | `{model_type}` | " + " | ".join(rows[model, model_type]) + " |"
            )
    lines += ["", "## Notes", ""]
    lines += [f"{number}. {note}" for note, number in notes.items()]
    later = {
        (row["type"], name)
        for result in results
        for row in result["rows"]
        for name in row["imports_when_used"]
    }
    lines += [
        "",
        "Asked for only when a function of the model's folder is called, and not required by "
        "mlx-vlm: "
        + ", ".join(f"{name} (`{model_type}`)" for model_type, name in sorted(later))
        + ".",
    ]
    counts = ", ".join(
        f"{result['types_without_eyes']} in {result['versions']['mlx-vlm']}"
        for result in results
        if result["types_without_eyes"]
    )
    lines += [
        "",
        f"Left out are the types of text alone and others without a vision model ({counts}).",
        "",
        "Where the class names in the models' files come from: "
        + "; ".join(
            f"{_sources()[source]} ({sum(family['source'] == source for family in known)} families)"
            for source in _sources()
        )
        + ".",
        "",
    ]
    return "\n".join(lines)


def _sources() -> dict[str, str]:
    return {
        "reference": "public copies of the checkpoints' files",
        "public code": "public code that quotes them",
        "transformers": "the tables of transformers or the code of mlx-vlm",
        "remembered": "as remembered, not fetched",
    }


def _agreement(results: list[dict[str, Any]]) -> list[str]:
    both = [row for result in results for row in result["rows"] if row["measured"]]
    told = [row for row in both if row["predicted"] != "unknown"]
    wrong = [row for row in told if not agree(row["predicted"], row["measured"])]
    other = [row for row in told if row["predicted"] != row["measured"] and row not in wrong]
    return [
        f"{len(both)} cells were measured: {len(told) - len(wrong)} verdicts are right "
        f"({len(other)} of them for another reason than the one foretold), {len(wrong)} wrong, "
        f"{len(both) - len(told)} could not be told. "
        f"{sum(len(result['rows']) for result in results) - len(both)} cells are told and not "
        "measured."
    ]


def _cell(row: dict[str, Any], notes: dict[str, int]) -> str:
    word = WORDS[row["predicted"]]
    if row["predicted"] != "unsupported":
        extra = [name for name in row["imports"] if name not in ("torch", "torchvision")]
        word += "".join(f" + {name}" for name in extra)
    if row["measured"] and row["predicted"] != "unknown":
        right = agree(row["predicted"], row["measured"])
        word += " ✓" if right else " ✗"
        if not right:
            word += _note(notes, f"measured: {row['error'] or WORDS[row['measured']]}")
    if row["predicted"] in ("fails", "unknown") or (
        row["predicted"] == "unsupported" and row["why"]
    ):
        word += _note(notes, row["why"])
    return word


def _note(notes: dict[str, int], text: str) -> str:
    number = notes.setdefault(text.replace("|", "\\|"), len(notes) + 1)
    return f" [{number}]"


def main() -> None:
    """Make the environments, ask, measure, and write."""
    data = json.loads((DATA / "releases.json").read_text())
    with_torch = sys.argv[1:] == ["--torch"]
    results = []
    for release in data["with_torch" if with_torch else "pairs"]:
        print(f"{release['name']} …", file=sys.stderr)
        results.append(survey(release))
    made_by = "make models" if not with_torch else "tools/model_table.py --torch"
    (WITH_TORCH if with_torch else RESULTS).write_text(
        json.dumps({"made_by": made_by, "releases": results}, indent=1) + "\n"
    )
    if with_torch:
        return
    TABLE.write_text(render(results))
    first = first_releases(data["wheels"])
    FIRST.write_text(json.dumps({"made_by": "make models", "first_seen": first}, indent=1) + "\n")


if __name__ == "__main__":
    main()
