"""Names under which the work stands in the scene: attributes, node references and parameters. Saved files hold them."""

from __future__ import annotations

from ...project import NAME

# Attribute of every node that is ours, and its values.
ROLE = f"{NAME}.Role"
ROLE_STATE = "state"
ROLE_PROPOSALS = "proposals"
ROLE_PROMPTS = "prompts"
ROLE_RESULT = "result"

# Attributes of markups nodes; SEGMENT, STACK and FRAME also as tags of proposal segments.
SEGMENT = f"{NAME}.Segment"
SIGN = f"{NAME}.Sign"
STACK = f"{NAME}.Stack"
FRAME = f"{NAME}.Frame"

# Attribute of a state node: each item of the volume's sequence has a result of its own.
ITEM_RESULTS = f"{NAME}.ItemResults"

# References of the state node.
REFERENCE_VOLUME = "volume"
REFERENCE_SEGMENTATION = "segmentation"
REFERENCE_PROPOSALS = "proposals"
REFERENCE_PROMPTS = "prompts"

# Parameter of the state node that holds the document, and the one that keeps a document that could not be read.
DOCUMENT = "Document"
SET_ASIDE = "SetAside"
