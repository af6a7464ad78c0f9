"""Segment an organ from a box on one slice: load this file in Slicer's Python console and call `segment_organ`.

    exec(open("/path/to/segment_in_slicer.py").read())
    segmentationNode = segment_organ(slicer.util.getNode("CT"), slicer.util.getNode("R"), "Liver")

The ROI must lie around the organ on the slice through its centre. Needs the module SAMUNetSlicer and its requirements.
For research only. Not for clinical use.
"""

# ruff: noqa: N803, N806, T201 (names as in Slicer; a console prints)

import slicer


def segment_organ(volumeNode, roiNode, name, orientation="axial", model="sam_unet_tiny", logic=None):
    """Make a segmentation of one organ and return its node.

    orientation: the planes that are gone through; "axial", "coronal" or "sagittal".
    """
    if logic is None:
        logic = slicer.util.getModuleLogic("SAMUNetSlicer")
        logic.loadModel(model)
    segmentationNode = logic.createSegmentation(volumeNode, name)
    segmentID = logic.addSegment(segmentationNode, name, volumeNode=volumeNode)

    outcome = logic.segment(volumeNode, segmentationNode, segmentID, boxes=roiNode, orientation=orientation)
    for note in outcome.notes:
        print(note)
    logic.accept(segmentationNode, segmentID, orientation=orientation)

    for step in logic.propagate(segmentationNode, segmentID, orientation):
        if step.stopped:
            print(f"Ended at plane {step.index}: {step.stopped}.")
        else:
            print(f"Plane {step.index}: confidence {step.confidence:.2f}")
        slicer.app.processEvents()

    # Leave the doubtful planes as proposals, to be looked at in the module.
    states = logic.planeStates(segmentationNode, segmentID, orientation)
    sure = [index for index, state in enumerate(states) if state.proposed and state.confidence >= 0.5]
    if sure:
        logic.accept(segmentationNode, segmentID, planes=sure, orientation=orientation)
    return segmentationNode
