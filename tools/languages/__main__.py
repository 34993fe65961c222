"""``make languages`` brings the catalogues up to date; ``make release-check`` finds what lacks."""

from __future__ import annotations

import argparse
import sys

from doctor import pages, registry
from tools.languages import catalogues


def main() -> int:
    """Run one of both; the exit status is 1 where a release must not be made."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; say what is missing")
    if parser.parse_args().check:
        problems = [line for name in catalogues.TRANSLATED for line in catalogues.problems(name)]
        codes = {path.stem for path in pages.FOLDER.glob("*.md")} - set(registry.codes())
        problems += [f"a page of a code that is no more: {code}" for code in sorted(codes)]
        print(*problems, f"{len(problems)} problems", sep="\n")
        return 1 if problems else 0
    for name in catalogues.TRANSLATED:
        catalogues.update(name)
        for file, content in catalogues.compiled(name).items():
            (catalogues.folder(name) / file).write_bytes(content)
        missing = sum("not translated" in line for line in catalogues.problems(name))
        print(f"{name}: {missing} texts are not translated yet")
    return 0


if __name__ == "__main__":
    sys.exit(main())
