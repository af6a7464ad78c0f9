"""Several answers about one object as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from .preprocessing import PROMPT_LOGIT

if TYPE_CHECKING:
    from .predictor import PlaneMask

# An answer judged worse by so much (of IoU) counts 1 / e times as much; chosen on development cases.
_DISCERNMENT = 0.05


def consensus(answers: Sequence[PlaneMask]) -> PlaneMask:
    """The mean of answers from one crop, weighted by how the network judges each; plain where it does not judge."""
    judged = all(answer.quality is not None for answer in answers)
    quality = np.array([answer.quality for answer in answers] if judged else [0.0] * len(answers))
    weights = np.exp((quality - quality.max()) / _DISCERNMENT)
    weights /= weights.sum()
    logits = np.tensordot(weights, np.stack([bounded(answer.logits) for answer in answers]), axes=1)
    return replace(answers[0], logits=logits.astype(np.float32), quality=float(weights @ quality) if judged else None)


def bounded(logits: np.ndarray) -> np.ndarray:
    """Logits as sure as a network's answers usually are, at most."""
    return np.clip(logits, -PROMPT_LOGIT, PROMPT_LOGIT)
