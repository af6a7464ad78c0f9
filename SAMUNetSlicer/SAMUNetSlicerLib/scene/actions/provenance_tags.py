"""How a segment came to be, kept as tags of the segment: they are saved with the segmentation, in scenes and files."""

from __future__ import annotations

from ...volumes.segmentations.provenance import PROVENANCE_TAG, PlaneRecord, Provenance, encode_tag_value
from ...volumes.windows import describe_window
from ..nodes.segmentation_nodes import set_tag, tags_like
from ..record.document import PlaneEntry
from ..record.stacks import StackKey, stack_name
from .workspace import Workspace


def write_provenance(workspace: Workspace, segment_id: str) -> None:
    """State models, window, item, prompts, accepted planes and confidences of a segment, as they are now.

    One tag per stack of planes and model; the one with most planes has the plain name, which is what other readers
    of `volumes.segmentations.provenance` look for. Planes that no model made (kept as drawn by hand) are not listed.
    """
    reading = workspace.check()
    prompts = workspace.prompts.read(segment_id, reading.frame)
    groups: dict[tuple[str, int], list[tuple[int, PlaneEntry]]] = {}
    for key, state in workspace.document.of_segment(reading.frame, segment_id):
        if state.accepted is not None and state.accepted.model is not None:
            groups.setdefault((key.stack, state.accepted.model), []).append((key.index, state.accepted))
    ordered = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    texts = []
    for (stack_text, model_number), planes in ordered:
        stack, model = StackKey(stack_text), workspace.document.models[model_number]
        said = prompts.on_stack(stack).in_world("", reading.to_world)
        texts.append(
            Provenance(
                model.family,
                model.sha256,
                describe_window(workspace.window),
                _stack_text(stack, workspace),
                said.points,
                said.boxes,
                tuple(PlaneRecord(index, entry.confidence, entry.origin) for index, entry in sorted(planes)),
                frame=int(reading.frame) if reading.frame.isdecimal() else None,
            ).to_json()
        )
    wanted = {PROVENANCE_TAG if n == 0 else f"{PROVENANCE_TAG}.{n + 1}": text for n, text in enumerate(texts)}
    for tag in tags_like(workspace.segmentation_node, segment_id, PROVENANCE_TAG) - set(wanted):
        set_tag(workspace.segmentation_node, segment_id, tag, None)
    for tag, text in wanted.items():
        set_tag(workspace.segmentation_node, segment_id, tag, encode_tag_value(text))


def _stack_text(stack: StackKey, workspace: Workspace) -> str:
    name = stack_name(stack, workspace.check().geometry)
    return f"{name} {stack.text}" if stack.axis is None else name
