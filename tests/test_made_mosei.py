"""What the made CMU-MOSEI files say of themselves, read with h5py alone and worked out again in another way."""

import itertools
import json
import math
import re
import tracemalloc
from collections import Counter

import h5py
import numpy as np
import pytest
from pydantic import ValidationError
from scipy.stats import multivariate_normal, norm

from emotiwave.datasets.made_mosei import MadeModality, MadeMoseiSettings, write_made_mosei
from emotiwave.datasets.made_mosei.frames import column_names
from emotiwave.datasets.made_mosei.settings import MODALITIES, PREVALENCE
from emotiwave.datasets.made_mosei.words import NEUTRAL, SPOKEN
from emotiwave.errors import DatasetError
from emotiwave.npz import read_archive

EMOTIONS = ("happiness", "sadness", "anger", "surprise", "disgust", "fear")
SMALL = {"text": 12, "audio": 9, "vision": 11, "facet": 8}
CONFIGURATIONS = ["text", "audio", "vision", "text+audio", "text+vision", "audio+vision", "text+audio+vision"]
ROOTS = {
    "labels": ("CMU_MOSEI_Labels.csd", "All Labels"),
    "words": ("CMU_MOSEI_TimestampedWords.csd", "words"),
    "text": ("CMU_MOSEI_TimestampedWordVectors.csd", "glove_vectors"),
    "audio": ("CMU_MOSEI_COVAREP.csd", "COVAREP"),
    "vision": ("CMU_MOSEI_VisualOpenFace2.csd", "OpenFace_2"),
    "facet": ("CMU_MOSEI_VisualFacet42.csd", "FACET 4.2"),
}


def made(folder, **changes):
    return write_made_mosei(folder, MadeMoseiSettings(**({"n_videos": 20, "sizes": SMALL} | changes)))


def read(made_files, name):
    """Video -> features, intervals."""
    file_name, root = ROOTS[name]
    assert made_files.files[name] == made_files.folder / file_name
    with h5py.File(made_files.files[name]) as file:
        assert list(file) == [root]
        return {v: (g["features"][()], g["intervals"][()]) for v, g in file[root]["data"].items()}


def dimension_names(made_files, name):
    with h5py.File(made_files.files[name]) as file:
        metadata = file[ROOTS[name][1]]["metadata"]
        return json.loads(metadata["dimension names"][0]) if "dimension names" in metadata else None


def middle(intervals):
    return (intervals[:, 0] + intervals[:, 1]) / 2


@pytest.fixture(scope="module")
def trapped(tmp_path_factory):
    return made(tmp_path_factory.mktemp("trapped"), facet=True, seed=4)


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    return made(tmp_path_factory.mktemp("clean"), traps=False)


# --- the layout


def test_official_names_roots_types_sizes_and_rates(tmp_path):
    files = write_made_mosei(
        tmp_path, MadeMoseiSettings(n_videos=3, segments_per_video=1, traps=False, facet=True, compression=1)
    )
    expected = {"labels": 7, "words": 1, "text": 300, "audio": 74, "vision": 713, "facet": 35}
    rates = {"audio": 100, "vision": 30, "facet": 30}
    for name, size in expected.items():
        entries = read(files, name)
        assert len(entries) == 3
        for features, intervals in entries.values():
            assert features.dtype == ("S32" if name == "words" else np.float32)
            assert features.shape == (len(intervals), size)
            assert intervals.dtype == np.float64
            if name in rates:
                np.testing.assert_allclose(np.diff(intervals, axis=1), 1 / rates[name])
        assert len(dimension_names(files, name)) == size
    assert dimension_names(files, "labels") == ["sentiment", "happy", "sad", "anger", "surprise", "disgust", "fear"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [file for file, _ in ROOTS.values()] + ["standard_folds.json", "made_truth.json", "made_truth.npz"]
    )
    words = sum(len(features) for features, _ in read(files, "words").values())
    seconds = sum(intervals[-1, 1] for _, intervals in read(files, "audio").values())
    assert 2.2 < words / seconds < 3.4


def test_the_columns_are_those_of_the_tools():
    names = column_names("vision", 713)
    assert len(set(names)) == 713
    assert names[:5] == ["face_id", "timestamp", "confidence", "success", "gaze_0_x"]
    assert names[-1] == "AU_c_17"
    assert not any(name.startswith("further") for name in names + column_names("audio", 74))
    assert column_names("vision", 715)[-2:] == ["further_0", "further_1"]


def test_the_same_seed_makes_the_same_files_and_another_seed_others(trapped, tmp_path):
    again, other = made(tmp_path / "a", facet=True, seed=4), made(tmp_path / "b", facet=True, seed=5)
    for name in ROOTS:
        before, after = read(trapped, name), read(again, name)
        assert before.keys() == after.keys() != read(other, name).keys()
        for video, arrays in before.items():
            for first, second in zip(arrays, after[video], strict=True):
                assert first.tobytes() == second.tobytes()
    assert trapped.planted == again.planted
    assert all(np.array_equal(trapped.posteriors[name], again.posteriors[name]) for name in CONFIGURATIONS)


def test_the_truth_is_written_as_it_is_told(trapped):
    arrays = read_archive(trapped.folder / "made_truth.npz")
    assert list(arrays) == ["ids", *CONFIGURATIONS]
    assert arrays["ids"].dtype.kind == "U"
    assert tuple(arrays["ids"]) == trapped.ids
    for name in CONFIGURATIONS:
        assert arrays[name].dtype == np.float64
        np.testing.assert_array_equal(arrays[name], trapped.posteriors[name])
    told = json.loads((trapped.folder / "made_truth.json").read_text())
    assert told["planted"] == trapped.planted
    assert told["planted_by_file"] == trapped.planted_by_file
    assert set(told["spans"]) == set(trapped.ids)
    rows = [f"{video}[{row}]" for video, (labels, _) in read(trapped, "labels").items() for row in range(len(labels))]
    assert set(rows) == set(trapped.ids)


# --- traps, counted again


def by_file(made_files):
    """Count every kind of finding, one frame or row at a time."""
    found = {file: Counter(root_name=1) for name, (file, _) in ROOTS.items() if name in made_files.files}
    labels = read(made_files, "labels")
    segments = {video: intervals for video, (_, intervals) in labels.items()}
    found[ROOTS["labels"][0]] += count_labels(labels, json.loads(made_files.files["folds"].read_text()))
    tokens = read(made_files, "words")
    for name in made_files.files:
        if name in ("labels", "folds"):
            continue
        count, entries = found[ROOTS[name][0]], read(made_files, name)
        count["missing_modality"] = len(set(labels) - set(entries))
        for video, (features, intervals) in entries.items():
            if len(features) != len(intervals):
                count["damaged_entries"] += 1
                continue
            count += count_times(intervals, segments.get(video, np.empty((0, 2))))
            found[ROOTS[name][0]] = count
            if name == "words":
                count["pause_tokens"] += [word for (word,) in features].count(b"sp")
            if name == "text":
                count["fewer_vectors_than_words"] += len(features) < len(tokens[video][0])
        if name != "words":
            count += count_values(entries, dimension_names(made_files, name))
            found[ROOTS[name][0]] = count
    folds = json.loads(made_files.files["folds"].read_text())
    found["standard_folds.json"] = Counter(
        fold_without_labels=sum(video not in labels for ids in folds.values() for video in ids)
    )
    return {file: dict(+count) for file, count in found.items()}


def count_labels(labels, folds):
    count = Counter()
    in_fold = set(itertools.chain(*folds.values()))
    present = []
    for video, (values, intervals) in labels.items():
        count["several_segments"] += len(values) > 1
        count["leading_dash"] += video[0] == "-"
        count["digit_suffix"] += re.fullmatch(r".*_\d", video) is not None
        count["unsorted_rows"] += sorted(intervals[:, 0]) != list(intervals[:, 0])
        count["not_in_fold"] += len(values) * (video not in in_fold)
        for row, (start, end) in enumerate(intervals):
            count["negative_start"] += start < 0
            count["empty_segments"] += end <= start
            count["overlapping_segments"] += any(
                min(end, e) > max(start, s) for other, (s, e) in enumerate(intervals) if other != row
            )
        for sentiment, *emotions in values.tolist():
            if not all(map(math.isfinite, [sentiment, *emotions])):
                count["labels_non_finite"] += 1
                continue
            highest = max(emotions)
            count["labels_all_zero"] += highest == 0
            count["labels_tied"] += highest > 0 and emotions.count(highest) > 1
            count["labels_out_of_range"] += abs(sentiment) > 3 or highest > 3 or min(emotions) < 0
            present.append([value > 0 for value in emotions])
    count["class_imbalance"] = sum(share < 0.1 for share in np.mean(present, axis=0))
    return count


def count_times(intervals, segments):
    count = Counter()
    ended = -math.inf
    for start, end in sorted(row for row in intervals.tolist() if row[1] >= row[0]):
        count["overlapping_intervals"] += ended - start > 0.01 * (end - start)
        ended = max(ended, end)
    for start, end in intervals:
        count["negative_intervals"] += start < 0
        count["inverted_intervals"] += not end >= start
    times = [time for time in middle(intervals) if not math.isnan(time)]
    count["unsorted_intervals"] += times != sorted(times)
    for start, end in segments:
        if end > start:
            n_frames = sum(max(start, 0) <= time < max(end, 0) for time in times)
            count["long_segments"] += n_frames > 300
            count["segments_without_frames"] += n_frames == 0
    return count


def count_values(entries, names):
    count, columns = Counter(), [set() for _ in names]
    for features, intervals in entries.values():
        if len(features) != len(intervals):
            continue
        for frame in features.tolist():
            if not all(map(math.isfinite, frame)):
                count["non_finite"] += 1
            elif not any(frame):
                count["all_zero_frames"] += 1
            else:
                for seen, value in zip(columns, frame, strict=True):
                    if len(seen) < 2:
                        seen.add(value)
            if "success" in names:
                count["failed_frames"] += frame[names.index("success")] == 0
    count["constant_columns"] = sum(len(seen) == 1 for seen in columns)
    return count


EVERY_KIND = {
    *("several_segments", "labels_all_zero", "labels_tied", "labels_out_of_range", "labels_non_finite"),
    *("class_imbalance", "negative_start", "empty_segments", "overlapping_segments", "unsorted_rows", "not_in_fold"),
    *("fold_without_labels", "leading_dash", "digit_suffix", "root_name", "non_finite", "constant_columns"),
    *("all_zero_frames", "failed_frames", "negative_intervals", "inverted_intervals", "overlapping_intervals"),
    *("unsorted_intervals", "pause_tokens", "fewer_vectors_than_words", "missing_modality", "long_segments"),
    *("segments_without_frames", "damaged_entries"),
}


def test_every_trap_is_planted_and_counted(trapped):
    assert by_file(trapped) == trapped.planted_by_file
    assert set(trapped.planted) == EVERY_KIND
    totals = Counter()
    for counts in trapped.planted_by_file.values():
        totals.update(counts)
    assert trapped.planted == totals


@pytest.mark.parametrize("seed", range(3))
def test_few_videos_are_enough_for_every_trap_that_is_not_left_to_chance(tmp_path, seed):
    files = made(tmp_path, n_videos=16, segments_per_video=2, seed=seed)
    assert by_file(files) == files.planted_by_file
    assert set(files.planted) >= EVERY_KIND - {"class_imbalance", "labels_tied", "labels_all_zero"}


def test_clean_files_hold_only_what_cannot_be_otherwise(clean):
    assert by_file(clean) == clean.planted_by_file
    assert set(clean.planted) <= {
        *("several_segments", "labels_all_zero", "labels_tied", "class_imbalance"),  # of any corpus of this kind
        *("root_name", "long_segments", "constant_columns"),  # of the published layout, whose tracker never fails here
    }


def test_some_ids_begin_with_others_and_some_with_a_dash(trapped):
    ids = list(read(trapped, "labels"))
    (suffixed,) = [video for video in ids if re.fullmatch(r".*_\d", video)]
    assert suffixed[:-2] in ids
    assert any(video.startswith("-") for video in ids)


def test_hidden_frames_look_hidden(trapped):
    audio = np.concatenate([features for features, _ in read(trapped, "audio").values()])
    bad = audio[~np.isfinite(audio).all(axis=1)]
    assert np.isneginf(bad).any()
    assert np.isnan(bad).any()
    names = dimension_names(trapped, "vision")
    vision = np.concatenate([features for features, _ in read(trapped, "vision").values()])
    confidence, success = vision[:, names.index("confidence")], vision[:, names.index("success")]
    assert set(success) == {0.0, 1.0}
    assert confidence[success == 0].max() <= 0.05 < 0.8 < confidence[success == 1].min()


def test_folds_hold_every_video_once_but_those_in_none(trapped):
    folds = json.loads(trapped.files["folds"].read_text())
    assert list(folds) == ["train", "valid", "test"]
    ids = list(itertools.chain(*folds.values()))
    assert len(set(ids)) == len(ids)
    assert all(folds.values())
    labels = read(trapped, "labels")
    unlabelled = set(ids) - set(labels)
    assert len(unlabelled) == 2
    assert len(unlabelled & set(read(trapped, "audio"))) == 1
    assert len(set(labels) - set(ids)) == 1


@pytest.mark.parametrize(
    ("spoil", "names"),
    [
        ("label_columns", None),
        ("label_order", ["sentiment", "happy", "sad", "anger", "surprise", "fear", "disgust"]),
        ("label_width", ["sentiment", "happy", "sad", "anger", "surprise", "disgust"]),
    ],
)
def test_a_label_file_is_spoilt_where_that_is_asked_for(clean, tmp_path, spoil, names):
    spoilt = made(tmp_path, traps=False, spoil=(spoil,))
    assert dimension_names(spoilt, "labels") == names
    width = 6 if spoil == "label_width" else 7
    for (video, (values, _)), (same, (spoilt_values, _)) in zip(
        read(clean, "labels").items(), read(spoilt, "labels").items(), strict=True
    ):
        assert video == same
        np.testing.assert_array_equal(values[:, :width], spoilt_values)
    expected = {"label_columns": 7, "label_order": 2, "label_width": 20}
    assert spoilt.planted == clean.planted | {spoil: expected[spoil]}


def test_an_unreadable_file_is_truncated(tmp_path):
    spoilt = made(tmp_path, traps=False, spoil=("unreadable",))
    assert spoilt.planted_by_file["CMU_MOSEI_COVAREP.csd"] == {"unreadable": 1}
    with pytest.raises(OSError, match="truncated"):
        h5py.File(spoilt.files["audio"])


# --- words


def test_every_word_but_a_pause_has_a_vector_with_its_times(trapped):
    vectors = read(trapped, "text")
    tokens = read(trapped, "words")
    assert tokens.keys() == vectors.keys()
    for video, (words, times) in tokens.items():
        spoken = words[:, 0] != b"sp"
        np.testing.assert_array_equal(times[spoken], vectors[video][1])
        assert {word.decode() for (word,) in words} <= {"sp", *NEUTRAL, *itertools.chain(*SPOKEN.values())}
        assert (np.diff(times, axis=1) > 0).all()
    shares = [(words == b"sp").mean() for words, _ in tokens.values()]
    assert 0.1 < np.mean(shares) < 0.2


# --- labels


def test_labels_say_what_is_present(tmp_path):
    files = made(
        tmp_path,
        n_videos=60,
        segments_per_video=25,
        sizes={"text": 5, "audio": 6, "vision": 8},
        rates={"audio": 5, "vision": 5},
    )
    row = {name: index for index, name in enumerate(files.ids)}
    sentiment, present = [], []
    for video, (values, _) in read(files, "labels").items():
        for index, (rated, *emotions) in enumerate(values.astype(float)):
            if not math.isfinite(rated):
                continue
            truth = files.presence[row[f"{video}[{index}]"]]
            assert (np.array(emotions) > 0).tolist() == truth.tolist()
            np.testing.assert_allclose(np.multiply(emotions, 3), np.round(np.multiply(emotions, 3)), atol=1e-5)
            sentiment.append(rated)
            present.append(truth)
    sentiment, present = np.array(sentiment), np.array(present)
    alone = {name: present[:, i] & (present.sum(axis=1) == 1) for i, name in enumerate(EMOTIONS)}
    assert sentiment[alone["happiness"]].mean() > 0.5
    assert sentiment[alone["sadness"]].mean() < -0.5
    for index, prevalence in enumerate(PREVALENCE.values()):
        error = math.sqrt(prevalence * (1 - prevalence) / len(files.presence))
        assert abs(files.presence[:, index].mean() - prevalence) < 4 * error
        # a calibrated posterior is the prevalence on average
        for name in CONFIGURATIONS:
            assert abs(files.posteriors[name][:, index].mean() - files.presence[:, index].mean()) < 4 * error
    assert_calibrated(files)


def assert_calibrated(files):
    """Of all answers near p a share of p is right: per tenth, within 4 standard errors."""
    n_bins = 0
    for name in CONFIGURATIONS:
        p, holds = files.posteriors[name].ravel(), files.presence.ravel()
        for low in np.arange(0, 1, 0.1):
            chosen = (p >= low) & (p < low + 0.1)
            error = math.sqrt((p[chosen] * (1 - p[chosen])).sum())
            if error >= 3:
                n_bins += 1
                assert abs(holds[chosen].sum() - p[chosen].sum()) < 4 * error, (name, low)
    assert n_bins > 50


# --- Bayes' rule, by brute force

TINY = {
    "text": MadeModality(rate=1.5, size=3, factors=3, strength=2.0, share=0.6, carries=("anger", "disgust")),
    "audio": MadeModality(rate=2.5, size=6, factors=2, strength=2.0, share=0.5, carries=("fear", "anger")),
    "vision": MadeModality(rate=2.0, size=7, factors=3, strength=2.0, share=0.4, carries=("happiness", "fear")),
    "facet": MODALITIES["facet"],
}


def own_part(segments, row):
    """The longest stretch after 0 s that lies in this segment alone, by cutting time at every border."""
    borders = sorted({0.0, *segments.ravel().tolist()})
    stretches, last = [], None
    for start, end in itertools.pairwise(borders):
        centre = (start + end) / 2
        holders = [r for r, (s, e) in enumerate(segments) if s <= centre < e]
        if holders == [row] and start >= 0:
            if last == start:
                stretches[-1] = (stretches[-1][0], end)
            else:
                stretches.append((start, end))
            last = end
    return max(stretches, key=lambda part: part[1] - part[0], default=(0.0, 0.0))


def log_likelihoods(stream, made_modality, frames, observed):
    """Mean density over all placings of the patterns, for every set of emotions that is carried."""
    usable = stream.factors.any(axis=0)
    factors, noise = stream.factors[:, usable], made_modality.noise
    own = 0.1 * noise
    covariance = own**2 * np.eye(usable.sum()) + (noise**2 - own**2) * factors.T @ factors
    standardized = (frames[:, usable] - stream.offset[usable]) / stream.scale[usable]
    normal = multivariate_normal(cov=covariance)
    n_span = max(1, round(made_modality.share * len(frames)))
    carried = made_modality.carries
    answer = {}
    for shown in itertools.chain.from_iterable(itertools.combinations(range(len(carried)), n) for n in range(3)):
        densities = []
        for starts in itertools.product(range(len(frames) - n_span + 1), repeat=len(shown)):
            mean = np.zeros_like(standardized)
            for pattern, start in zip(shown, starts, strict=True):
                mean[start : start + n_span] += factors[pattern]
            densities.append(normal.logpdf((standardized - mean)[observed]).sum() if observed.any() else 0.0)
        answer[frozenset(carried[i] for i in shown)] = np.mean(np.exp(densities))
    return answer


def test_the_posterior_is_what_brute_force_finds(tmp_path):
    files = write_made_mosei(
        tmp_path, MadeMoseiSettings(n_videos=16, segments_per_video=3, modalities=TINY, seed=2, shortest=2, longest=4)
    )
    labels = read(files, "labels")
    features = {name: read(files, name) for name in ("text", "audio", "vision")}
    success = dimension_names(files, "vision").index("success")
    n_frames, n_hidden, n_silent = 0, 0, 0
    for index, segment_id in enumerate(files.ids):
        video, row = segment_id[:-1].rsplit("[", 1)
        start, end = own_part(labels[video][1], int(row))
        likelihoods = {}
        for name, entries in features.items():
            values, intervals = entries.get(video, (np.empty((0, 1)), np.empty((0, 2))))
            if len(values) != len(intervals):
                continue
            in_time = np.argsort(middle(intervals), kind="stable")
            times = middle(intervals)[in_time]
            frames = values[in_time][(times >= start) & (times < end)].astype(float)
            if not len(frames):
                n_silent += 1
                continue
            observed = np.isfinite(frames).all(axis=1) & frames.any(axis=1)
            if name == "vision":
                observed &= frames[:, success] > 0
            n_frames, n_hidden = n_frames + len(frames), n_hidden + (~observed).sum()
            likelihoods[name] = log_likelihoods(files.streams[name], TINY[name], frames, observed)
        for name in CONFIGURATIONS:
            expected = posterior([likelihoods[m] for m in name.split("+") if m in likelihoods])
            np.testing.assert_allclose(files.posteriors[name][index], expected, rtol=1e-4, err_msg=segment_id)
    assert n_frames > 400
    assert n_hidden > 20
    assert n_silent > 2


def posterior(likelihoods):
    """P(emotion | frames) over all 64 sets of emotions."""
    joint = np.zeros((2,) * 6)
    for world in itertools.product((0, 1), repeat=6):
        p = math.prod(q if holds else 1 - q for q, holds in zip(PREVALENCE.values(), world, strict=True))
        present = {emotion for emotion, holds in zip(EMOTIONS, world, strict=True) if holds}
        for likelihood in likelihoods:
            carried = frozenset().union(*likelihood)
            p *= likelihood[frozenset(present & carried)]
        joint[world] = p
    return [joint.take(1, axis=axis).sum() / joint.sum() for axis in range(6)]


def test_a_pattern_lies_in_its_span_and_nowhere_else(trapped):
    """Along its direction an emotion adds 1 inside its span and 0 outside, in the units before scaling."""
    labels = read(trapped, "labels")
    for name, stream in trapped.streams.items():
        entries = read(trapped, name)
        carried = {emotion: stream.factors[i] for i, emotion in enumerate(stream.made.carries)}
        inside, outside = [], []
        for video, (values, intervals) in entries.items():
            if len(values) != len(intervals) or video not in labels:
                continue
            good = np.isfinite(values).all(axis=1) & values.any(axis=1) & np.isfinite(middle(intervals))
            if name == "vision":
                good &= values[:, 3] > 0
            times = middle(intervals)[good]
            standardized = (values[good] - stream.offset) / stream.scale
            for emotion, direction in carried.items():
                along = standardized @ direction
                shown = np.zeros(len(along), dtype=bool)
                for row, segment in enumerate(labels[video][1]):
                    spans = trapped.spans[f"{video}[{row}]"].get(name, {})
                    assert set(spans) <= {e for e, p in zip(EMOTIONS, presence(trapped, video, row), strict=True) if p}
                    if emotion in spans:
                        start, end = spans[emotion]
                        shown |= (times > start) & (times < end)
                        assert start >= segment[0] - 1 / stream.made.rate
                        assert end <= segment[1] + 1 / stream.made.rate
                inside.append(along[shown])
                outside.append(along[~shown])
        for parts, mean in ((inside, 1.0), (outside, 0.0)):
            frames = np.concatenate(parts)
            assert len(frames) > 100
            assert abs(frames.mean() - mean) < 4 * stream.made.noise / math.sqrt(len(frames))
            assert frames.std() == pytest.approx(stream.made.noise, rel=4 / math.sqrt(2 * len(frames)))


def test_patterns_start_anywhere_with_equal_chance(clean):
    """Where a pattern lies in the room it has: uniform, so mean 1/2 and variance 1/12."""
    labels, places = read(clean, "labels"), []
    for segment_id, by_modality in clean.spans.items():
        video, row = segment_id[:-1].rsplit("[", 1)
        first, last = own_part(labels[video][1], int(row))
        for start, end in by_modality.get("audio", {}).values():
            places.append((start - first) / (last - first - (end - start)))
    assert len(places) > 50
    assert abs(np.mean(places) - 1 / 2) < 4 / math.sqrt(12 * len(places))
    assert np.var(places) > 1 / 24


def test_a_long_segment_has_more_than_300_frames(tmp_path):
    files = made(tmp_path, traps=False, shortest=2.97, longest=3.03)
    assert by_file(files) == files.planted_by_file
    assert 20 < files.planted["long_segments"] < 80


def presence(files, video, row):
    return files.presence[files.ids.index(f"{video}[{row}]")]


def test_missing_and_damaged_modalities_say_nothing(trapped):
    prior = list(PREVALENCE.values())
    labels, audio = read(trapped, "labels"), read(trapped, "audio")
    mute = [v for v in labels if v not in audio or len(audio[v][0]) != len(audio[v][1])]
    assert len(mute) == 2
    for index, segment_id in enumerate(trapped.ids):
        if segment_id.rsplit("[", 1)[0] in mute:
            np.testing.assert_allclose(trapped.posteriors["audio"][index], prior)
            np.testing.assert_array_equal(trapped.posteriors["text+audio"][index], trapped.posteriors["text"][index])


def test_strength_is_what_the_best_answer_sees(tmp_path):
    """A pattern of strength s, found among one place only, is told from noise with an error of norm.cdf(-s / 2)."""
    sure = {name: modality.model_copy(update={"share": 1.0, "strength": 2.0}) for name, modality in MODALITIES.items()}
    prevalence = dict.fromkeys(PREVALENCE, 0.5)
    files = made(
        tmp_path,
        n_videos=30,
        segments_per_video=25,
        traps=False,
        shortest=5.0,
        longest=5.0,
        modalities=sure,
        prevalence=prevalence,
        rates={"audio": 20, "vision": 10},
    )
    wrong = (files.posteriors["vision"] > 0.5) != files.presence
    carried = [EMOTIONS.index(emotion) for emotion in MODALITIES["vision"].carries]
    expected = norm.cdf(-1.0)
    error = math.sqrt(expected * (1 - expected) / wrong[:, carried].size)
    assert abs(wrong[:, carried].mean() - expected) < 4 * error


# --- settings, real geometry, memory


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_videos": 15}, "at least 16 videos"),
        ({"n_videos": 2, "traps": False}, "at least 3 videos"),
        ({"shortest": 9.0}, "below shortest"),
        ({"segments": "x.csv"}, "go together"),
        ({"prevalence": {"fear": 0.1}}, "prevalence needs"),
        ({"sizes": {"smell": 3}}, "unknown modality 'smell'"),
        ({"rates": {"audio": 0.0}}, "rate above 0"),
        ({"sizes": {"vision": 7}}, "needs at least 8 features"),
        ({"modalities": {"text": MODALITIES["text"]}}, "modalities must be"),
        ({"spoil": ("everything",)}, "label_columns"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        MadeMoseiSettings(**changes)


def write_geometry(folder, n=8):
    """Videos of two segments each; those of the last are written in the wrong order of rows."""
    ids = [f"real{index}" for index in range(n)]
    rows = [f"{v}[{r}],{v},{r},{10 * r + i / 8},{10 * r + 4.5}" for i, v in enumerate(ids) for r in (0, 1)]
    rows[-2:] = rows[:-3:-1]
    segments, folds = folder / "segments.csv", folder / "folds.json"
    segments.write_text("\n".join(["segment_id,video_id,segment,start,end", *rows]) + "\n")
    split = {"train": [*ids[:4], "nowhere"], "valid": ids[4:6], "test": ids[6:]}
    folds.write_text(json.dumps(split))
    return segments, folds


def test_real_segment_times_and_folds_are_taken(tmp_path):
    segments, folds = write_geometry(tmp_path)
    files = made(tmp_path / "out", n_videos=4, segments=segments, folds=folds, traps=False)
    written = json.loads(files.files["folds"].read_text())
    assert written == {"train": ["real0", "real1"], "valid": ["real4"], "test": ["real6"]}
    labels = read(files, "labels")
    np.testing.assert_array_equal(labels["real4"][1], [[0.5, 4.5], [10.5, 14.5]])
    whole = made(tmp_path / "all", n_videos=8, segments=segments, folds=folds, traps=False)
    np.testing.assert_array_equal(read(whole, "labels")["real7"][1], [[0.875, 4.5], [10.875, 14.5]])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("video_id", "video", "expected the columns"),
        ("real2,0,0.25,", "real2,0,soon,", "line 6: expected a whole number and two times"),
        ("real2,0,0.25,", "real2,0,nan,", "line 6"),
        ("real5", "gone", "7 in|wanted"),
    ],
)
def test_a_geometry_that_cannot_be_read_is_refused(tmp_path, old, new, message):
    segments, folds = write_geometry(tmp_path)
    segments.write_text(segments.read_text().replace(old, new))
    with pytest.raises(DatasetError, match=message):
        made(tmp_path / "out", n_videos=8, segments=segments, folds=folds, traps=False)
    with pytest.raises(DatasetError, match="no such file"):
        made(tmp_path / "out", n_videos=8, segments=tmp_path / "none.csv", folds=folds, traps=False)


def test_a_folder_that_cannot_be_is_an_error_in_words(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match=r"file/out: made files cannot be written there"):
        made(tmp_path / "file" / "out")


def test_memory_does_not_grow_with_the_number_of_videos(tmp_path):
    peaks = []
    for n in (4, 16):
        tracemalloc.start()
        made(tmp_path / str(n), n_videos=n, sizes=SMALL | {"vision": 300}, segments_per_video=2, traps=False)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]
