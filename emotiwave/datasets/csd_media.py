"""CMU-MOSEI and CMU-MOSI as media: a folder of videos named by id, with times and labels from the label ``.csd``.

The layout is that of the raw data of CMU-MultimodalSDK (``Raw/Videos/Full/Combined/ID.mp4``,
``Raw/Audio/Full/WAV_16000/ID.wav``, ``Raw/Transcript/Full/Combined/ID.txt``), or any other: files are found by their
name, at any depth.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from emotiwave.datasets.csd.corpus import CsdCorpus, Labelling, LabelSettings, check_label_root, read_segments
from emotiwave.datasets.csd.reader import CsdFile
from emotiwave.datasets.csd_media_files import MediaFiles, find_media, segment_texts
from emotiwave.errors import DatasetError
from emotiwave.recordings import Count, MediaRecordings, Sources
from emotiwave.settings import AbsolutePath
from emotiwave.types import Utterance


class CsdMediaSettings(LabelSettings):
    """Keys of ``[dataset]`` for media whose labels lie in a ``.csd`` file, which ``root`` holds."""

    media: AbsolutePath | None = None
    """The folder that videos, sounds and transcripts lie below, at any depth; ``root`` by default."""
    text: Literal["words", "transcripts"] = "words"
    """What is taken first: the ``.csd`` file of timed words in ``root``, or the transcripts, which have punctuation and
    no times of words. The other is taken for a video that has no timed words at all, or for a segment whose times are
    those of no line."""


def load_media(corpus: CsdCorpus, settings: CsdMediaSettings, task: str, labelling: Labelling) -> MediaRecordings:
    """Read labels and folds, and find the files of every labelled video.

    Videos that are not there (many were deleted where they came from) are counted; their segments stay where there is a
    sound or a text of them.

    Raises:
        DatasetError: If a file is missing or is not as it must be, or no labelled video is there.
    """
    root = check_label_root(corpus, settings)
    folder = settings.media or root
    if not folder.is_dir():
        raise DatasetError(f"{corpus.name}: dataset.media: {folder} is no folder; expected videos named by id below it")
    segments = read_segments(corpus, root, settings, task, labelling)
    counts = segments.counts
    files = _find(corpus, folder, segments.utterances, counts)
    words = root / corpus.words
    timed = _ids_of_words(words) if words.exists() else frozenset[str]()
    first_in_words = timed if settings.text == "words" else frozenset[str]()
    texts = segment_texts(files, [u for u in segments.utterances if u.dialogue not in first_in_words], counts)
    utterances, sources = [], {}
    for utterance in segments.utterances:
        of_utterance = _sources(utterance, files, words, timed, texts)
        if of_utterance.signals:
            sources[utterance.id] = of_utterance
            utterances.append(_place(utterance, files, texts))
    _count_texts(list(sources.values()), len(segments.utterances), counts)
    return MediaRecordings(
        name=corpus.name,
        task=task,
        licence=corpus.licence,
        label_set=labelling.label_set,
        utterances=tuple(utterances),
        sources=sources,
        tables=(segments.labels.path, *((segments.folds,) if segments.folds else ())),
        counts=counts,
    )


def _find(corpus: CsdCorpus, folder: Path, utterances: Sequence[Utterance], counts: dict[str, Count]) -> MediaFiles:
    videos = {str(utterance.dialogue) for utterance in utterances}
    files = find_media(folder, videos, counts)
    if not files.videos and not files.sounds:
        raise DatasetError(
            f"{corpus.name}: none of the {len(videos)} labelled videos is below {folder}; expected files named by id, "
            f"such as Raw/Videos/Full/Combined/{min(videos)}.mp4 or Raw/Audio/Full/WAV_16000/{min(videos)}.wav; set "
            "dataset.media if they are elsewhere"
        )
    missing = videos - files.videos.keys()
    counts["labelled videos without a video file"] = len(missing)
    counts["labelled videos with a sound file only"] = len(missing & files.sounds.keys())
    return files


def _ids_of_words(path: Path) -> frozenset[str]:
    with CsdFile(path) as file:
        if not file.holds_words:
            raise DatasetError(f"{path}: holds numbers; expected the file of timed words")
        return frozenset(file.ids)


def _sources(
    utterance: Utterance, files: MediaFiles, words: Path, timed: Collection[str], texts: dict[str, str]
) -> Sources:
    video = str(utterance.dialogue)
    text = texts.get(utterance.id)
    has_words = text is None and video in timed
    return Sources(
        video=files.path(files.videos, video),
        audio=files.path(files.sounds, video),
        text=text,
        words=words if has_words else None,
        words_id=video if has_words else None,
    )


def _place(utterance: Utterance, files: MediaFiles, texts: dict[str, str]) -> Utterance:
    """Name the file, relative to the folder of the media, that the times of the segment are of."""
    if utterance.segment is None:  # `read_segments` gives none
        return utterance
    video = utterance.segment.file
    file = files.videos.get(video) or files.sounds.get(video) or video
    return replace(utterance, segment=replace(utterance.segment, file=file), transcript=texts.get(utterance.id))


def _count_texts(sources: Sequence[Sources], n_segments: int, counts: dict[str, Count]) -> None:
    from_words = sum(of.words is not None for of in sources)
    from_transcripts = sum(of.text is not None for of in sources)
    counts["segments with timed words"] = from_words
    counts["segments with a line of a transcript"] = from_transcripts
    counts["segments without words"] = len(sources) - from_words - from_transcripts
    counts["segments without video, sound and words, left out"] = n_segments - len(sources)
