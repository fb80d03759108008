"""Media in, an `Analysis` out: by the experts, or by a run that was trained on media."""

from emotiwave.recognizer.clip import Clip, make_clip
from emotiwave.recognizer.clip_reading import Heard
from emotiwave.recognizer.expert_recognizer import ExpertRecognizer
from emotiwave.recognizer.failures import Failed
from emotiwave.recognizer.settings import RecognizerSettings

__all__ = ["Clip", "ExpertRecognizer", "Failed", "Heard", "RecognizerSettings", "make_clip"]
