"""The node that keeps the record of the work on a segmentation in the scene, so that a saved scene resumes exactly."""

from __future__ import annotations

from collections.abc import Iterator

from ...errors import InputError
from ...project import NAME
from ..record.document import Document
from .hidden_nodes import add_hidden_node
from .names import (
    DOCUMENT,
    REFERENCE_PROMPTS,
    REFERENCE_PROPOSALS,
    REFERENCE_SEGMENTATION,
    REFERENCE_VOLUME,
    ROLE,
    ROLE_PROMPTS,
    ROLE_PROPOSALS,
    ROLE_STATE,
    SET_ASIDE,
)


def state_nodes(scene) -> Iterator:
    """All state nodes of a scene."""
    for number in range(scene.GetNumberOfNodesByClass("vtkMRMLScriptedModuleNode")):
        node = scene.GetNthNodeByClass(number, "vtkMRMLScriptedModuleNode")
        if node.GetAttribute(ROLE) == ROLE_STATE:
            yield node


def work_of(state_node) -> tuple:
    """The volume and the segmentation that the work is on; None for one that is not in the scene."""
    return tuple(state_node.GetNodeReference(role) for role in (REFERENCE_VOLUME, REFERENCE_SEGMENTATION))


def find_state_node(scene, segmentation_node):
    """The state node of a segmentation, or None."""
    for node in state_nodes(scene):
        if node.GetNodeReference(REFERENCE_SEGMENTATION) is segmentation_node:
            return node
    return None


def create_state_node(scene, volume_node, segmentation_node):
    """A state node with an empty record, and with the prompts and proposals that name this segmentation already."""
    node = add_hidden_node(scene, "vtkMRMLScriptedModuleNode", f"{NAME} of {segmentation_node.GetName()}")
    # Not the module's own name: Slicer would take this for the module's parameter node.
    node.SetModuleName(f"{NAME}State")
    belong_to(node, segmentation_node, ROLE_STATE)
    node.SetNodeReferenceID(REFERENCE_VOLUME, volume_node.GetID())
    write_document(node, Document())
    for class_name in ("vtkMRMLMarkupsNode", "vtkMRMLSegmentationNode"):
        for number in range(scene.GetNumberOfNodesByClass(class_name)):
            found = scene.GetNthNodeByClass(number, class_name)
            role = found.GetAttribute(ROLE)
            if found.GetNodeReference(REFERENCE_SEGMENTATION) is not segmentation_node:
                continue
            if role == ROLE_PROMPTS:
                node.AddNodeReferenceID(REFERENCE_PROMPTS, found.GetID())
            elif role == ROLE_PROPOSALS:
                node.SetNodeReferenceID(REFERENCE_PROPOSALS, found.GetID())
    return node


def belong_to(node, segmentation_node, role: str) -> None:
    """Say of a node that it is ours, what it is, and to which segmentation it belongs."""
    node.SetAttribute(ROLE, role)
    node.SetNodeReferenceID(REFERENCE_SEGMENTATION, segmentation_node.GetID())


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
            "only which planes were accepted, and the confidences, are not known."
        )
