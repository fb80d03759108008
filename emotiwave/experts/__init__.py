"""Three trained experts, for words, voice and face; their weights are a distribution of their own.

Any of them can be replaced by a published classifier, and made as sure as it deserves on someone's own data.
"""

from emotiwave.experts.answer import Answer
from emotiwave.experts.calibrated import CalibratedExpert, Calibration
from emotiwave.experts.expert import Crop, ModalityExpert
from emotiwave.experts.face import FaceExpert
from emotiwave.experts.loading import MODALITIES, Chosen, Experts, load_experts
from emotiwave.experts.published import PublishedExpert
from emotiwave.experts.text import TextExpert
from emotiwave.experts.voice import Speaker, VoiceExpert

__all__ = [
    "MODALITIES",
    "Answer",
    "CalibratedExpert",
    "Calibration",
    "Chosen",
    "Crop",
    "Experts",
    "FaceExpert",
    "ModalityExpert",
    "PublishedExpert",
    "Speaker",
    "TextExpert",
    "VoiceExpert",
    "load_experts",
]
