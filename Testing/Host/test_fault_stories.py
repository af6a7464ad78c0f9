"""What goes wrong in a day's work: told in plain words, and nothing accepted is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from slow_network import slow


@pytest.fixture
def accepted(user, at):
    """The first ball accepted on its middle plane."""
    user.key("A")
    user.click("Red", at((8, 32, 20)))
    user.key("Return")
    user.key("Esc")
    return user


def test_a_volume_that_has_changed_is_told_once_the_user_rests(accepted):
    """Not before: to hash a large one takes seconds, in which the window would stand still."""
    from vtk.util.numpy_support import vtk_to_numpy

    user, document = accepted, accepted.session.workspace.document
    user.rest()
    known = dict(document.fingerprints)
    scalars = user.volume.GetImageData().GetPointData().GetScalars()
    vtk_to_numpy(scalars)[0] += 1
    scalars.Modified()
    user.session.workspace.check()
    assert document.fingerprints == known
    user.panel.refresh()
    user.rest()
    assert document.fingerprints != known
    assert "is no longer as it was" in user.message


def test_a_scene_is_loaded_without_waiting_for_that(accepted, slicer_app, tmp_path):
    import slicer

    accepted.panel.logic.saveScene(tmp_path / "work.mrb")
    slicer_app.new_scene()
    assert slicer.mrmlScene.ReadFromMRB(str(tmp_path / "work.mrb"))
    content = accepted.session.workspace.content
    assert content.go_on()
    accepted.rest()
    assert not content.go_on()


def test_without_a_volume_the_user_is_told_to_choose_one(user):
    user.ui.volumeSelector.setCurrentNode(None)
    user.settle()
    user.key("A")
    assert "Choose a volume first" in user.message
    assert not user.ui.positiveButton.checked


def test_a_missing_model_is_told_and_the_prompt_is_kept(user, at, monkeypatch):
    from SAMUNetSlicerLib.errors import ModelError

    def missing(*_arguments):
        raise ModelError("The model sam_unet is not installed. Choose another one in the section Set-up.")

    work = user.panel.work
    work.set_predictor(None)
    work._loaded = None
    monkeypatch.setattr(work.loader, "load", missing)
    user.key("A")
    assert "not installed" in user.message
    user.picture("model_missing")


def test_missing_packages_are_told_with_what_to_press(user, monkeypatch):
    work = user.panel.work
    work.set_predictor(None)
    work._loaded = None

    def nothing_there(*_arguments):
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(work.loader, "load", nothing_there)
    user.key("A")
    assert "'torch' is missing" in user.message
    assert "Install what is missing" in user.message


@pytest.mark.parametrize(
    "error",
    [
        OSError('[WinError 1114] A DLL initialization routine failed. Error loading "c10.dll"'),
        ImportError("DLL load failed while importing _C"),
    ],
)
def test_packages_that_windows_does_not_load_are_told(user, monkeypatch, error):
    work = user.panel.work
    work.set_predictor(None)
    work._loaded = None

    def refuse(*_arguments):
        raise error

    monkeypatch.setattr(work.loader, "load", refuse)
    user.key("A")
    assert str(error) in user.message
    assert "Restart Slicer" in user.message


def test_out_of_memory_is_told_and_the_work_goes_on(accepted, at, monkeypatch):
    user = accepted
    before = user.voxels().copy()
    encoder = user.panel.work._predictor.planes.encode_planes

    def fail(_images, ahead=False):
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")

    user.panel.work.encode_ahead = lambda: False
    monkeypatch.setattr(encoder, "begin", fail)
    user.view("Red").node.JumpSliceByOffsetting(*at((5, 32, 20)))
    user.settle()
    user.key("A")
    user.click("Red", at((5, 32, 20)))
    user.picture("out_of_memory")
    assert "not enough memory" in user.message
    assert "CUDA" not in user.message
    assert np.array_equal(user.voxels(), before)
    monkeypatch.undo()
    user.click("Red", at((5, 33, 21)))
    assert user.proposed()[5].any(), "the next prompt is answered again"


def test_a_shortage_once_is_survived_without_the_user(user, at, monkeypatch):
    encoder = user.panel.work._predictor.planes.encode_planes
    begin, calls = encoder.begin, []

    def fail_once(images, ahead=False):
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("DefaultCPUAllocator: not enough memory")
        return begin(images, ahead)

    monkeypatch.setattr(encoder, "begin", fail_once)
    user.key("A")
    user.click("Red", at((8, 32, 20)))
    assert len(calls) > 1
    assert user.proposed()[8].any()


def test_a_device_that_does_not_compute_gives_way_to_the_processor():
    import torch

    from SAMUNetSlicerLib.widgets.controllers.breathing import Breather
    from SAMUNetSlicerLib.widgets.controllers.models import ModelLoader

    told = []
    # The device "meta" holds no numbers: reading one fails, as on a card that PyTorch was not built for.
    assert ModelLoader(told.append, Breather(lambda: None))._usable(torch.device("meta")).type == "cpu"
    assert "does not work with the installed PyTorch" in told[0]


def test_a_closed_scene_leaves_an_empty_panel_that_works_again(accepted, slicer_app):
    from phantoms import add_phantom, to_ras

    user = accepted
    slicer_app.new_scene()
    user.settle()
    user.picture("scene_closed")
    assert user.session is None
    assert not user.ui.acceptButton.enabled
    user.volume = add_phantom("Next")
    user.ui.volumeSelector.setCurrentNode(user.volume)
    user.view("Red").show_volume(user.volume)
    user.settle()
    user.key("A")
    user.click("Red", to_ras(user.volume, (8, 32, 20)))
    user.key("Return")
    assert user.voxels().any()


def test_a_scene_closed_during_a_propagation_ends_it(user, at, slicer_app):
    user.key("A")
    user.click("Red", at((8, 32, 20)))
    user.key("Esc")
    user.press("propagateButton")
    slicer_app.new_scene()
    user.settle()
    assert not user.panel.work.busy
    assert user.session is None


def test_switching_volumes_brings_back_the_segmentation_of_each(accepted):
    from phantoms import add_phantom, to_ras

    user = accepted
    first_node = user.session.node
    before = user.voxels().copy()
    other = add_phantom("Other")
    user.ui.volumeSelector.setCurrentNode(other)
    user.settle()
    assert user.session is None, "the first segmentation belongs to the first volume"
    user.view("Red").show_volume(other)
    user.key("A")
    user.click("Red", to_ras(other, (8, 32, 46)))
    user.key("Return")
    user.key("Esc")
    user.picture("volume_switched")
    assert user.session.node is not first_node
    user.ui.volumeSelector.setCurrentNode(user.volume)
    user.settle()
    assert user.session.node is first_node
    assert np.array_equal(user.voxels(), before)


def test_of_two_segmentations_of_a_volume_the_one_worked_on_last_comes_back(accepted):
    from phantoms import add_phantom

    user = accepted
    first = user.session.node
    second = user.panel.logic.createSegmentation(user.volume)
    for chosen in (second, first):
        user.ui.segmentationSelector.setCurrentNode(chosen)
        user.settle()
    user.ui.volumeSelector.setCurrentNode(add_phantom("Other"))
    user.settle()
    user.ui.volumeSelector.setCurrentNode(user.volume)
    user.settle()
    assert user.session.node is first


def test_a_segmentation_that_is_not_displayed_yet_is_worked_on_and_shown(user, at):
    import slicer

    bare = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Made by a script")
    user.ui.segmentationSelector.setCurrentNode(bare)
    user.key("A")
    user.click("Red", at((8, 32, 20)))
    user.key("Return")
    user.key("Esc")
    assert user.session.node is bare
    assert user.voxels().any()
    assert bare.GetDisplayNode() is not None


def test_the_plane_worked_on_is_the_one_shown_also_after_the_volume_was_turned(accepted):
    import slicer

    from phantoms import put_under_turned_transform
    from scene.scenery import bent_transform

    user = accepted
    put_under_turned_transform(user.volume)
    user.settle()
    assert user.session.stack_name() == "oblique"
    user.volume.SetAndObserveTransformNodeID(bent_transform(slicer.mrmlScene).GetID())
    user.settle()
    assert "not linear" in user.message, "told at once"


def test_a_volume_deleted_in_the_data_module_is_told(accepted):
    import slicer

    user = accepted
    slicer.mrmlScene.RemoveNode(user.volume)
    user.settle()
    assert user.session is None
    assert "was removed" in user.message


def test_the_voxels_of_the_image_never_change(accepted):
    import slicer

    from phantoms import add_phantom

    untouched = slicer.util.arrayFromVolume(add_phantom("Copy"))
    accepted.press("propagateButton")
    accepted.wait_while_busy()
    accepted.press("acceptAllButton")
    assert np.array_equal(slicer.util.arrayFromVolume(accepted.volume), untouched)


def test_the_3d_surface_stays_and_follows(accepted, at):
    user = accepted
    user.session.node.CreateClosedSurfaceRepresentation()
    segment = user.session.segment_id
    surface = user.session.node.GetClosedSurfaceInternalRepresentation(segment)
    points = surface.GetNumberOfPoints()
    user.press("propagateButton")
    user.wait_while_busy()
    user.press("acceptAllButton")
    surface = user.session.node.GetClosedSurfaceInternalRepresentation(segment)
    assert surface is not None
    assert surface.GetNumberOfPoints() > points


def test_a_colour_picture_of_one_plane_is_segmented(user, slicer_app):
    import slicer

    from phantoms import balls_kji, to_ras

    ball = balls_kji()[0][8:9]
    picture = np.full((1, 64, 64, 3), 20, dtype=np.uint8)
    picture[ball] = 220
    node = slicer.util.addVolumeFromArray(picture, np.diag([-1.5, -1.5, 1, 1]), "Photo", "vtkMRMLVectorVolumeNode")
    node.CreateDefaultDisplayNodes()
    user.ui.volumeSelector.setCurrentNode(node)
    user.settle()
    user.view("Red").show_volume(node)
    user.key("A")
    user.click("Red", to_ras(node, (0, 32, 20)))
    user.key("Return")
    user.picture("colour_picture")
    assert np.count_nonzero(user.voxels() & ball) > 0.9 * np.count_nonzero(ball)


@pytest.mark.stand_ins
def test_a_saved_scene_goes_on_in_a_new_process(accepted, at, tmp_path):
    user = accepted
    user.view("Red").node.JumpSliceByOffsetting(*at((10, 32, 20)))
    user.settle()
    user.key("A")
    user.click("Red", at((10, 32, 20)))
    statuses, voxels = user.statuses(), int(user.voxels().sum())
    assert {"accepted", "proposed"} <= set(statuses)
    scene = tmp_path / "work.mrb"
    user.panel.logic.saveScene(scene)
    script = Path(__file__).with_name("resume_in_new_process.py")
    done = subprocess.run([sys.executable, str(script), str(scene)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["statuses"] == statuses
    assert found["voxels"] == voxels
    assert "restored" in found["message"]
    assert found["after"] > voxels


def test_a_scene_added_to_the_work_leaves_it_as_it_was(accepted, tmp_path):
    """The panel goes to the added volume, as the added scene says; all of the work is there on coming back."""
    import slicer

    user = accepted
    node, before = user.session.node, user.session.history_texts()
    user.panel.logic.saveScene(tmp_path / "work.mrb")
    slicer.mrmlScene.ReadFromMRB(str(tmp_path / "work.mrb"), False)
    assert user.message.count("restored") == 1, "what was there is not restored"
    user.settle()
    assert user.session.volume_node is not user.volume
    assert user.session.node is not node
    user.ui.volumeSelector.setCurrentNode(user.volume)
    user.settle()
    assert user.session.node is node
    assert user.session.history_texts() == before
    user.key("Z")
    assert not user.voxels().any()


def test_a_scene_added_while_a_plane_is_propagated_ends_that_in_words(accepted, tmp_path, monkeypatch):
    import slicer

    user = accepted
    user.panel.logic.saveScene(tmp_path / "work.mrb")
    breather = user.panel.work.breather
    breathe, added = breather._breathe, []

    def breathe_and_add() -> None:
        breathe()
        if user.panel.work.busy and not added:
            added.append(slicer.mrmlScene.ReadFromMRB(str(tmp_path / "work.mrb"), False))

    monkeypatch.setattr(breather, "_breathe", breathe_and_add)
    slow(user.network, monkeypatch)
    user.panel.work._predictor.planes.cache.clear()  # what was encoded ahead needs no breath
    user.press("propagateButton")
    user.wait_while_busy()
    assert added == [True]
    assert "another volume or segmentation was chosen" in user.message


def test_a_full_disk_leaves_the_saved_scene_as_it_was(accepted, tmp_path, monkeypatch):
    from SAMUNetSlicerLib.errors import OutputError

    scene = tmp_path / "work.mrb"
    accepted.panel.logic.saveScene(scene)
    before = scene.read_bytes()
    monkeypatch.setattr("os.fsync", _no_space)
    with pytest.raises(OutputError, match="free some room"):
        accepted.panel.logic.saveScene(scene)
    assert scene.read_bytes() == before


def _no_space(_stream) -> None:
    raise OSError(28, "No space left on device")
