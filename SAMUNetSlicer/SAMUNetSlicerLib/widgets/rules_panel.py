"""The section Editing rules: overwrite mode, editable area, intensities. The words are the Segment Editor's."""

from __future__ import annotations

import math

from slicer.i18n import tr as _

from ..scene.record.editing_rules import Area, EditingRules, Overwrite
from .combo_boxes import choose, fill, value_of
from .controllers.session import Session
from .controllers.work import Work

_DECIMALS = 2
_FINEST = -12


def _overwrite_choices() -> list[tuple[str, str]]:
    return [
        (_("no other segment"), Overwrite.NONE.value),
        (_("visible segments"), Overwrite.VISIBLE.value),
        (_("all segments"), Overwrite.ALL.value),
    ]


def _area_choices() -> list[tuple[str, str]]:
    texts = {
        Area.EVERYWHERE: _("everywhere"),
        Area.INSIDE_ALL: _("inside all segments"),
        Area.INSIDE_VISIBLE: _("inside all visible segments"),
        Area.OUTSIDE_ALL: _("outside all segments"),
        Area.OUTSIDE_VISIBLE: _("outside all visible segments"),
        Area.INSIDE_SEGMENT: _("inside a segment"),
    }
    return [(texts[area], area.value) for area in Area]


def _area_segments(session: Session, rules: EditingRules) -> list[tuple[str, str]]:
    """The segments to choose from, and always the one that the rule holds, however little sense it makes."""
    names = {s: session.workspace.name_of(s) for s in session.segments}
    choices = [(name, s) for s, name in names.items() if s != session.segment_id]
    held = rules.area_segment_id
    if rules.area is not Area.INSIDE_SEGMENT or held in (s for _name, s in choices):
        return choices
    if held in names:
        text = _("{name} (the active segment)").format(name=names[held])
    elif held:
        text = _("(a deleted segment)")
    else:
        text = _("(choose a segment)")
    return [(text, held), *choices]


def _fineness(width: float) -> tuple[float, int]:
    """Step and decimals for a range of some width: a thousand steps or more. Slicer's widget has 1 and 2 by itself."""
    if not math.isfinite(width) or width <= 0:
        return 1.0, _DECIMALS
    exponent = max(_FINEST, math.floor(math.log10(width)) - 3)
    return 10.0**exponent, max(_DECIMALS, -exponent)


class RulesPanel:
    """Shows the rules of the session and keeps them with it."""

    def __init__(self, ui, work: Work) -> None:
        self._ui, self._work = ui, work
        self._showing = False
        fill(ui.overwriteSelector, _overwrite_choices())
        fill(ui.areaSelector, _area_choices())
        for selector in (ui.overwriteSelector, ui.areaSelector, ui.areaSegmentSelector):
            selector.connect("currentIndexChanged(int)", lambda _index: self._keep())
        ui.intensityCheckBox.connect("toggled(bool)", lambda _checked: self._keep())
        ui.intensityRange.connect("valuesChanged(double,double)", lambda _low, _high: self._keep())

    def _keep(self) -> None:
        if self._work.session is not None and not self._showing and not self._work.busy:
            self._work.attempt(self._work.session.set_rules, self._rules())

    def _rules(self) -> EditingRules:
        ui = self._ui
        span = ui.intensityRange
        return EditingRules(
            Overwrite(value_of(ui.overwriteSelector)),
            Area(value_of(ui.areaSelector)),
            value_of(ui.areaSegmentSelector),
            (span.minimumValue, span.maximumValue) if ui.intensityCheckBox.checked else None,
        )

    def volume_chosen(self, lowest: float, highest: float) -> None:
        """Let the intensity range span a volume's intensities, in steps that are fine enough for them."""
        span = self._ui.intensityRange
        step, decimals = _fineness(highest - lowest)
        if math.isfinite(highest - lowest):  # outwards, since the widget rounds
            lowest = math.floor(lowest * 10**decimals) / 10**decimals
            highest = math.ceil(highest * 10**decimals) / 10**decimals
        self._showing = True
        span.decimals = decimals
        span.setRange(lowest, highest)
        span.singleStep = step  # after the range, against which Slicer's widget checks it
        span.setRange(lowest, highest)  # which had been cut off to 2**31 of the former steps
        span.setValues(lowest, highest)
        self._showing = False

    def refresh(self) -> None:
        ui, session = self._ui, self._work.session
        if session is None:
            return
        rules = session.workspace.document.rules
        self._showing = True
        fill(ui.areaSegmentSelector, _area_segments(session, rules))
        choose(ui.overwriteSelector, rules.overwrite.value)
        choose(ui.areaSelector, rules.area.value)
        choose(ui.areaSegmentSelector, rules.area_segment_id)
        ui.areaSegmentSelector.enabled = rules.area is Area.INSIDE_SEGMENT
        ui.intensityCheckBox.checked = rules.intensity_range is not None
        ui.intensityRange.enabled = rules.intensity_range is not None
        if rules.intensity_range is not None:
            ui.intensityRange.setValues(*rules.intensity_range)
        self._showing = False
