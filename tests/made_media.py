"""Small media files for tests, made with known pictures, sound and times."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
TICKS = 12_800
"""Per second, of the times of videos: a multiple of every usual frame rate up to 60."""

SOUND_CODECS = {
    ".wav": "pcm_s16le",
    ".flac": "flac",
    ".mp3": "libmp3lame",
    ".m4a": "aac",
    ".mp4": "aac",
    ".aac": "aac",
    ".mkv": "aac",
    ".mov": "aac",
    ".avi": "libmp3lame",
    ".ts": "aac",
    ".ogg": "libopus",
    ".opus": "libopus",
    ".webm": "libopus",
}
LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "quad", 6: "5.1", 8: "7.1"}
PACKED = {"s16": np.int16, "s32": np.int32, "flt": np.float32, "dbl": np.float64, "u8": np.uint8}


def grey_picture(index: int, size: tuple[int, int]) -> Picture:
    """An even grey that tells the index: 40, 46, 52 ... and over again after 32 frames."""
    return np.full((size[1], size[0], 3), 40 + 6 * (index % 32), dtype=np.uint8)


def index_of(image: Picture) -> int:
    """The index (modulo 32) that `grey_picture` was given, out of what was decoded."""
    return round((float(image.mean()) - 39) / 6)


def click(seconds: float, at: float, rate: int = 16_000, channels: int = 1) -> NDArray[np.float32]:
    """Silence ``(channels, samples)`` with a short smooth click of 1 ms around a time."""
    times = np.arange(round(seconds * rate)) / rate
    one = 0.8 * np.exp(-0.5 * ((times - at) / 0.0005) ** 2)
    return np.tile(one.astype(np.float32), (channels, 1))


def write_video(
    path: Path,
    n_frames: int = 25,
    fps: float = 25.0,
    size: tuple[int, int] = (64, 48),
    pictures: Callable[[int], Picture] | None = None,
    sound: NDArray[np.float32] | None = None,
    rate: int = 16_000,
    times: Sequence[float] | None = None,
    rotation: int = 0,
    *,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    options: dict[str, str] | None = None,
    keyframes: int = 12,
    aspect: Fraction | None = None,
    sound_start: float = 0.0,
    sound_codec: str | None = None,
    subtitles: Sequence[tuple[float, float, str]] = (),
) -> Path:
    """Write a video; by default its pictures are even greys that `index_of` tells apart.

    ``times`` in seconds replace ``fps`` for a variable frame rate; ``rotation`` is how far a player must turn the
    pictures counter-clockwise; ``sound`` is ``(samples,)`` or ``(channels, samples)`` at ±1 and starts at
    ``sound_start`` seconds; ``subtitles`` are (start, end, text).
    """
    options = {"preset": "ultrafast", "crf": "12"} | (options or {}) if codec == "libx264" else (options or {})
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001), options=options)
        video.width, video.height, video.pix_fmt, video.gop_size = *size, pixels, keyframes
        video.time_base = video.codec_context.time_base = Fraction(1, TICKS)
        if aspect is not None:
            video.codec_context.sample_aspect_ratio = aspect
        if rotation:
            video.set_display_rotation(rotation)
        audio = None
        if sound is not None:
            sound = np.atleast_2d(sound)
            audio = container.add_stream(
                sound_codec or SOUND_CODECS[path.suffix], rate=rate, layout=LAYOUTS[len(sound)]
            )
        text = None
        if subtitles:
            text = container.add_mux_stream("mov_text" if path.suffix in (".mp4", ".mov") else "subrip")
        for index in range(n_frames):
            picture = pictures(index) if pictures else grey_picture(index, size)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pixels)
            time = times[index] if times is not None else index / fps
            frame.pts, frame.time_base = round(time * TICKS), Fraction(1, TICKS)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if audio is not None:
            _encode_sound(container, audio, sound, rate, sound_start)
        if text is not None:
            _mux_subtitles(container, text, subtitles, is_mov=path.suffix in (".mp4", ".mov"))
    return path


def write_sound(
    path: Path,
    samples: NDArray[np.float32],
    rate: int = 16_000,
    *,
    codec: str | None = None,
    start: float = 0.0,
    cover: Picture | None = None,
) -> Path:
    """Write sound ``(samples,)`` or ``(channels, samples)`` at ±1; the suffix says the format; ``cover`` for .mp3."""
    samples = np.atleast_2d(samples)
    codec = codec or SOUND_CODECS[path.suffix]
    with av.open(str(path), "w") as container:
        audio = container.add_stream(codec, rate=rate, layout=LAYOUTS[len(samples)])
        if cover is not None:
            picture = container.add_stream("png")
            picture.width, picture.height, picture.pix_fmt = cover.shape[1], cover.shape[0], "rgb24"
            picture.disposition = av.stream.Disposition.attached_pic
            container.mux(picture.encode(av.VideoFrame.from_ndarray(cover, format="rgb24")))
            container.mux(picture.encode())
        _encode_sound(container, audio, samples, rate, start)
    return path


def _encode_sound(container, audio, samples: NDArray[np.float32], rate: int, start: float) -> None:
    layout = LAYOUTS[len(samples)]
    fifo = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples, np.float32), format="fltp", layout=layout)
    fifo.sample_rate, fifo.pts, fifo.time_base = rate, round(start * rate), Fraction(1, rate)
    container.start_encoding()
    resampler = av.AudioResampler(
        format=audio.format.name, layout=layout, rate=audio.rate, frame_size=audio.codec_context.frame_size or 1024
    )
    for frame in [*resampler.resample(fifo), *resampler.resample(None)]:
        container.mux(audio.encode(frame))
    container.mux(audio.encode())


def _mux_subtitles(container, text, subtitles: Sequence[tuple[float, float, str]], *, is_mov: bool) -> None:
    for start, end, line in subtitles:
        payload = line.encode()
        if is_mov:  # such a line says its length first
            payload = len(payload).to_bytes(2, "big") + payload
        packet = av.Packet(payload)
        packet.stream, packet.time_base = text, Fraction(1, 1000)
        packet.pts = packet.dts = round(1000 * start)
        packet.duration = round(1000 * (end - start))
        container.mux(packet)
