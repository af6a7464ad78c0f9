"""Imports point one way, the core knows neither Slicer nor a window, and files stay short and safe."""

from __future__ import annotations

import ast
import graphlib
import re

import pytest

import repository
from repository import LIBRARY, MODULE_FOLDER, PACKAGE, ROOT

# In the order in which data passes them; a room imports itself and earlier ones only.
ROOMS = ["networks", "checkpoints", "inference", "volumes", "learning", "evaluation", "scene", "widgets"]
ROOMS_OF_SCENE = ["scene.record", "scene.nodes", "scene.history", "scene.actions"]  # likewise; all else comes last
# Of no room: they use each other alone.
COMMON = {"project", "errors", "atomic_file", "extras", "option_types", "own_process", "stepwise"}
ENTRIES = {"cli", "demo"}  # above all rooms

SLICER_PACKAGES = {"slicer", "vtk", "qt", "ctk", "vtkmodules", "SegmentStatisticsPlugins"}
WINDOW_PACKAGES = {"qt", "ctk", "PySide6", "PythonQt"}
# Bring no torch to whoever only reads volumes, prompts and segments: Slicer shows the panel before torch is installed.
FREE_OF_TORCH = [
    "project",
    "errors",
    "atomic_file",
    "extras",
    "inference.prompts",
    "volumes.geometry",
    "volumes.files.markups",
    "volumes.planes",
    "volumes.prompts",
    "volumes.segmentations.segmentation_file",
    "volumes.segmentations.segments",
    "volumes.segmentations.terminology",
    "volumes.volume",
    "volumes.windows",
]
SLICERS_OWN_PACKAGES = SLICER_PACKAGES | {"numpy", "scipy", "SimpleITK", "requests", "PIL", "pydicom", "packaging"}

# Reading any of these can run what a file says.
UNSAFE_CALLS = {
    *("pickle.load", "pickle.loads", "pickle.Unpickler", "dill.load", "dill.loads", "cloudpickle.load"),
    *("joblib.load", "marshal.load", "marshal.loads", "shelve.open", "yaml.load", "yaml.unsafe_load", "eval", "exec"),
    *("torch.jit.load", "torch.package.PackageImporter", "os.system"),
}
UNSAFE_KEYWORDS = {("weights_only", "False"), ("allow_pickle", "True"), ("shell", "True")}

LINES = 400

MODULES = repository.library_modules()
PYTHON_FILES = [p for p in repository.tracked_files() if p.suffix == ".py"]
MODULE_FILES = [p for p in PYTHON_FILES if p.is_relative_to(MODULE_FOLDER)]


def room_of(module: str) -> str:
    return module.partition(".")[0]


def rank(module: str) -> int:
    """Place in the order; a module may import what has an equal or smaller one."""
    room = room_of(module)
    if room in COMMON or not room:
        return -1
    return len(ROOMS) if room in ENTRIES else ROOMS.index(room)


def own_imports(path) -> set[str]:
    return {n.removeprefix(PACKAGE).lstrip(".") for n in repository.imports(path) if n.partition(".")[0] == PACKAGE}


def short(path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_every_module_has_its_place_in_the_order():
    unknown = {room_of(m) for m in MODULES} - {""} - set(ROOMS) - COMMON - ENTRIES
    assert not unknown, "give each a place in ROOMS, COMMON or ENTRIES"


def test_imports_point_backwards_only():
    forward = {
        module: later
        for module, path in MODULES.items()
        if (later := {m for m in own_imports(path) if rank(m) > rank(module)})
    }
    assert not forward, "these modules import from rooms that come after their own"


def test_imports_inside_the_scene_point_backwards_only():
    """Saving and the logic, which stand beside the rooms, use them."""

    def rank(module: str) -> int:
        room = ".".join(module.split(".")[:2])
        return ROOMS_OF_SCENE.index(room) if room in ROOMS_OF_SCENE else len(ROOMS_OF_SCENE)

    assert {".".join(m.split(".")[:2]) for m in MODULES if m.count(".") == 2 and room_of(m) == "scene"} <= {
        *ROOMS_OF_SCENE
    }
    scene = {module: path for module, path in MODULES.items() if room_of(module) == "scene"}
    forward = {
        module: later
        for module, path in scene.items()
        if (later := {m for m in own_imports(path) if m in scene and rank(m) > rank(module)})
    }
    assert not forward, "these modules import from rooms that come after their own"


def test_no_files_import_each_other_in_a_circle():
    """For types alone counts as well: who reads one of them must read the other."""
    uses = {module: {m for m in own_imports(path) if m in MODULES and m != module} for module, path in MODULES.items()}
    with pytest.raises(graphlib.CycleError):  # what it says of a circle that is there
        graphlib.TopologicalSorter({**uses, "project": {"errors"}, "errors": {"project"}}).prepare()
    graphlib.TopologicalSorter(uses).prepare()


def test_the_core_does_not_know_slicer():
    found = {}
    for module, path in MODULES.items():
        if room_of(module) == "widgets":
            continue
        forbidden = WINDOW_PACKAGES if room_of(module) in {"scene", *ENTRIES} else WINDOW_PACKAGES | SLICER_PACKAGES
        if known := repository.third_party(repository.imports(path)) & forbidden:
            found[module] = known
    assert not found


@pytest.mark.parametrize("module", FREE_OF_TORCH)
def test_torch_is_not_needed_to_read_volumes_and_prompts(module):
    loaded = repository.third_party_on_import(MODULES[module])
    assert "torch" not in loaded, f"by way of {' -> '.join(loaded.get('torch', ()))}"


def test_the_module_opens_before_anything_is_installed():
    """Slicer imports the module at start-up, when only its own packages are sure to be there."""
    script = MODULE_FOLDER / "SAMUNetSlicer.py"
    assert script.is_file(), "SAMUNetSlicer/SAMUNetSlicer.py, the module itself, is missing"
    loaded = repository.third_party_on_import(script)
    foreign = {name: " -> ".join(chain) for name, chain in loaded.items() if name not in SLICERS_OWN_PACKAGES}
    assert not foreign


def test_nothing_happens_at_import():
    """A statement that stands alone at file scope is an effect; definitions and names for values are not."""
    effects = [
        f"{short(path)}:{node.lineno}: {ast.unparse(node)}"
        for path in MODULE_FILES
        if path.name != "__main__.py"  # run, never imported
        for node in repository.syntax_tree(path).body
        if isinstance(node, ast.For | ast.While | ast.With)
        or (isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant))
    ]
    assert not effects


def test_files_are_short():
    lengths = {short(path): path.read_text(encoding="utf-8").count("\n") for path in PYTHON_FILES}
    assert not {name: lines for name, lines in lengths.items() if lines > LINES}, "split them"


def test_no_file_is_executed_by_reading_it():
    found = []
    for path in MODULE_FILES:
        for node in ast.walk(repository.syntax_tree(path)):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            keywords = {(k.arg, ast.unparse(k.value)) for k in node.keywords}
            careless_load = name == "torch.load" and ("weights_only", "True") not in keywords
            if name in UNSAFE_CALLS or keywords & UNSAFE_KEYWORDS or careless_load:
                found.append(f"{short(path)}:{node.lineno}: {ast.unparse(node)}")
    assert not found


def test_only_the_restricted_unpickler_names_pickle():
    users = [short(path) for path in MODULE_FILES if {"pickle", "_pickle"} & repository.imports(path)]
    assert set(users) <= {"SAMUNetSlicer/SAMUNetSlicerLib/checkpoints/restricted_unpickler.py"}


def test_no_unfinished_work_is_left():
    marks = re.compile(rf"\b({'|'.join(('TO' + 'DO', 'FIX' + 'ME', 'XX' + 'X'))})\b")
    found = [short(path) for path in MODULE_FILES if marks.search(path.read_text(encoding="utf-8"))]
    for path in MODULE_FILES:
        for node in ast.walk(repository.syntax_tree(path)):
            if isinstance(node, ast.Raise) and node.exc and "NotImplementedError" in ast.unparse(node.exc):
                found.append(f"{short(path)}:{node.lineno}")
    assert not found


def test_no_file_names_a_place_of_one_machine():
    # Put together here, so that this file does not hold them.
    places = [f"/{name}/" for name in ("work", "tmp", "root", "farm", "opt/pypi", "home/user")]
    homes = re.compile(r"(/Users/|/home/|C:\\\\?Users\\\\?)\w+")
    found = []
    for path, content in repository.text_files():
        text = content.decode("utf-8", errors="replace")
        found += [f"{short(path)}: {place}" for place in places if place in text]
        if not path.is_relative_to(ROOT / "Testing") and (match := homes.search(text)):  # tests make up homes
            found.append(f"{short(path)}: {match[0]}")
    assert not found


def test_the_library_is_found():
    """The tests above would pass on an empty folder."""
    assert len(MODULES) > 10
    assert LIBRARY / "project.py" in MODULES.values()
