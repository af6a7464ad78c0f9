"""What is installed is what is in the tree: in Slicer by CMake's lists, elsewhere as a wheel."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import cmake_lists
import repository
from repository import LIBRARY, MODULE_FOLDER, ROOT
from requirements_guard import need
from SAMUNetSlicerLib import project

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SLICERS_OWN = {"numpy", "scipy", "simpleitk", "requests", "pillow", "pydicom", "packaging"}
# Only where there is no Slicer: the command line, its pictures and progress, training, evaluation.
NOT_IN_SLICER = {"cli", "demo", "learning", "evaluation"}
# Slicer's own modules and those of its extensions, which no package index has.
OF_SLICER = {"slicer", "vtk", "vtkmodules", "qt", "ctk", "SampleData", "PyTorchUtils"}
NOT_IMPORTED = {
    "slicerio": "asked for through `need`, which says why a test is skipped",
    "segment-anything": "its folder is found and loaded under a private name",
    "slicer-core": "provides `slicer`",
    "ruff": "a command",
    "hatchling": "builds the wheel",
}
INDEX_LIMIT_BYTES = 100e6
PROVIDERS = packages_distributions()


def requirements(lines) -> dict[str, Requirement]:
    parsed = [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]
    return {canonicalize_name(r.name): r for r in parsed}


CORE = requirements(PYPROJECT["dependencies"])
EXTRAS = {extra: requirements(lines) for extra, lines in PYPROJECT["optional-dependencies"].items()}
DECLARED = {name for part in (CORE, *EXTRAS.values()) for name in part}
IN_SLICER = requirements((MODULE_FOLDER / "Resources" / "requirements.txt").read_text(encoding="utf-8").splitlines())


def distributions_imported(module: str, path: Path, when) -> set[str]:
    """The distributions whose modules a file imports, by canonical name."""
    names = repository.third_party(set(when(path))) - OF_SLICER
    unknown = names - set(PROVIDERS)
    assert not unknown, f"{module} imports {unknown}, which nothing installed provides"
    return {canonicalize_name(PROVIDERS[name][0]) for name in names}


# -- Slicer


def test_slicer_packages_exactly_what_the_folder_holds():
    text = (MODULE_FOLDER / "CMakeLists.txt").read_text(encoding="utf-8")
    wanted = {"scripts": cmake_lists.scripts_in(MODULE_FOLDER), "resources": cmake_lists.resources_in(MODULE_FOLDER)}
    for kind, names in wanted.items():
        listed = cmake_lists.listed(text, kind)
        assert sorted(set(names) ^ set(listed)) == [], "run: python Testing/cmake_lists.py --write"
        assert listed == names, "sorted and without repetition"


def test_every_file_that_slicer_packages_exists():
    """CMake stops the build at a listed file that does not."""
    text = (MODULE_FOLDER / "CMakeLists.txt").read_text(encoding="utf-8")
    names = cmake_lists.listed(text, "scripts") + cmake_lists.listed(text, "resources")
    assert not [name for name in names if not (MODULE_FOLDER / name).is_file()]


def test_a_new_file_comes_into_the_lists_and_a_deleted_one_leaves(tmp_path):
    library = tmp_path / "SAMUNetSlicerLib" / "room"
    library.mkdir(parents=True)
    (tmp_path / "Resources" / "UI").mkdir(parents=True)
    (tmp_path / "Resources" / "UI" / "panel.ui").touch()
    (tmp_path / "Resources" / ".hidden").touch()
    (library / "__pycache__").mkdir()
    (library / "__pycache__" / "new.pyc").touch()
    (library / "new.py").touch()
    (library / "terms.json").touch()
    marks = "# begin of the {0}\n  gone.{0}\n  # end of the {0}\n"
    empty = marks.format("scripts") + marks.format("resources")
    text = cmake_lists.with_lists(empty, tmp_path)
    assert cmake_lists.listed(text, "scripts") == ["SAMUNetSlicer.py", "SAMUNetSlicerLib/room/new.py"]
    assert cmake_lists.listed(text, "resources") == ["Resources/UI/panel.ui", "SAMUNetSlicerLib/room/terms.json"]
    assert cmake_lists.with_lists(text, tmp_path) == text


def test_the_repository_is_small_enough_for_the_extensions_index():
    assert sum(p.stat().st_size for p in repository.tracked_files()) < 0.9 * INDEX_LIMIT_BYTES


def test_slicer_is_told_of_every_package_that_it_does_not_bring():
    wanted = set()
    for module, path in repository.library_modules().items():
        if module.partition(".")[0] not in NOT_IN_SLICER:
            wanted |= distributions_imported(module, path, repository.imports_on_import)
    assert wanted - SLICERS_OWN - {"torch"} <= set(IN_SLICER)


def test_slicers_packages_are_among_the_librarys_and_leave_torch_alone():
    assert not {"torch", "torchvision"} & set(IN_SLICER)
    declared = CORE | EXTRAS["headless"]
    assert {n: r.specifier for n, r in IN_SLICER.items()} == {n: declared[n].specifier for n in IN_SLICER}


# -- pip


def test_every_package_that_the_library_imports_is_declared():
    in_slicer = SLICERS_OWN | set(EXTRAS["headless"])
    optional = {
        "scene": in_slicer,
        "widgets": in_slicer,
        "learning": set(EXTRAS["train"]),
        "evaluation": set(EXTRAS["evaluate"]),
    }
    for module, path in repository.library_modules().items():
        at_import = distributions_imported(module, path, repository.imports_on_import)
        expected = set(CORE) | optional.get(module.partition(".")[0], set())
        assert at_import <= expected, f"{module}: declare it in pyproject.toml"
        anywhere = distributions_imported(module, path, repository.imports)
        assert anywhere <= DECLARED | expected, f"{module}: declare it as an extra"


def test_every_package_that_the_tests_import_is_declared():
    files = [p for p in repository.tracked_files() if p.suffix == ".py" and p.is_relative_to(ROOT / "Testing")]
    helpers = {part for p in files for part in (p.stem, p.parent.name)} | {"shiboken6"}  # PySide6 brings it
    names = {n for p in files for n in repository.third_party(repository.imports(p))} - helpers - OF_SLICER
    undeclared = {n for n in names if canonicalize_name(PROVIDERS.get(n, [n])[0]) not in DECLARED}
    assert sorted(undeclared) == []


def test_nothing_is_declared_that_nobody_imports():
    files = [p for p in repository.tracked_files() if p.suffix == ".py"]
    used = {
        canonicalize_name(distribution)
        for path in files
        for name in repository.third_party(repository.imports(path))
        for distribution in PROVIDERS.get(name, ())
    }
    assert sorted(DECLARED - used - set(NOT_IMPORTED)) == []


def test_the_command_and_the_demo_start_without_any_extra():
    for module, path in repository.library_modules().items():
        if module.partition(".")[0] in ("cli", "demo"):
            loaded = distributions_imported(module, path, repository.third_party_on_import)
            assert loaded <= set(CORE), f"{module}: import it where it is used, with a word on the extra"


def test_nothing_asks_for_torchvision():
    assert "torchvision" not in DECLARED
    assert "torchvision" not in (ROOT / "constraints.txt").read_text(encoding="utf-8")
    importers = [
        m
        for m, p in repository.library_modules().items()
        if "torchvision" in repository.third_party(repository.imports(p))
    ]
    assert not importers


def test_the_pinned_versions_are_versions_that_are_asked_for():
    pins = requirements((ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines())
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    pins |= requirements(re.findall(r"^TORCH \?= (\S+)$", makefile, re.MULTILINE))
    assert "torch" in pins
    for name, wanted in [item for part in (CORE, *EXTRAS.values()) for item in part.items()]:
        assert name in pins, f"{name} is not pinned in constraints.txt"
        (pin,) = pins[name].specifier
        assert pin.operator == "=="
        assert wanted.specifier.contains(Version(pin.version)), f"{pins[name]} is not {wanted}"


def test_the_command_has_its_function():
    module, _, function = PYPROJECT["scripts"]["samunet"].partition(":")
    path = repository.library_modules()[module.removeprefix("SAMUNetSlicerLib.")]
    whole = repository.syntax_tree(path).body
    body = [*whole, *(inner for node in whole if isinstance(node, ast.Try) for inner in node.body)]
    defined = {node.name for node in body if isinstance(node, ast.FunctionDef)}
    imported = {a.asname or a.name for node in body if isinstance(node, ast.ImportFrom) for a in node.names}
    assert function in defined | imported


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel of this tree, built without the network."""
    need("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_the_library_and_the_resources(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {n for n in archive.namelist() if ".dist-info/" not in n}
    library = cmake_lists.scripts_in(MODULE_FOLDER)[1:]
    files = cmake_lists.resources_in(MODULE_FOLDER)
    resources = [f"{LIBRARY.name}/{f}" if f.startswith("Resources/") else f for f in files]
    assert names == {*library, *resources}, "with nothing beside the one package"
    assert any(re.search(r"/Resources/Weights/.+\.safetensors$", n) for n in names)
    assert wheel.name.startswith(f"samunetslicer-{project.VERSION}-py3-none-any")


def test_an_installed_wheel_finds_its_own_models(wheel, tmp_path):
    target = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:  # what installing a wheel of pure Python does
        archive.extractall(target)
    script = (
        "import json, sys\n"
        f"sys.path.insert(0, {str(target)!r})\n"
        "import SAMUNetSlicerLib\n"
        "from SAMUNetSlicerLib.checkpoints.catalogue import DEFAULT_MODEL, read_catalogue\n"
        "from SAMUNetSlicerLib.checkpoints.loading import load_network\n"
        "from SAMUNetSlicerLib.checkpoints.places import weights_folder\n"
        "shipped = [m.file.name for m in read_catalogue().models if m.file.shipped]\n"
        "family = load_network(DEFAULT_MODEL).family\n"
        "print(json.dumps([SAMUNetSlicerLib.__version__, str(weights_folder()), shipped, family]))\n"
    )
    # -P and the folder keep this checkout out of sight, so that only the wheel can be found.
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    version, folder, shipped, family = json.loads(done.stdout)
    assert family == "sam_unet_tiny"
    assert version == project.VERSION
    assert Path(folder) == (target / "SAMUNetSlicerLib" / "Resources" / "Weights").resolve()
    assert shipped
    assert not [name for name in shipped if not (Path(folder) / name).is_file()]
