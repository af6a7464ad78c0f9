"""Going on with a saved scene: what was found, and what the user must be told about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ...errors import UserError
from ..nodes.state_node import read_document, state_nodes, work_of
from ..record.document import ModelIdentity
from .workspace import Workspace


@dataclass(frozen=True, eq=False)
class RestoredWork:
    """Earlier work on one segmentation.

    workspace: None where it cannot be gone on with now; the notes say why. was_open: it was being worked on already.
    """

    segmentation_name: str
    workspace: Workspace | None
    accepted: int
    proposed: int
    prompts: int
    notes: tuple[str, ...]
    was_open: bool = False

    @property
    def summary(self) -> str:
        """One sentence."""
        counts = f"accepted planes {self.accepted}, proposed planes {self.proposed}, prompts {self.prompts}"
        return f"Work on '{self.segmentation_name}' was restored: {counts}."


def restore(
    scene,
    model_is_installed: Callable[[ModelIdentity], bool] | None = None,
    opened: Iterable[Workspace] = (),
    check_later: bool = False,
) -> list[RestoredWork]:
    """Open all work that a scene holds, but for what is `opened`. Nothing is removed from it, whatever is missing.

    check_later: see `ContentCheck.later`.
    """
    known = {space.shown_segmentation: space for space in opened}
    return [_restore_one(scene, node, model_is_installed, known, check_later) for node in list(state_nodes(scene))]


def _restore_one(
    scene,
    state_node,
    model_is_installed: Callable[[ModelIdentity], bool] | None,
    known: Mapping[object, Workspace],
    check_later: bool,
) -> RestoredWork:
    volume, segmentation = work_of(state_node)
    name = state_node.GetName() if segmentation is None else segmentation.GetName()
    notes: list[str] = []
    workspace = known.get(segmentation)
    was_open = workspace is not None
    if segmentation is None:
        notes.append("The segmentation is not in the scene. Load it again to go on.")
    elif volume is None:
        notes.append("The volume is not in the scene. Load it, then choose it together with this segmentation.")
    elif not was_open:
        try:
            workspace = Workspace(scene, volume, segmentation, check_later)
        except UserError as error:
            notes.append(str(error))
    if workspace is None:
        document, note = read_document(state_node)
        return RestoredWork(name, None, *_counts(document), 0, tuple([*notes, note] if note else notes))
    if not was_open:
        notes += workspace.notes
        workspace.notes.clear()
    if model_is_installed is not None:
        notes += [_missing(m) for m in workspace.document.models if not model_is_installed(m)]
    gone = {key.segment_id for key in workspace.document.planes} - set(segmentation.GetSegmentation().GetSegmentIDs())
    if gone:
        notes.append(f"{len(gone)} segments that were worked on are no longer in the segmentation.")
    prompts = sum(len(p.points) + len(p.boxes) for p in workspace.seen_prompts.values())
    return RestoredWork(name, workspace, *_counts(workspace.document), prompts, tuple(notes), was_open)


def _counts(document) -> tuple[int, int]:
    states = document.planes.values()
    return sum(s.accepted is not None for s in states), sum(s.proposed is not None for s in states)


def _missing(model: ModelIdentity) -> str:
    return (
        f"The model {model.name or model.family} (SHA-256 {model.sha256[:8]}...) that was used is not installed. Its "
        "results are all here; install it to go on with it, or choose another model."
    )
