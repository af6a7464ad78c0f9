"""Keeping encodings on the disk: off unless the user ticks it, remembered on this computer and in no scene."""

from __future__ import annotations

import qt
import slicer.util
from slicer.i18n import tr as _

from ..project import NAME
from .controllers.work import Work

_SETTING = f"{NAME}/KeepEncodings"


class EncodingsPanel:
    """The files are patient data, so the choice is the application's: a scene of someone else cannot bring it."""

    def __init__(self, ui, work: Work) -> None:
        self._ui, self._work = ui, work
        ui.keepEncodingsCheckBox.checked = slicer.util.settingsValue(_SETTING, False, converter=slicer.util.toBool)
        ui.keepEncodingsCheckBox.connect("toggled(bool)", self._toggled)
        ui.clearEncodingsButton.connect("clicked()", self.clear)
        self.look()
        self._apply()

    def _toggled(self, checked: bool) -> None:
        qt.QSettings().setValue(_SETTING, checked)
        self._apply()
        self.look()

    def _apply(self) -> None:
        kept = _kept()
        wanted = kept is not None and self._ui.keepEncodingsCheckBox.checked
        self._work.loader.keep_encodings(kept.folder if wanted else None)

    def clear(self) -> None:
        """Remove all that is kept."""
        kept = _kept()
        if kept is not None:
            kept.clear()
        self.look()

    def look(self) -> None:
        """Show how much is kept."""
        kept = _kept()
        count = 0 if kept is None else len(kept)
        self._ui.keepEncodingsCheckBox.enabled = kept is not None
        self._ui.clearEncodingsButton.enabled = kept is not None
        if count:
            text = _("{count} encodings, {size} of at most {limit} MB").format(
                count=count, size=f"{kept.nbytes / 1e6:.0f}", limit=f"{kept.limit_bytes / 1e6:.0f}"
            )
        else:
            text = _("Nothing is kept.")
        self._ui.encodingsLabel.text = text


def _kept():
    """The files; None before the module's requirements are installed."""
    try:
        from ..inference.encoding.kept_encodings import KeptEncodings, default_folder
    except ModuleNotFoundError:
        return None
    return KeptEncodings(default_folder())
