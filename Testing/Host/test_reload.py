"""The developer's button Reload: Slicer makes the panel anew, by `setup` alone, from the files as they are now."""

from __future__ import annotations

import ast
import sys

import pytest

from repository import MODULE_FOLDER

SOURCE = MODULE_FOLDER / "SAMUNetSlicer.py"


@pytest.fixture
def modules_put_back():
    """The other tests of this process go on with the library that they have imported."""
    names = ("SAMUNetSlicer", "SAMUNetSlicerLib")
    before = {name: module for name, module in sys.modules.items() if name.split(".")[0] in names}
    yield before
    for name in [name for name in sys.modules if name.split(".")[0] in names]:
        del sys.modules[name]
    sys.modules.update(before)


def keys() -> list:
    import qt
    import slicer

    return slicer.util.mainWindow().findChildren(qt.QShortcut)


def test_the_panel_works_after_a_reload_from_new_files(modules_put_back, user):
    from SAMUNetSlicerLib.widgets.shortcuts import KEYS

    old = user.panel
    user.opened.widget.onReload()
    user.settle()
    new = user.opened.widget.panel
    assert new is not old
    assert old.parameters is None
    assert not old.Observations
    assert new.parameters.volume is user.volume
    assert sorted(key.key.toString() for key in keys()) == sorted([*KEYS.values(), "Return"]), "each key once"
    assert sys.modules[type(new).__module__] is not modules_put_back[type(new).__module__]
    assert not isinstance(new, type(old))
    user.panel, user.ui = new, user.opened.widget.ui
    user.key("D")
    assert user.ui.boxButton.checked


def test_the_modules_own_test_passes_after_a_reload(modules_put_back, user, monkeypatch):
    import slicer

    monkeypatch.setattr(slicer.util, "delayDisplay", lambda *_arguments, **_keywords: None)
    user.opened.widget.onReload()
    user.opened.module.runTest()


def test_a_reload_from_elsewhere_does_not_enter(modules_put_back, user, slicer_app):
    user.opened.widget.exit()
    slicer_app.window.module_selector.selectedModule = "Data"
    user.opened.widget.onReload()
    user.settle()
    assert user.opened.widget.panel.parameters is None
    assert not keys()


def test_a_file_that_cannot_be_loaded_leaves_the_panel_as_it_was(modules_put_back, user, monkeypatch, tmp_path):
    import slicer

    broken = tmp_path / "SAMUNetSlicer.py"
    broken.write_text("import SAMUNetSlicerLib.project\nthis is no Python\n", encoding="utf-8")
    monkeypatch.setattr(slicer.util, "modulePath", lambda _name: str(broken))
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(SyntaxError):
        user.opened.widget.onReload()
    user.settle()
    assert user.opened.widget.panel is user.panel
    assert user.panel.parameters.volume is user.volume
    name = type(user.panel).__module__
    assert sys.modules[name] is modules_put_back[name]


def test_a_slicer_that_is_too_old_is_told_so_before_the_library_is_read():
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"), feature_version=(3, 9))  # Slicer 5.8's Python
    checks = [n for n in tree.body if isinstance(n, ast.If) and ast.unparse(n.test) == "sys.version_info < (3, 11)"]
    (check,) = checks
    assert "3D Slicer 5.10 or newer" in ast.unparse(check)
    assert isinstance(check.body[0], ast.Raise)
    library = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module.startswith("SAMUNetSlicerLib")]
    assert library
    assert all(node.lineno > check.lineno for node in library)
