"""Nodes that are not for the user's eyes."""

from __future__ import annotations


def add_hidden_node(scene, class_name: str, name: str):
    """A new node that no list in the window offers: they look whether it is hidden when it comes, and not again."""
    node = scene.CreateNodeByClass(class_name)
    node.UnRegister(None)  # Python holds it as well
    node.SetName(scene.GenerateUniqueName(name))
    node.SetHideFromEditors(True)
    return scene.AddNode(node)
