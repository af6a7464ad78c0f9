"""Whether a volume is still as it was when the work on it was done."""

from __future__ import annotations

import weakref
from collections.abc import Generator
from typing import Protocol

from ...inference.jobs import SteppedJob
from ...volumes.geometry import GridGeometry
from ..nodes.following import grid_move
from ..nodes.volume_nodes import PlacedVolume
from ..record.document import Document


class Checked(Protocol):
    """Work on a volume; `workspace.Workspace` is one."""

    scene: object
    volume_node: object
    document: Document
    notes: list[str]

    def check(self) -> PlacedVolume: ...

    def save(self) -> None: ...


class ContentCheck:
    """Compares a hash of the voxels with the one in the record, where it notes the new one.

    later: a large volume takes seconds, so a host with a window lets `go_on` do it in idle time; else it is done at
    once. A scene that is saved waits for it.
    """

    def __init__(self, workspace: Checked, later: bool) -> None:
        self.later = later
        self._workspace = workspace
        self._job: SteppedJob[None] | None = None
        self._before: GridGeometry | None = None
        check = weakref.ref(self)  # the scene would keep alive what it calls
        tag = workspace.scene.AddObserver(workspace.scene.StartSaveEvent, lambda *_: check().finish())
        weakref.finalize(self, workspace.scene.RemoveObserver, tag)

    def begin(self, before: GridGeometry | None, now: PlacedVolume) -> None:
        """There is another reading of the volume. before: the local grid of the last one, None for the first."""
        if self._job is not None:  # the last one was not compared: the record is of one before it
            before = self._before
        self._job, self._before = SteppedJob(self._compare(before, now)), before or now.local
        if not self.later:
            self.finish()

    def go_on(self) -> bool:
        """For a short turn; False where nothing is left to do. Raises as `Workspace.check`."""
        if self._job is None:
            return False
        self._workspace.check()  # the voxels may be others by now
        if self._job is not None and self._job.poll():
            self.finish()
        return True

    def finish(self) -> None:
        job, self._job = self._job, None
        if job is not None:
            job.result()

    def _compare(self, before: GridGeometry | None, now: PlacedVolume) -> Generator[None, None, None]:
        space, fingerprint = self._workspace, (yield from now.fingerprint_in_steps(now.local))
        known = space.document.fingerprints.get(now.frame)
        if known == fingerprint:
            return
        moved = grid_move(before, now.local) is not None
        if known is not None and not (moved and (yield from now.fingerprint_in_steps(before)) == known):
            space.notes.append(
                f"The volume '{space.volume_node.GetName()}' is no longer as it was when this work was done. Segments, "
                "prompts and accepted planes were kept; check whether they still fit."
            )
        space.document.fingerprints[now.frame] = fingerprint
        space.save()
