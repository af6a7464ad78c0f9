"""Prompts that were moved or deleted in the scene, here or in another module: noticing them, and previewing anew."""

from __future__ import annotations

from collections.abc import Iterable

from ...errors import UserError
from ...scene.record.placed_prompts import PromptSet
from ...scene.record.stacks import StackKey
from .breathing import Interrupted
from .session import Session
from .texts import _


def have_moved(session: Session) -> bool:
    """Whether the active segment's prompts in the scene are not those that were seen last."""
    space, segment_id = session.workspace, session.segment_id
    if segment_id not in session.segments:
        return False
    seen = space.seen_prompts.get((segment_id, space.frame), PromptSet())
    return not seen.is_close_to(space.prompts.read(segment_id, space.frame))


def preview_moved(session: Session) -> bool:
    """Preview anew wherever prompts of the active segment were moved or deleted; False where none was. One step.

    The session goes on with one of these planes. Raises UserError where one cannot be answered, once all others are.
    """
    if not have_moved(session):
        return False
    name = session.workspace.name_of(session.segment_id)
    with session.logic.step(session.node, _("Move prompts of {name}").format(name=name)):
        changed = session.logic.notePrompts(session.node, session.segment_id, session.stack)
        if changed:
            stack = session.stack if session.stack in changed else next(iter(changed))
            session.go_to(max(changed[stack]), stack)
        _preview(session, ((stack, index) for stack, indices in changed.items() for index in sorted(indices)))
    return True


def _preview(session: Session, planes: Iterable[tuple[StackKey, int]]) -> None:
    """A plane whose prompts cannot be answered loses its preview: that was the answer to others."""
    errors = []
    for stack, index in planes:
        try:
            session.preview(stack, index)
        except (UserError, Interrupted) as error:
            errors.append(error)
            proposed = session.workspace.document.plane(session.key(stack, index)).proposed
            if proposed is not None and proposed.origin.is_users_own:
                session.logic.discard(session.node, session.segment_id, {index}, stack)
    if errors:
        raise errors[0]
