"""A saved scene holds every file that its nodes need, and is refused otherwise."""

import zipfile

import pytest
import scenery
from scenery import Desk

from SAMUNetSlicerLib.scene import saving
from SAMUNetSlicerLib.scene.logic import SegmentationLogic


@pytest.fixture
def desk(mrml_scene):
    """One plane accepted, another proposed."""
    desk = Desk(mrml_scene)
    desk.propose(6)
    desk.accept()
    desk.propose(7)
    return desk


@pytest.mark.parametrize("gone", ["proposals", "another volume"])
def test_a_scene_is_saved_again_after_nodes_with_files_were_deleted(mrml_host, desk, tmp_path, gone):
    """Slicer leaves their storage nodes in the scene, which name files that are not written any more."""
    path = tmp_path / "work.mrb"
    scenery.volume_node(desk.scene, name="another volume")
    desk.logic.saveScene(path)
    mrml_host.clear()
    assert mrml_host.scene.ReadFromMRB(str(path))
    name = "SAMUNetSlicer proposals" if gone == "proposals" else gone
    mrml_host.scene.RemoveNode(mrml_host.scene.GetFirstNodeByName(name))
    logic = SegmentationLogic(mrml_host.scene)
    logic.saveScene(path)
    mrml_host.clear()
    assert mrml_host.scene.ReadFromMRB(str(path))
    assert logic.restore()[0].accepted == 1
    assert mrml_host.scene.GetFirstNodeByName(name) is None


def test_a_bundle_that_lacks_a_file_is_not_taken_for_whole(desk, tmp_path):
    path, cut = tmp_path / "work.mrb", tmp_path / "cut.mrb"
    desk.logic.saveScene(path)
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(cut, "w") as part:
        names = whole.namelist()
        for name in names:
            if not name.endswith("Segmentation.seg.nrrd"):
                part.writestr(name, whole.read(name))
        assert len(part.namelist()) == len(names) - 1
    assert saving._is_whole(path)
    assert not saving._is_whole(cut)


def test_a_scene_may_have_a_long_name(desk, tmp_path):
    """Windows counts the whole path, in which a save must not repeat the name; other systems count each part of it."""
    path = tmp_path / f"{'x' * 236}.mrb"
    desk.logic.saveScene(path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["work [1].mrb", "head & neck.mrb"])
def test_a_scene_may_have_a_name_that_slicer_writes_no_bundle_under(mrml_host, desk, tmp_path, name):
    path = tmp_path / name
    desk.logic.saveScene(path)
    assert list(tmp_path.iterdir()) == [path]
    mrml_host.clear()
    assert mrml_host.scene.ReadFromMRB(str(path))
    assert SegmentationLogic(mrml_host.scene).restore()[0].accepted == 1
