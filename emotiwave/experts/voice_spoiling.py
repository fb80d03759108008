"""What a voice goes through in training, so that microphones, rooms and other bodies do not surprise it."""

from collections.abc import Sequence

import numpy as np

from emotiwave.corruption.sound import (
    COLOURS,
    Samples,
    add_noise,
    change_speed,
    change_tempo,
    clip,
    coloured_noise,
    over_telephone,
    reverberate,
    room_response,
    shift_pitch,
)
from emotiwave.signals import SAMPLE_RATE

SPEEDS = (0.88, 1.14)
SEMITONES = 2.0
DECIBELS = (0.0, 30.0)
"""Signal-to-noise ratios."""
REVERBERATION = (0.15, 0.8)
"""Seconds in which a room's answer falls by 60 dB."""
BABBLERS = 3
CLIPPED = 0.05
"""Largest share of samples at the ceiling."""
GAINS = (-30.0, 10.0)
"""dB."""


def spoil_voice(samples: Samples, others: Sequence[Samples], generator: np.random.Generator) -> Samples:
    """Change speed, tempo or pitch, then perhaps put the voice into a room, noise, a telephone, or clip it.

    Noise is drawn, or is the babble of `BABBLERS` others. Last, it is made louder or quieter, as by another distance or
    another microphone.
    """
    way = generator.integers(4)
    if way == 1:
        samples = change_speed(samples, generator.uniform(*SPEEDS))
    elif way == 2:
        samples = change_tempo(samples, generator.uniform(*SPEEDS), SAMPLE_RATE)
    elif way == 3:
        samples = shift_pitch(samples, generator.uniform(-SEMITONES, SEMITONES), SAMPLE_RATE)
    if generator.random() < 0.3:
        samples = reverberate(samples, room_response(generator.uniform(*REVERBERATION), SAMPLE_RATE, generator))
    if generator.random() < 0.5:
        samples = add_noise(samples, _noise(len(samples), others, generator), generator.uniform(*DECIBELS))
    if generator.random() < 0.15:
        samples = over_telephone(samples, SAMPLE_RATE)
    if generator.random() < 0.15:
        samples = clip(samples, generator.uniform(0.0, CLIPPED))
    return (samples * 10 ** (generator.uniform(*GAINS) / 20)).clip(-1, 1).astype(np.float32)


def _noise(n_samples: int, others: Sequence[Samples], generator: np.random.Generator) -> Samples:
    if generator.random() < 0.4:
        chosen = [others[k] for k in generator.choice(len(others), BABBLERS, replace=False)]
        voices = [np.resize(np.roll(voice, generator.integers(len(voice))), n_samples) for voice in chosen]
        return np.stack(voices).sum(axis=0)
    colour = str(generator.choice(list(COLOURS)))
    return coloured_noise(n_samples, colour, SAMPLE_RATE, generator)
