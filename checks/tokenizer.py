"""Are the model's tokenizer and its chat template there, whole, and of this model?

The tokenizer turns the question into numbers; the template puts the question and the picture's
place into the form that the model was trained on. You would see `expected str, bytes or
os.PathLike object, not NoneType`, `data did not match any variant of untagged enum`, `Cannot use
apply_chat_template because this processor does not have a chat template`, `[broadcast_shapes]
Shapes (1536) and (0) cannot be broadcast`, or an answer that has nothing to do with the picture.

- `tokenizer-missing`: there is neither `tokenizer.json` nor one of the older forms.
- `tokenizer-broken`: `tokenizer.json` is no tokenizer (cut, empty, another file's content), or the
  numbers that config.json gives for the picture's place are none of its tokens.
- `chat-template-missing`: no template stands where this mlx-vlm looks for one, or it is cut. A
  warning where none is there at all and this mlx-vlm makes a plain prompt of its own.

The fix of all is `download`. A base model has no template at all; its instruct variant has.
The doctor reads the files; it does not run the template.
"""

from __future__ import annotations

import msgspec

from doctor.facts import Facts, Tokenizer
from doctor.findings import CheckResult, Evidence, Finding, Severity
from doctor.hub.mending import fix_of
from doctor.packages.requirements import installed

CODES = ("tokenizer-missing", "tokenizer-broken", "chat-template-missing")

FILE = "tokenizer.json"
CONFIG = "tokenizer_config.json"

# A template in these files goes to the processor, in tokenizer_config.json to the tokenizer.
OF_PROCESSOR = ("chat_template.jinja", "chat_template.json", "processor_config.json")

# What the probe says of a tokenizer.json that is not there though its name is.
DANGLING = "its link points to nothing"

# What the probe says of a chat_template.json that ends loading, whatever stands elsewhere.
NO_JSON, NO_TEMPLATE = "it is no JSON", "it has no chat_template"

# Words in the names of tokens that stand for a picture.
PICTURE_WORDS = ("image", "img", "vision", "picture", "patch", "media")


def check(facts: Facts) -> CheckResult:
    """Findings, as the page above says."""
    tokenizer, parameters = facts.model.tokenizer, facts.environment.parameters
    # Older facts tell less of the tokenizer; a model without a configuration is told by another.
    if tokenizer is None or parameters is None:
        return
    config = facts.model.files.get(CONFIG)
    if config is not None and config.state in ("broken", "not-an-object"):
        yield _finding(
            facts,
            "tokenizer-broken",
            f"The model's {CONFIG} cannot be used",
            CONFIG,
            config.problem or "?",
        )
    elif tokenizer.problem == DANGLING:
        yield _finding(
            facts, "tokenizer-missing", "The model has no tokenizer", FILE, tokenizer.problem
        )
    elif tokenizer.problem is not None:
        yield _finding(
            facts, "tokenizer-broken", f"The model's {FILE} cannot be used", FILE, tokenizer.problem
        )
    elif not tokenizer.files:
        yield _finding(
            facts, "tokenizer-missing", "The model has no tokenizer", FILE, "it is not there"
        )
    else:
        yield from _marks(facts, tokenizer)
    yield from _template(facts, tokenizer)


def _finding(facts: Facts, code: str, title: str, file: str, problem: str) -> Finding:
    return Finding(
        code=code,
        severity=Severity.ERROR,
        title=f"{title}: {problem}",
        cause="The question cannot be turned into what the model was trained on.",
        evidence=(Evidence(fact=file, value=problem, source=facts.model.path or ""),),
        fix=fix_of(facts, file),
    )


def _is_old(facts: Facts) -> bool:
    """Whether this is transformers 4, which takes tokenizer.json as it is.

    From 5 on it adds the tokens that tokenizer_config.json lists, and makes anew what turns text
    into bytes and back.
    """
    everything = installed(facts.environment)
    release = everything["transformers"].version if "transformers" in everything else None
    return release is None or release.startswith("4.")


def _marks(facts: Facts, tokenizer: Tokenizer) -> CheckResult:
    """The numbers of config.json for the picture's place have to be tokens that mean it."""
    config = facts.model.values.get("config.json", {})
    adds = not _is_old(facts)
    if not adds and (tokenizer.shifted or tokenizer.one_way):
        problem = (
            f"it lacks {tokenizer.shifted[0]}, and every token after it gets another number"
            if tokenizer.shifted
            else "it turns text into bytes in one direction only"
        )
        yield _finding(
            facts, "tokenizer-broken", "The tokenizer is not this model's", FILE, problem
        )
        return
    parameters = facts.environment.parameters
    for name, number in parameters.marks.items() if parameters else ():
        # What config.json leaves out, mlx-vlm's code fills in, for another model's tokenizer.
        if name not in config and tokenizer.highest is not None and number > tokenizer.highest:
            yield _finding(
                facts,
                "tokenizer-broken",
                "config.json does not say where the picture is",
                "config.json",
                f"it has no {name}, and {number}, which mlx-vlm takes then, is no token",
            )
            return
    for name, token in tokenizer.marks.items():
        if token is None and not (adds and name in tokenizer.marks_of_config):
            problem = f"{name} is {config.get(name)}, and there is no such token"
        elif (
            token is not None
            and name.startswith("image_token")
            and tokenizer.pictures
            and not any(word in token.lower() for word in PICTURE_WORDS)
        ):
            problem = f"{name} is {config.get(name)}, and that is {token}"
        else:
            continue
        yield _finding(
            facts,
            "tokenizer-broken",
            "The tokenizer and config.json do not mean the same by the picture's place",
            FILE,
            problem,
        )
        return


def _template(facts: Facts, tokenizer: Tokenizer) -> CheckResult:
    parameters = facts.environment.parameters
    assert parameters is not None
    broken = tokenizer.templates.get("chat_template.json")
    if broken is not None and broken.problem in (NO_JSON, NO_TEMPLATE):
        yield _finding(
            facts,
            "chat-template-missing",
            "The model's chat_template.json cannot be read",
            "chat_template.json",
            broken.problem,
        )
        return
    read = [
        (file, template)
        for file, template in tokenizer.templates.items()
        if file in OF_PROCESSOR or parameters.takes_tokenizers_template
    ]
    usable = [(file, template) for file, template in read if template.problem is None]
    if usable and parameters.template_places_pictures:
        if not any(template.pictures for _, template in usable):
            yield _finding(
                facts,
                "chat-template-missing",
                "The model's chat template has no place for a picture",
                usable[0][0],
                "it speaks of no image",
            )
        return
    if usable:
        return
    places = ", ".join(tokenizer.templates)
    if read:
        file, template = read[0]
        problem = template.problem or "?"
    else:
        file = "chat_template.jinja"
        problem = f"there is one in {places} only" if places else "there is none"
    if parameters.makes_plain_prompts and not read:
        # Base models have none, and are asked so; an instructed one was trained on its template.
        found = _finding(
            facts,
            "chat-template-missing",
            "The model has no chat template, and mlx-vlm makes a plain prompt",
            file,
            problem,
        )
        cause = "A model that was trained on a template answers worse without it."
        yield msgspec.structs.replace(found, severity=Severity.WARNING, cause=cause)
        return
    yield _finding(
        facts,
        "chat-template-missing",
        "The model has no chat template that this mlx-vlm takes",
        file,
        problem,
    )
