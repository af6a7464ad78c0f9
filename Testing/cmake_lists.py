"""The lists of files that Slicer packages, in SAMUNetSlicer/CMakeLists.txt, made from the folder itself.

python Testing/cmake_lists.py          says what differs, and fails if anything does
python Testing/cmake_lists.py --write  writes the lists
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

MODULE_FOLDER = Path(__file__).parents[1] / "SAMUNetSlicer"
MODULE_SCRIPT = "SAMUNetSlicer.py"


def scripts_in(module_folder: Path) -> list[str]:
    """Python files to package, relative and sorted; the module's own script first, listed even if it is missing."""
    library = module_folder / "SAMUNetSlicerLib"
    return [MODULE_SCRIPT, *sorted(p.relative_to(module_folder).as_posix() for p in library.rglob("*.py"))]


def resources_in(module_folder: Path) -> list[str]:
    """Everything under Resources except hidden files and bytecode, and the library's files that are not Python."""
    folders = (module_folder / "Resources", module_folder / "SAMUNetSlicerLib")
    files = (p.relative_to(module_folder) for folder in folders for p in folder.rglob("*") if p.is_file())
    hidden = (".", "__pycache__")
    return sorted(
        p.as_posix()
        for p in files
        if not any(part.startswith(hidden) for part in p.parts) and (p.parts[0] == "Resources" or p.suffix != ".py")
    )


def listed(cmake_text: str, kind: str) -> list[str]:
    """The files that the CMake text lists between the marks of this kind ("scripts" or "resources")."""
    block = re.search(rf"# begin of the {kind}\n(.*?)  # end of the {kind}\n", cmake_text, re.DOTALL)
    if block is None:
        raise ValueError(f"SAMUNetSlicer/CMakeLists.txt has lost the marks '# begin of the {kind}' and '# end of ..'.")
    return block[1].split()


def with_lists(cmake_text: str, module_folder: Path) -> str:
    """The CMake text with both lists as the folder has them."""
    for kind, names in (("scripts", scripts_in(module_folder)), ("resources", resources_in(module_folder))):
        listed(cmake_text, kind)
        lines = "".join(f"  {name}\n" for name in names)
        cmake_text = re.sub(
            rf"(# begin of the {kind}\n).*?(  # end of the {kind}\n)",
            rf"\g<1>{lines}\g<2>",
            cmake_text,
            flags=re.DOTALL,
        )
    return cmake_text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the lists")
    arguments = parser.parse_args()
    cmake_file = MODULE_FOLDER / "CMakeLists.txt"
    text = cmake_file.read_text(encoding="utf-8")
    wanted = with_lists(text, MODULE_FOLDER)
    if arguments.write:
        if wanted != text:
            cmake_file.write_text(wanted, encoding="utf-8", newline="\n")
        return 0
    before, after = set(text.split()), set(wanted.split())
    for name in sorted(after - before):
        print(f"not listed: {name}")
    for name in sorted(before - after):
        print(f"listed, but not in the folder: {name}")
    return 0 if wanted == text else 1


if __name__ == "__main__":
    sys.exit(main())
