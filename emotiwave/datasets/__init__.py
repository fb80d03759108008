"""Corpora: each gives raw sequences and labelled utterances; none aligns, scales or imports torch."""

from collections.abc import Callable
from typing import Any, NamedTuple

from emotiwave.datasets import (
    cremad,
    cremad_votes,
    dair_emotion,
    emodb,
    fer2013,
    goemotions,
    iemocap,
    image_folder,
    made_mosei_corpus,
    manifest,
    meld,
    mmsa,
    mosei,
    mosei_media,
    mosi,
    mosi_csd,
    mosi_media,
    mosi_transcripts,
    paired,
    ravdess,
    synthetic,
    table,
)
from emotiwave.recordings import MediaRecordings, Recordings
from emotiwave.settings import Settings
from emotiwave.types import Corpus


class Dataset(NamedTuple):
    """A corpus by name: the keys a recipe may set, and how it is read."""

    settings: type[Settings]
    load: Callable[[Any], Corpus]


class RecordedDataset(NamedTuple):
    """A corpus whose features lie in files of whole videos, and are prepared into a store before use."""

    settings: type[Settings]
    load: Callable[[Any], Recordings]


class MediaDataset(NamedTuple):
    """A corpus of media files, photos or texts, whose features are extracted into a store before use."""

    settings: type[Settings]
    load: Callable[[Any], MediaRecordings]


DATASETS: dict[str, Dataset | RecordedDataset | MediaDataset] = {
    "cremad": MediaDataset(cremad.CremadSettings, cremad.load),
    "cremad_votes": Dataset(cremad_votes.CremadVotesSettings, cremad_votes.load),
    "dair_emotion": MediaDataset(dair_emotion.DairEmotionSettings, dair_emotion.load),
    "emodb": MediaDataset(emodb.EmodbSettings, emodb.load),
    "fer2013": MediaDataset(fer2013.Fer2013Settings, fer2013.load),
    "goemotions": MediaDataset(goemotions.GoEmotionsSettings, goemotions.load),
    "iemocap": MediaDataset(iemocap.IemocapSettings, iemocap.load),
    "image_folder": MediaDataset(image_folder.ImageFolderSettings, image_folder.load),
    "made_mosei": RecordedDataset(made_mosei_corpus.MadeMoseiCorpusSettings, made_mosei_corpus.load),
    "manifest": MediaDataset(manifest.ManifestSettings, manifest.load),
    "meld": MediaDataset(meld.MeldSettings, meld.load),
    "mmsa": Dataset(mmsa.MmsaSettings, mmsa.load),
    "mosei": RecordedDataset(mosei.MoseiSettings, mosei.load),
    "mosei_media": MediaDataset(mosei_media.MoseiMediaSettings, mosei_media.load),
    "mosi": Dataset(mosi.MosiSettings, mosi.load),
    "mosi_csd": RecordedDataset(mosi_csd.MosiCsdSettings, mosi_csd.load),
    "mosi_media": MediaDataset(mosi_media.MosiMediaSettings, mosi_media.load),
    "mosi_transcripts": MediaDataset(mosi_transcripts.MosiTranscriptsSettings, mosi_transcripts.load),
    "paired": MediaDataset(paired.PairedSettings, paired.load),
    "ravdess": MediaDataset(ravdess.RavdessSettings, ravdess.load),
    "synthetic": Dataset(synthetic.SyntheticSettings, synthetic.load),
    "table": Dataset(table.TableSettings, table.load),
}
