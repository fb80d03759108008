"""CMU-MOSI with text re-derived: transcripts to be encoded, beside the declare-lab features of sound and video.

The published text vectors were trained on the labels of the train videos, and what is computed from the transcripts by
a frozen encoder is not. The published video vectors were too, so that a validation split cut from train still overrates
the models that use them.
"""

from emotiwave.datasets.mosi_files import LICENCE, MosiFilesSettings, read_mosi
from emotiwave.recordings import MediaRecordings, Sources


class MosiTranscriptsSettings(MosiFilesSettings):
    """Keys of ``[dataset]`` for ``name = "mosi_transcripts"``."""


def load(settings: MosiTranscriptsSettings) -> MediaRecordings:
    """Read the corpus, in the order of the videos and of the utterances in them.

    Raises:
        DatasetError: If a file is missing or its rows, columns or labels are not as published.
    """
    read = read_mosi(settings, ("audio", "vision"), corpus="mosi_transcripts")
    return MediaRecordings(
        name="mosi_transcripts",
        task=settings.task,
        licence=LICENCE,
        label_set=read.label_set,
        utterances=read.utterances,
        sources={utterance.id: Sources(text=utterance.transcript) for utterance in read.utterances},
        given=read.sequences,
        tables=read.tables,
    )
