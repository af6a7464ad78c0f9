"""SAMUNetSlicer: prompted segmentation with SAM-UNet. Slicer's door to SAMUNetSlicerLib, and no more than that."""

import sys
from pathlib import Path
from typing import Annotated

import slicer
from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)

if sys.version_info < (3, 11):  # noqa: UP036 - Slicer 5.8 would stop somewhere in the library, without a plain reason
    raise ImportError(_("SAMUNetSlicer needs 3D Slicer 5.10 or newer."))

from SAMUNetSlicerLib.project import HOMEPAGE, NOT_FOR_CLINICAL_USE
from SAMUNetSlicerLib.scene.logic import SegmentationLogic


class SAMUNetSlicer(ScriptedLoadableModule):
    """What Slicer shows of the module before it is opened."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = "SAMUNetSlicer"
        parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        parent.dependencies = []
        parent.contributors = ["The SAMUNetSlicer contributors"]
        parent.helpText = _(
            "Segment organs and lesions with points and boxes, plane by plane, and propagate the result through the "
            "volume. See the <a href='{homepage}'>documentation</a>.<p><b>{notice}</b>"
        ).format(homepage=HOMEPAGE, notice=NOT_FOR_CLINICAL_USE)
        parent.acknowledgementText = _(
            "SAM-UNet: Yang et al., arXiv 2408.09886. The default weights were trained from LiteMedSAM's: Ma et al., "
            "Nature Communications 2024."
        )
        slicer.app.connect("startupCompleted()", self.registerSampleData)

    def registerSampleData(self):
        """Add the example to the module Sample Data."""
        from SAMUNetSlicerLib.widgets.sample_data import register

        register(Path(self.resourcePath("Icons/SAMUNetSlicer.png")))


@parameterNodeWrapper
class SAMUNetSlicerParameterNode:
    """What the panel shows. The work itself is kept beside it: see `SAMUNetSlicerLib.scene.nodes.state_node`."""

    volume: vtkMRMLScalarVolumeNode
    segmentation: vtkMRMLSegmentationNode
    modelName: str = ""
    device: str = "auto"
    writeMode: str = "replace"
    direction: str = "both"
    limitRange: bool = False
    rangeFirst: Annotated[int, WithinRange(0, 99_999)] = 0  # else connecting the spin boxes lets them be negative
    rangeLast: Annotated[int, WithinRange(0, 99_999)] = 0


class SAMUNetSlicerWidget(ScriptedLoadableModuleWidget):
    """The panel; its work is done by `SAMUNetSlicerLib.widgets.module_panel`."""

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        from SAMUNetSlicerLib.widgets.module_panel import ModulePanel

        uiWidget = slicer.util.loadUI(self.resourcePath("UI/SAMUNetSlicer.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = SAMUNetSlicerLogic()
        self.panel = ModulePanel(self.ui, self.logic, Path(self.resourcePath("requirements.txt")))

    def enter(self):
        self.panel.enter()

    def exit(self):
        self.panel.exit()

    def cleanup(self):
        self.panel.close()

    def onReload(self):
        """Reload the library too, and enter the new panel: Slicer's own reload calls `setup` and never `enter`."""
        library = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "SAMUNetSlicerLib"}
        self.panel.close()  # with the library that it was made from
        for name in library:
            del sys.modules[name]
        try:
            ScriptedLoadableModuleWidget.onReload(self)
        except Exception:
            sys.modules.update(library)  # the old panel stays, so that the mistake can be mended
            raise
        finally:
            if slicer.util.mainWindow() and slicer.util.selectedModule() == self.moduleName:
                slicer.util.getModuleWidget(self.moduleName).enter()


class SAMUNetSlicerLogic(ScriptedLoadableModuleLogic, SegmentationLogic):
    """The work without a window, for the Python console and scripts: the methods of `SegmentationLogic`."""

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        SegmentationLogic.__init__(self)

    def getParameterNode(self):
        return SAMUNetSlicerParameterNode(super().getParameterNode())


class SAMUNetSlicerTest(ScriptedLoadableModuleTest):
    """Runs in Slicer ("Reload and Test", ctest) and in the test host."""

    def setUp(self):
        slicer.mrmlScene.Clear(0)

    def runTest(self):
        from SAMUNetSlicerLib.widgets import self_test

        tests = self_test.tests_that_can_run()
        for test in tests:
            self.setUp()
            self.delayDisplay(test.__doc__)
            test(SAMUNetSlicerLogic())
        if tests != self_test.TESTS:
            self.delayDisplay(_("Segmenting was not tested: the module's requirements are not installed."))
        self.delayDisplay("Test passed")
