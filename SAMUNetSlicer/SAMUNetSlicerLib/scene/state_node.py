"""The node that keeps the record of the work on a segmentation in the scene, so that a saved scene resumes exactly."""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import InputError
from ..project import NAME
from .document import Document
from .names import DOCUMENT, REFERENCE_SEGMENTATION, REFERENCE_VOLUME, ROLE, ROLE_STATE, SET_ASIDE


def state_nodes(scene) -> Iterator:
    """All state nodes of a scene."""
    for number in range(scene.GetNumberOfNodesByClass("vtkMRMLScriptedModuleNode")):
        node = scene.GetNthNodeByClass(number, "vtkMRMLScriptedModuleNode")
        if node.GetAttribute(ROLE) == ROLE_STATE:
            yield node


def find_state_node(scene, segmentation_node):
    """The state node of a segmentation, or None."""
    for node in state_nodes(scene):
        if node.GetNodeReference(REFERENCE_SEGMENTATION) is segmentation_node:
            return node
    return None


def create_state_node(scene, volume_node, segmentation_node):
    node = scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", f"{NAME} of {segmentation_node.GetName()}")
    # Not the module's own name: Slicer would take this for the module's parameter node.
    node.SetModuleName(f"{NAME}State")
    node.SetAttribute(ROLE, ROLE_STATE)
    node.SetHideFromEditors(True)
    node.SetNodeReferenceID(REFERENCE_VOLUME, volume_node.GetID())
    node.SetNodeReferenceID(REFERENCE_SEGMENTATION, segmentation_node.GetID())
    write_document(node, Document())
    return node


def write_document(node, document: Document) -> None:
    text = document.to_json()
    if node.GetParameter(DOCUMENT) != text:
        node.SetParameter(DOCUMENT, text)


def read_document(node) -> tuple[Document, str]:
    """The document, and what the user must be told about it, if anything.

    A document that cannot be read is set aside in the node, where it is saved along, and an empty one takes its
    place: voxels, segments and prompts are all still there.
    """
    text = node.GetParameter(DOCUMENT)
    if not text:
        return Document(), ""
    try:
        return Document.from_json(text), ""
    except InputError as error:
        number = 1
        while node.GetParameter(f"{SET_ASIDE}{number}"):
            number += 1
        node.SetParameter(f"{SET_ASIDE}{number}", text)
        document = Document()
        write_document(node, document)
        return document, (
            f"{error} It was set aside in the scene. Segments, proposals and prompts are as they were saved; "
            "only the marks of accepted planes and their confidences are not known."
        )
