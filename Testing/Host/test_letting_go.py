"""Work that has ended leaves neither its nodes in memory nor its words in the panel."""

from __future__ import annotations

import gc
from functools import partial

import pytest


@pytest.fixture
def deleted(prompted):
    """Names of the nodes of the work that have left memory so far."""
    import vtk

    names = set()
    # Held to the end: a collector that finds them with the nodes would empty them before they are called.
    callbacks = {name: partial(_note, names, name) for name in ("volume", "segmentation")}
    prompted.volume.AddObserver(vtk.vtkCommand.DeleteEvent, callbacks["volume"])
    prompted.session.node.AddObserver(vtk.vtkCommand.DeleteEvent, callbacks["segmentation"])
    prompted.volume = None
    yield names
    callbacks.clear()


def _note(names: set[str], name: str, *_event) -> None:
    names.add(name)


def close_the_scene(user, slicer_app) -> None:
    slicer_app.new_scene()


def close_the_scene_in_another_module(user, slicer_app) -> None:
    user.opened.widget.exit()
    slicer_app.new_scene()
    user.opened.widget.enter()


def remove_the_volume(user, slicer_app) -> None:
    import slicer

    node = user.session.node
    slicer.mrmlScene.RemoveNode(user.session.volume_node)
    slicer.mrmlScene.RemoveNode(node)


@pytest.mark.parametrize("end", [close_the_scene, close_the_scene_in_another_module, remove_the_volume])
def test_nodes_of_ended_work_leave_memory(prompted, slicer_app, deleted, end):
    end(prompted, slicer_app)
    prompted.settle()
    gc.collect()
    assert deleted == {"segmentation", "volume"}


@pytest.mark.parametrize("end", [close_the_scene, close_the_scene_in_another_module])
def test_an_empty_scene_says_nothing_of_the_work_before(prompted, slicer_app, end):
    prompted.key("P")
    prompted.wait_while_busy()
    assert "proposed" in prompted.message
    end(prompted, slicer_app)
    prompted.settle()
    assert prompted.message == ""
