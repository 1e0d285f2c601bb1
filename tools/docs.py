"""Make again every trace and picture in the repository: `python -m tools.docs` (or `make docs`).

* `tests/scenarios/NUMBER-NAME.txt`: the expected trace under each command;
* `docs/learn/img/NAME.svg`: the picture of each scenario;
* `docs/learn/img/placement-*.svg`: see `tools.docs_placement`, which also fills in measured figures;
* `docs/learn/*.md`: between `<!-- scenario: NAME -->` and `<!-- end -->` stand the picture of that scenario and a link to its
  file, where the whole trace is; between `<!-- part: NAME FIRST LAST -->` and `<!-- end -->` the commands FIRST to LAST
  (counted from 1) with their traces, or with `acts` behind LAST what the members do, without what they say;
  between `<!-- quorum-table -->` and `<!-- end -->` a table, see `tools.docs_quorums`;
* `docs/reference.md`: settings, errors and metrics, see `tools.docs_reference`;
* `docs/crdt.md` and `docs/learn/4-crdts.md`: the pictures of concurrent histories, see `tools.crdt_pictures`.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from ringleader.sim.scenario import Performance, perform
from tools import crdt_pictures, docs_placement, docs_quorums, docs_reference

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from scenarios.wrong import WRONG

__all__ = ["ROOT", "main", "performances", "scenario_files", "wanted"]

ROOT = Path(__file__).resolve().parent.parent
_BLOCK = re.compile(r"(<!-- (scenario|part): ([\w-]+)(?: (\d+) (\d+)( acts)?)? -->\n).*?(<!-- end -->)", re.DOTALL)


def scenario_files() -> dict[str, Path]:
    """The files of all scenarios, by name (the file name without its number and suffix)."""
    return {path.stem.split("-", 1)[1]: path for path in sorted((ROOT / "tests" / "scenarios").glob("*.txt"))}


def performances() -> dict[str, Performance]:
    """All scenarios, run, by name."""
    return {name: perform(path.read_text(encoding="utf-8"), WRONG) for name, path in scenario_files().items()}


def wanted() -> dict[Path, str]:
    """Every generated file and what it must hold. Raises `ValueError` when a page names a scenario that is not there."""
    found = performances()
    files = {docs_placement.IMAGES / name: picture for name, picture in docs_placement.pictures().items()}
    for name, path in scenario_files().items():
        files[path] = found[name].text
        files[ROOT / "docs" / "learn" / "img" / f"{name}.svg"] = found[name].picture
    for page in sorted((ROOT / "docs" / "learn").glob("*.md")):
        files[page] = crdt_pictures.redrawn(docs_quorums.filled(_filled(page, found)))
    files[docs_reference.PAGE] = docs_reference.filled()
    types = ROOT / "docs" / "crdt.md"
    files[types] = crdt_pictures.redrawn(types.read_text(encoding="utf-8"))
    return files


def _filled(page: Path, found: dict[str, Performance]) -> str:
    files = scenario_files()

    def block(match: re.Match[str]) -> str:
        head, what, name, first, last, acts, tail = match.groups()
        if name not in found:
            raise ValueError(f"{page} shows the scenario {name!r}, but there is none in tests/scenarios")
        if what == "part":
            shown = _part(found[name].trace, int(first), int(last))
            return f"{head}```text\n{_acts(shown) if acts else shown}```\n{tail}"
        picture = f"![{found[name].title}](img/{name}.svg)"
        return f"{head}{picture}\n\n[The whole trace: {files[name].name}](../../tests/scenarios/{files[name].name})\n{tail}"

    return _BLOCK.sub(block, page.read_text(encoding="utf-8"))


def _part(trace: str, first: int, last: int) -> str:
    """The commands `first` to `last` of a trace and what they brought."""
    commands = re.split(r"(?m)^(?=> )", trace)[1:]
    if not 1 <= first <= last <= len(commands):
        raise ValueError(f"there are {len(commands)} commands, not {first} to {last}")
    return "".join(commands[first - 1 : last])


def _acts(trace: str) -> str:
    """A trace without the messages."""
    return re.sub(r"(?m)^  n\d+ -> .*\n", "", trace)


def main() -> int:
    """Write what is out of date; with `--check` only say so, and return 1."""
    check = "--check" in sys.argv[1:]
    stale = 0
    for path, text in wanted().items():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale += 1
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        print(f"{'out of date' if check else 'wrote'}: {path.relative_to(ROOT)}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
