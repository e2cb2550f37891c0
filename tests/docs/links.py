"""Checks that what the Markdown files point at is there: relative links, headings in them, and source files named in backticks.

Links to other hosts are not followed. Usage: python3 tests/docs/links.py
"""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"\[[^\]]*\]\(([^()\s]+)\)")
CODE = re.compile(r"`([^`\s]+/[^`\s]*)`")
# A fenced block shows commands and data, no links.
FENCE = re.compile(r"^\s*(```|~~~)")


def tracked(*patterns):
    """Files of the repository, relative to its root."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )
    return listed.stdout.split("\n")[:-1]


def prose(path):
    """Numbered lines outside of fenced blocks."""
    fenced = False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if FENCE.match(line):
            fenced = not fenced
        elif not fenced:
            yield number, line


@cache
def anchors(path):
    """What can follow `#` in a link to a file: its headings, as GitHub makes anchors of them."""
    found = set()
    for _, line in prose(path):
        heading = re.match(r"#+\s+(.*?)\s*#*$", line)
        if not heading:
            continue
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1])
        text = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        again = 0
        anchor = text
        while anchor in found:
            again += 1
            anchor = f"{text}-{again}"
        found.add(anchor)
    return found


def wrong_link(path, target):
    """What is wrong with a link in a file, if anything is."""
    if re.match(r"[a-z]+:", target):
        return None
    place, _, anchor = target.partition("#")
    to = (path.parent / place).resolve() if place else path
    if not to.exists():
        return f"no `{place}` beside it"
    if anchor and to.suffix == ".md" and anchor not in anchors(to):
        return f"no heading of `{to.relative_to(ROOT)}` has the anchor `#{anchor}`"
    return None


def wrong_source(named, first):
    """What is wrong with a source file named by its path from the root or from `crates/`, if it is one."""
    if named.partition("/")[0] not in first or re.search(r"[*<>{}$:,]", named):
        return None
    if (ROOT / named).exists() or (ROOT / "crates" / named).exists():
        return None
    return f"`{named}` is neither in the repository nor below `crates/`"


def main():
    crates = {path.name for path in (ROOT / "crates").iterdir()} | {"crates", "tests", "web", "docs", "python", "examples", "fuzz"}
    wrong = []
    for name in tracked("*.md"):
        path = ROOT / name
        for number, line in prose(path):
            found = [wrong_link(path, target) for target in LINK.findall(re.sub(r"`[^`]*`", "", line))]
            # What was changed once is history: files may have moved since.
            if name != "CHANGELOG.md":
                found += [wrong_source(named, crates) for named in CODE.findall(line)]
            wrong += [f"{name}:{number}: {what}" for what in found if what]
    print("\n".join(wrong), file=sys.stderr, end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
