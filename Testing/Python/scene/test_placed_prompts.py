"""Which kept prompts are the same: what differs in anything is another prompt, rounding aside."""

from dataclasses import replace

import pytest

from SAMUNetSlicerLib.scene.record.placed_prompts import PlacedBox, PlacedPoint, PromptSet
from SAMUNetSlicerLib.scene.record.stacks import StackKey
from SAMUNetSlicerLib.volumes.prompts import BoxExtent, Sign

POINT = PlacedPoint((1.0, 2.0, 3.0), Sign.POSITIVE, StackKey("K"), "F-1")
BOX = PlacedBox((1.0, 2.0, 3.0), (4.0, 5.0, 6.0), ((1, 0, 0), (0, 1, 0), (0, 0, 1)), stack=StackKey("K"))
KEPT = PromptSet((POINT,), (BOX,))


@pytest.mark.parametrize(
    "other",
    [
        replace(POINT, position=(1.0, 2.0, 3.1)),
        replace(POINT, sign=Sign.NEGATIVE),
        replace(POINT, stack=StackKey("J")),
        replace(POINT, stack=None),
        replace(BOX, centre=(1.1, 2.0, 3.0)),
        replace(BOX, size=(4.0, 5.1, 6.0)),
        replace(BOX, axes=((0, 1, 0), (-1, 0, 0), (0, 0, 1))),
        replace(BOX, extent=BoxExtent.ALL_PLANES),
        replace(BOX, stack=StackKey("J")),
        replace(BOX, stack=None),
    ],
)
def test_a_prompt_that_differs_in_anything_is_another(other):
    is_box = isinstance(other, PlacedBox)
    alone = PromptSet(boxes=(other,)) if is_box else PromptSet(points=(other,))
    changed = PromptSet((POINT,), (other,)) if is_box else PromptSet((other,), (BOX,))
    assert not changed.is_close_to(KEPT)
    assert changed.without(KEPT) == alone
    assert not alone.shares_any(KEPT)
    assert KEPT.with_new(alone) == PromptSet((POINT, *alone.points), (BOX, *alone.boxes))


def test_a_prompt_that_differs_by_rounding_or_label_is_the_same():
    again = PromptSet(
        (replace(POINT, position=(1.0, 2.0, 3.00001), label="F-2"),), (replace(BOX, size=(4.00001, 5.0, 6.0)),)
    )
    assert again.is_close_to(KEPT)
    assert again.shares_any(KEPT)
    assert not again.without(KEPT)
    assert KEPT.with_new(again) == KEPT
