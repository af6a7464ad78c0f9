"""What the user is told when the work goes on in another way: the panel translates these sentences."""

from __future__ import annotations

ONE_AT_A_TIME = "Memory is short, so one plane is computed at a time."
HALF_PRECISION = "The graphics card has little memory, so it computes in half precision."
ON_THE_PROCESSOR = "The graphics card has not enough memory; the work goes on on the processor, more slowly."
NO_OPENVINO = "The model could not be prepared for OpenVINO, so PyTorch computes, which is slower."

NOTES = (ONE_AT_A_TIME, HALF_PRECISION, ON_THE_PROCESSOR, NO_OPENVINO)
