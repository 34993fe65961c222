"""Nothing private survives, and the checks say the same of what is left."""

from __future__ import annotations

import base64
import gzip
import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import hypothesis
import msgspec
import pytest
from hypothesis import strategies

from doctor import facts as facts_module
from doctor import registry
from doctor.facts import Facts
from doctor.reports.explain import ExplainReport
from doctor.reports.smoke import SmokeReport
from doctor.support import redaction
from doctor.support.redaction import Identity, Redactor
from tests import planting

# Every third: all of them take a minute, and were run when this was written.
MATRIX = sorted((Path(__file__).parent / "matrix" / "facts").glob("*.json.gz"))[::3]

TOKEN = "hf_QzTrWpLmKdVbNcXsGhJfYeRt"
PASSWORD = "Tr0ub4dor-and-3"
USER = "wilhelmina"
HOST = "Wilhelminas-MacBook-Pro"
HOME = f"/Users/{USER}"
# The second is called shortly, the others with letters that are written in two ways.
WHOSE = Identity(
    names=(USER, HOST, "al", "max", "józef", "Zoë Müller", "мария"),
    homes=(HOME,),
    secrets=("s3cr3t/of+the=variable",),
)

# What is planted, and what must not be left of it, whatever the letters' case.
SECRETS = {
    "token of the Hub": (TOKEN, TOKEN),
    "token of GitHub": ("ghp_abcdEFGH1234ijklMNOP5678qrst", "ghp_abcdEFGH1234ijklMNOP5678qrst"),
    "fine-grained token": ("github_pat_11ABCDEFG_abcdefghij", "11ABCDEFG_abcdefghij"),
    "key of an API": ("sk-proj-Zx81kQpLw72mN", "Zx81kQpLw72mN"),
    "bearer": ("Authorization: Bearer QmFzZTY0VG9rZW4xMjM0", "QmFzZTY0VG9rZW4xMjM0"),
    "assignment": ("HF_TOKEN=correcthorsebattery9", "correcthorsebattery9"),
    "option": ("--token 'Zx81kQpLw72mN'", "Zx81kQpLw72mN"),
    "query": ("https://host.example/x?api_key=Zx81kQpLw72mN&y=1", "Zx81kQpLw72mN"),
    "URL": (f"https://bot:{PASSWORD}@pypi.corp.example/simple", PASSWORD),
    "its host": (f"https://bot:{PASSWORD}@pypi.corp.example/simple", "pypi.corp.example"),
    "requirement": (f"thing @ git+https://{TOKEN}@git.corp.example/a/b", "git.corp.example"),
    "host of ssh": ("git@git.corp.example:team/repo.git", "git.corp.example"),
    "user of ssh": ("deploy@git.corp.example:team/x.git", "git.corp.example"),
    "URL of ssh": (f"ssh://deploy:{PASSWORD}@git.corp.example:22/x", PASSWORD),
    "password with a slash": ("https://bot:pa/ssw0rd9@pypi.corp.example/simple", "pa/ssw0rd9"),
    "URL without scheme": ("bot:w0rd!x@pypi.corp.example/simple", "w0rd!x"),
    "signed URL": ("https://x.example/a?sig=Zx81kQpLw72mN%2Bab", "Zx81kQpLw72mN"),
    "web hook": ("https://hooks.slack.com/services/T0AB/B0AB/Zx81kQpLw72mN", "Zx81kQpLw72mN"),
    "short token of the Hub": ("hf_abcdefghijkl", "hf_abcdefghijkl"),
    "token of Stripe": ("sk_live_4eC39HqLyjWDarjtT1zdp7dc", "4eC39HqLyjWDarjtT1zdp7dc"),
    "token of NVIDIA": ("nvapi-Zx81kQpLw72mNabcd", "Zx81kQpLw72mN"),
    "public key": ("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ", "AAAAB3NzaC1yc2EAAAADAQABAAABgQ"),
    "cookie in JSON": ('{"Set-Cookie": "sid=Zx81kQpLw72mN"}', "Zx81kQpLw72mN"),
    "pwd": ('{"pwd": "correcthorsebattery"}', "correcthorsebattery"),
    "password of letters": ("password=correcthorsebattery", "correcthorsebattery"),
    "password of digits": ("PASSWORD=12345678", "12345678"),
    "password of words": ("password: 'correct horse battery'", "horse battery"),
    "password within JSON": ('{\\"token\\": \\"Zx81kQpLw72\\"}', "Zx81kQpLw72"),
    "any key": ("PRIVATE_KEY=abcdefghijkl", "abcdefghijkl"),
    "key of storage": ("AccountKey=Zx81kQpLw72mNab/cd==;", "Zx81kQpLw72mNab/cd"),
    "header": ("X-Api-Key: Zx81kQpLw72", "Zx81kQpLw72"),
    "cookie": ("Cookie: session=Zx81kQpLw72", "Zx81kQpLw72"),
    "netrc": ("machine x.example login botty password Zx81kQpLw72", "Zx81kQpLw72"),
    "variable": ("s3cr3t/of+the=variable", "s3cr3t/of+the=variable"),
    "e-mail": ("w.example@mail.example", "w.example@mail.example"),
    "e-mail in Cyrillic": ("марья@почта.рф", "марья@почта.рф"),
    "e-mail in a name": ("w_example@mail.example_x", "w_example@mail.example"),
    "IPv4": ("10.20.30.40", "10.20.30.40"),
    "IPv4 in a name": ("host-10.20.30.40_x", "10.20.30.40"),
    "IPv4 of a cloud": ("ip-10-20-30-40.ec2.internal", "10-20-30-40"),
    "IPv4 in a URL": ("http://10.20.30.40:8080/x", "10.20.30.40"),
    "IPv4 in IPv6": ("::ffff:10.20.30.40", "10.20.30.40"),
    "IPv6 with its zone": ("[fe80::1ff:fe23%en0]:443", "fe80::1ff:fe23"),
    "IPv6": ("fe80::1ff:fe23:4567:890a", "fe80::1ff:fe23:4567:890a"),
    "MAC": ("a4:83:e7:12:34:56", "a4:83:e7:12:34:56"),
    "MAC in a name": ("mac_a4-83-e7-12-34-56_x", "a4-83-e7-12-34-56"),
    "MAC with dots": ("a483.e712.3456", "a483.e712.3456"),
    "number of the hardware": ("550e8400-e29b-41d4-a716-446655440000", "446655440000"),
    "home": (f"{HOME}/x", USER),
    "home of another": ("/home/ottokar/x", "ottokar"),
    "home on a volume": ("/System/Volumes/Data/Users/ottokar/x", "ottokar"),
    "home on a server": ("/nfs/home2/ottokar/x", "ottokar"),
    "home in pieces": ("/Users//./ottokar/x", "ottokar"),
    "home of Windows": ("C:\\Users\\ottokar\\x", "ottokar"),
    "home of Windows in JSON": ("\\\\Users\\\\ottokar\\\\x", "ottokar"),
    "home with a space": ("/Users/Otto Kar/x", "Kar/"),
    "home by a name": (f"~{USER}/x", USER),
    "short user": ("/data/al/x", "/al/"),
    "short user's home": ("/Users/al/x", "/al/"),
    "short user's folder": ("/tmp/al-work/x", "/al-work"),
    "user who is called like a word": ("/data/max/x", "/max/"),
    "word before a host": ("max@macbook", "max@"),
    "composed": ("/data/józef/x", "józef"),
    "decomposed": (unicodedata.normalize("NFD", "/data/JÓZEF/x"), "JO\u0301ZEF"),
    "another alphabet": ("/data/Мария/x", "мария"),
    "two names": ("zoë.müller", "müller"),
    "user": (USER, USER),
    "user in a path": (f"/data/{USER}-work/x", USER),
    "user in a word": (f"/data/{USER}smith/x", USER),
    "host": (HOST, HOST),
    "host in another spelling": (f"{HOST.lower().replace('-', '_')}.local", USER),
    "private key": (
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEabcd\n-----END RSA PRIVATE KEY-----",
        "MIIEabcd",
    ),
}
ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "upper case": str.upper,
    "lower case": str.lower,
    "percent": lambda text: quote(text, safe=""),
    "percent, every letter": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "percent twice": lambda text: quote(quote(text, safe=""), safe=""),
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON, every letter": lambda text: "".join(f"\\u{ord(letter):04x}" for letter in text),
    "UTF-16": lambda text: text.encode("utf-16-le").decode("latin-1"),
    "UTF-16 with its mark": lambda text: text.encode("utf-16").decode("latin-1"),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "base64 without its end": lambda text: base64.b64encode(text.encode()).decode().rstrip("="),
    "base64 of UTF-16": lambda text: base64.b64encode(text.encode("utf-16-le")).decode(),
    "base64 of JSON": lambda text: base64.b64encode(json.dumps({"a": text}).encode()).decode(),
    "base64 twice": lambda text: base64.b64encode(base64.b64encode(text.encode())).decode(),
    "hexadecimal": lambda text: text.encode().hex(),
    "UTF-16, the other way round": lambda text: text.encode("utf-16-be").decode("latin-1"),
    "UTF-16 with escapes": lambda text: "".join(f"{letter}\\u0000" for letter in text),
    "spaced": " ".join,
    "HTML": lambda text: "".join(f"&#{ord(letter)};" for letter in text),
    "bytes": lambda text: "".join(f"\\x{byte:02x}" for byte in text.encode()),
    "bytes, octal": lambda text: "".join(f"\\{byte:03o}" for byte in text.encode()),
    "quoted-printable": lambda text: "".join(f"={byte:02X}" for byte in text.encode()),
    "base32": lambda text: base64.b32encode(text.encode()).decode(),
    "JSON twice": lambda text: json.dumps(json.dumps(text))[1:-1],
}
# Where a secret may stand: alone, in a sentence, in a path, in a version's local part.
AROUND = ("{}", "it says '{}', twice", "~/a/{}/b", "1.0+{}", "lib/site-packages/{}")


def survives(secret: str, text: str) -> str | None:
    """The encoding in which a secret is still there, if it is."""
    folded = text.casefold()
    for name, encode in ENCODINGS.items():
        if encode(secret).casefold() in folded:
            return name
    for shift in range(3):
        inner = base64.b64encode(bytes(shift) + secret.encode()).decode()[4:-4]
        if len(inner) > 8 and inner in text:
            return "base64, shifted"
    return None


@pytest.mark.parametrize("what", SECRETS)
def test_no_secret_survives_in_any_encoding(what: str) -> None:
    planted, secret = SECRETS[what]
    for name, encode in ENCODINGS.items():
        for around in AROUND:
            text = around.format(encode(planted))
            left = Redactor(WHOSE, [text]).text(text)
            assert survives(secret, left) is None, (name, text, left)


# All that a bundle has is of these types.
BUNDLED = (Facts, SmokeReport, ExplainReport)
PLACES = [(kind, place) for kind in BUNDLED for place in planting.places(kind)]


def left_of(kind: type[msgspec.Struct], text: planting.Text) -> str:
    """A document of a type with these texts, as JSON, after it was redacted."""
    full = msgspec.convert(planting.document(kind, text), type=kind)
    about = [msgspec.to_builtins(full)]
    return msgspec.json.encode(Redactor(WHOSE, about).struct(full)).decode()


@hypothesis.settings(max_examples=300, derandomize=True, deadline=None, database=None)
@hypothesis.given(
    where=strategies.sampled_from(PLACES),
    what=strategies.sampled_from(sorted(SECRETS)),
    encoding=strategies.sampled_from(sorted(ENCODINGS)),
    around=strategies.sampled_from(AROUND),
)
def test_no_secret_survives_in_any_field(
    where: tuple[type[msgspec.Struct], str], what: str, encoding: str, around: str
) -> None:
    planted, secret = SECRETS[what]
    kind, place = where
    text = around.format(ENCODINGS[encoding](planted))
    left = left_of(kind, lambda here: text if here == place else "1.0")
    assert survives(secret, left) is None


@pytest.mark.parametrize("what", SECRETS)
def test_no_secret_survives_in_all_fields_at_once(what: str) -> None:
    planted, secret = SECRETS[what]
    for kind in BUNDLED:
        for encoding in ("plain", "percent", "base64", "JSON, every letter"):
            places = dict.fromkeys(planting.places(kind), ENCODINGS[encoding](planted))
            assert survives(secret, left_of(kind, places.__getitem__)) is None, encoding


def test_every_text_of_a_bundle_is_a_place() -> None:
    found = {place for _, place in PLACES}
    assert {
        "Facts.environment.distributions[].version",
        "Facts.environment.parameters.groups[].pattern",
        "Facts.model.values.{value}.{key}",
        "Facts.model.config.{value}.{key}",
        "Facts.hub.remote.files[].path",
        "Facts.variables.{key}",
        "SmokeReport.answers[].answer",
        "ExplainReport.errors[].message",
    } <= found


def test_a_version_that_looks_like_an_address_is_one_by_what_else_is_there() -> None:
    def left(metadata: str, *requires: str) -> str:
        distribution = {
            "name": "opencv-python",
            "version": "10.20.30.40",
            "requires": requires,
            "metadata": metadata,
        }
        return str(Redactor(WHOSE, distribution).value(distribution))

    assert "10.20.30.40" in left("lib/opencv_python-10.20.30.40.dist-info")
    assert "10.20.30.40" in left("lib/x-1.0.dist-info", "y[z]>=10.20.30.40,<11; a > '1'")
    assert "10.20.30.40" not in left("lib/opencv_python-1.0.dist-info", "y @ 10.20.30.40")
    assert "10.20.30.40" not in left("10.20.30.40", "10.20.30.40", "y 10.20.30.40")


def test_the_same_secret_has_the_same_placeholder_and_bundles_are_not_linked() -> None:
    texts = [f"{HOME}/a", f"/data/{USER}/b", f"{USER.upper()} was here", TOKEN, "/home/ottokar"]
    first = Redactor(WHOSE, texts)
    assert [first.text(text) for text in texts] == [
        "~/a",
        "/data/redacted-name-1/b",
        "redacted-name-1 was here",
        "redacted-secret-1",
        "/home/redacted-name-2",
    ]
    assert first.counts == {"name": 2, "secret": 1}
    other = Redactor(WHOSE, texts)
    assert other.text(texts[4]) == "/home/redacted-name-1"


@pytest.mark.parametrize(
    "unit", ["a", "-", "/", "\\", "sk-", "x://x:", "token='", "%41", "\0a", "a "]
)
def test_words_without_end_are_not_looked_into(unit: str) -> None:
    """A text that is made to take hours takes none, and what is in such a word is gone too."""
    endless = unit * 50_000
    left = Redactor(WHOSE, [endless]).text(f"{endless}{TOKEN}://{USER} by {USER}")
    assert survives(USER, left) is None
    assert survives(TOKEN, left) is None
    assert len(left) < 120_000


def test_what_is_no_text_becomes_text() -> None:
    known = Identity(secrets=("geheim\udcff1234",))
    left = Redactor(known, ["/x/\udcff"]).text("/x/\udcff, geheim\udcff1234")
    assert left.encode()
    assert "geheim" not in left


def test_a_private_host_is_known_where_its_url_has_no_credentials() -> None:
    texts = [f"https://bot:{PASSWORD}@pypi.corp.example:8443/x", "asking pypi.corp.example"]
    assert Redactor(WHOSE, texts).text(texts[1]) == "asking redacted-secret-1"
    texts = [f"git+https://{TOKEN}@github.com/a/b", "https://github.com/a/c"]
    assert Redactor(WHOSE, texts).text(texts[1]) == texts[1]


def test_redacting_twice_changes_nothing() -> None:
    for planted, _ in SECRETS.values():
        once = Redactor(WHOSE, [planted]).text(planted)
        assert Redactor(WHOSE, [once]).text(once) == once


@pytest.mark.parametrize(
    "text",
    [
        "opencv-python 4.8.1.78",
        "nvidia-curand-cu12>=10.3.9.90",
        "lib/python3.11/site-packages/opencv_python-4.8.1.78.dist-info",
        "operator torchvision::nms does not exist",
        "a[::2], x[1:2:3]",
        "http://127.0.0.1:8080",
        "cp311-abi3-manylinux_2_17_x86_64",
        "snapshots/2e33f1ab5c2e33f1ab5c2e33f1ab5c2e33f1ab5c/config.json",
        "generate(model, processor, token=None, password=password)",
        "annotated-doc, tokenizers, extra_special_tokens",
        "git+ssh://git@github.com/a/b",
        "HF_ENDPOINT, HF_HUB_ENABLE_HF_TRANSFER, hf_transfer, hf-xet",
        "ghp_import, sk-transformers, pypi-attestation-models, scikit-learn",
        "2026-11-25T12:30:45+00:00",
        "libcublas.so.12.1.3.1: cannot open shared object file",
        "pad_token=151643, image_token: <|image_pad|>, key=itemgetter, session: closed",
        "lib/python3.11/site-packages/msgraph/generated/users/item.py",
        "https://docs.example/users/installation",
        "lib/python3.11/site-packages/~orch/__init__.py",
        "import name 'hf_raise_for_status' from 'huggingface_hub.utils'",
        "a b c d e f g h i",
        "Qwen3VLMoeForConditionalGeneration",
        "_ZN3mlx4core5arrayC1ERKS1_",
        "git@github.com:a/b.git",
        "AttributeError: [address=127.0.0.1:39577, pid=15865] Qwen2TokenizerFast",
        "pkg @ git+https://github.com/a/b@v1.0",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    about = {
        "name": "opencv-python",
        "version": "4.8.1.78",
        "requires": ["nvidia-curand-cu12>=10.3.9.90"],
        "metadata": "lib/python3.11/site-packages/opencv_python-4.8.1.78.dist-info",
    }
    assert Redactor(Identity(names=("ann",)), [about, text]).text(text) == text


@pytest.mark.parametrize(
    ("variable", "secret"),
    [
        ("HF_TOKEN", True),
        ("AWS_SECRET_ACCESS_KEY", True),
        ("MYSQL_PWD", True),
        ("UV_INDEX_CORP_PASSWORD", True),
        ("TOKENIZERS_PARALLELISM", False),
        ("SSH_AUTH_SOCK", False),
        ("HF_TOKEN_PATH", False),
        ("PWD", False),
        ("PYTHONPATH", False),
    ],
)
def test_which_variables_are_secret(variable: str, secret: bool) -> None:
    assert redaction.is_secret(variable) is secret


def test_a_secret_of_the_surroundings_is_known() -> None:
    found = redaction.identity(
        {
            "HOME": "/Users/somebody",
            "SOME_KEY": "/starts/like+a+path=",
            "SSH_AUTH_SOCK": "/tmp/ssh-x/agent.1",
            "PIP_INDEX_URL": "https://me:pass%2Fword@host.example/simple",
            "HF_TOKEN": "true",
        }
    )
    assert set(found.secrets) == {
        "/starts/like+a+path=",
        "me",
        "pass%2Fword",
        "pass/word",
        "host.example",
    }
    assert "/Users/somebody" in found.homes
    assert "somebody" in found.names


def said(facts: Facts) -> registry.Examination:
    return registry.examine(facts, registry.names())


def in_any_order(examination: registry.Examination) -> list[bytes]:
    parts = (*examination.findings, *examination.not_checked)
    return sorted(msgspec.json.encode(part) for part in parts)


# Each with one of the users, and some with all of them.
@pytest.mark.parametrize("path", MATRIX, ids=lambda path: path.name.removesuffix(".json.gz"))
def test_checks_say_the_same_of_redacted_facts(path: Path) -> None:
    facts = facts_module.decode(gzip.decompress(path.read_bytes()))
    turn = MATRIX.index(path)
    users = ("wilhelmina", "torch", "mlx", "pil", "matrix", "transformers", "panda", "numpy")
    for user in users if turn % 40 == 0 else (users[turn % len(users)],):
        there = msgspec.to_builtins(facts)
        there["environment"]["interpreter"]["prefix"] = f"/data/{user}/envs/vlm"
        there["environment"]["interpreter"]["executable"] = f"/data/{user}/envs/vlm/bin/python"
        there["model"]["cache"] = f"/Users/{user}/.cache/huggingface/hub"
        there["variables"]["PYTHONPATH"] = f"/Users/{user}/lib:https://{user}:{PASSWORD}@host/x"
        moved = msgspec.convert(there, type=Facts)
        before = said(moved)
        redactor = redaction.redactor(moved, Identity(names=(user,)), before)
        after = said(redactor.struct(moved))
        assert in_any_order(after) == in_any_order(redactor.struct(before))
        assert after.verdict == before.verdict
        assert [(item.code, item.severity) for item in after.findings] == [
            (item.code, item.severity) for item in before.findings
        ]
        left = facts_module.encode(redactor.struct(moved)).decode()
        assert f"/data/{user}" not in left
        assert f"/Users/{user}" not in left
        assert PASSWORD not in left
