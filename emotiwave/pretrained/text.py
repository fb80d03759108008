"""Text encoders: words cut into pieces and put together again; texts longer than the model in overlapping windows."""

import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from emotiwave.errors import CheckpointError
from emotiwave.pretrained.files import MAX_TOKENIZER
from emotiwave.pretrained.loading import Encoder
from emotiwave.pretrained.running import length_batches

if TYPE_CHECKING:
    import torch

Pieces = Literal["mean", "first"]

VOCABULARIES = ("tokenizer.json", "vocab*", "*.model")
BATCH_TOKENS = 4096
"""Tokens in one batch, padding included."""
OFFSET_TYPES = (
    "roberta",
    "xlm-roberta",
    "xlm-roberta-xl",
    "roberta-prelayernorm",
    "camembert",
    "mpnet",
    "data2vec-text",
)
"""Architectures that count positions from behind the padding token's index, and so hold fewer tokens than positions."""

PICTOGRAPHS = (range(0x2300, 0x2400), range(0x2600, 0x27C0), range(0x2B00, 0x2C00), range(0x1F300, 0x1FB00))
"""Code points of emoji, those of flags apart."""


@dataclass(frozen=True)
class Window:
    """Pieces ``start`` to ``stop`` of a text go through the model together; the states of the kept ones are used."""

    start: int
    stop: int
    keep_start: int
    keep_stop: int


@dataclass(frozen=True, eq=False)
class TextPreprocessing:
    """The tokenizer of an encoder; ``room`` is how many pieces of words go through at once, special tokens apart."""

    tokenizer: Any
    before: tuple[int, ...]
    """Special tokens that a text begins with."""
    after: tuple[int, ...]
    """Special tokens that it ends with."""
    padding: int
    room: int

    @classmethod
    def of(cls, encoder: Encoder) -> "TextPreprocessing":
        """Read the tokenizer beside the weights.

        Raises:
            CheckpointError: If there is none, or it is damaged or of another model.
        """
        folder = encoder.files.folder
        tokenizer = _read_tokenizer(folder)
        with _reading(folder):
            probe = tokenizer("a", return_special_tokens_mask=True, verbose=False)
            ids, inner = probe["input_ids"], np.flatnonzero(np.array(probe["special_tokens_mask"]) == 0)
            first, last = (int(inner[0]), int(inner[-1]) + 1) if len(inner) else (len(ids), len(ids))
            room = _max_tokens(encoder.config, tokenizer) - first - (len(ids) - last)
            padding = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
        if len(tokenizer) > encoder.config.vocab_size:
            raise CheckpointError(
                f"{encoder.name}: its tokenizer knows {len(tokenizer):,} pieces and its network "
                f"{encoder.config.vocab_size:,}; they do not belong together: fetch the checkpoint again"
            )
        if room < 1:
            raise CheckpointError(f"{encoder.name}: no room for a word beside the special tokens; fetch it again")
        return cls(tokenizer, tuple(ids[:first]), tuple(ids[last:]), padding, room)

    def pieces(self, words: Sequence[str]) -> tuple[list[int], NDArray[np.int64]]:
        """Cut a text into pieces: their ids, and which word each belongs to."""
        there = np.array([index for index, word in enumerate(words) if word.strip()], np.int64)
        spoken = [self._legible(word) for word in words if word.strip()]
        if not spoken:
            return [], there
        with _reading(self.tokenizer.name_or_path):
            encoded = self.tokenizer(
                " ".join(spoken), add_special_tokens=False, return_offsets_mapping=True, truncation=False, verbose=False
            )
        offsets = np.array(encoded["offset_mapping"], np.int64).reshape(-1, 2)
        # a word's end is not in it; a piece that is but the space before a word belongs to that word
        ends = np.cumsum([len(word) + 1 for word in spoken], dtype=np.int64) - 1
        last_characters = np.maximum(offsets[:, 1] - 1, offsets[:, 0])
        owners = np.searchsorted(ends, last_characters, side="right")
        return encoded["input_ids"], there[np.minimum(owners, len(spoken) - 1)]

    def _legible(self, word: str) -> str:
        """Write emoji by their names where the tokenizer has no piece for one of them."""
        if not any(_is_pictograph(letter) for letter in word):
            return word
        ids = self.tokenizer(word, add_special_tokens=False, verbose=False)["input_ids"]
        return name_emoji(word) if self.tokenizer.unk_token_id in ids else word

    def windows(self, n_pieces: int) -> list[Window]:
        """Cut a long text into windows that overlap by a quarter; each piece is kept where it is deepest."""
        if n_pieces <= self.room:
            return [Window(0, n_pieces, 0, n_pieces)]
        overlap = self.room // 4
        starts = list(range(0, n_pieces - overlap, self.room - overlap))
        stops = [min(start + self.room, n_pieces) for start in starts]
        # between each window and the next: one fewer than there are windows
        cuts = [0, *((start + stop + 1) // 2 for start, stop in zip(starts[1:], stops, strict=False)), n_pieces]
        return [Window(*edges) for edges in zip(starts, stops, cuts[:-1], cuts[1:], strict=True)]


def name_emoji(word: str) -> str:
    """Write each emoji by its Unicode name, repeated ones once; their skin tones are left out.

    >>> name_emoji("no\U0001f602\U0001f602!")
    'no face with tears of joy !'
    """
    parts = []
    for letter, run in groupby(word, lambda letter: letter if _is_pictograph(letter) else ""):
        if not letter:
            parts.append("".join(run))
        elif unicodedata.category(letter) == "So":
            parts.append(unicodedata.name(letter, "").lower())
    return " ".join(part for part in parts if part.strip())


def _is_pictograph(letter: str) -> bool:
    return any(ord(letter) in block for block in PICTOGRAPHS)


def _read_tokenizer(folder: Path) -> Any:
    vocabularies = [path for pattern in VOCABULARIES for path in folder.glob(pattern)]
    if not vocabularies:  # transformers would make a tokenizer that knows no word
        raise CheckpointError(f"{folder}: no tokenizer; expected tokenizer.json, or vocab.txt and its like")
    for path in vocabularies:
        if path.stat().st_size > MAX_TOKENIZER:
            raise CheckpointError(f"{path}: {path.stat().st_size:,} bytes; at most {MAX_TOKENIZER:,} are read")
    from transformers import AutoTokenizer

    with _reading(folder):
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    if not tokenizer.is_fast:
        raise CheckpointError(
            f"{folder}: its tokenizer does not say which piece is of which word; expected tokenizer.json"
        )
    return tokenizer


@contextmanager
def _reading(folder: Path | str) -> Iterator[None]:
    """Turn whatever a damaged tokenizer raises into an error that names its folder."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # anything from KeyError to a panic of Rust, which is no Exception
        why = " ".join(str(error).split())[:300]
        raise CheckpointError(f"{folder}: its tokenizer is missing or damaged ({why}); fetch it again") from None


def _max_tokens(config: Any, tokenizer: Any) -> int:
    limits = [tokenizer.model_max_length]
    positions = getattr(config, "max_position_embeddings", None)
    if isinstance(positions, int) and positions > 0:
        offset = (config.pad_token_id or 0) + 1 if config.model_type in OFFSET_TYPES else 0
        limits.append(positions - offset)
    return min(int(min(limits)), BATCH_TOKENS)


def encode_words(
    encoder: Encoder,
    preprocessing: TextPreprocessing,
    texts: Sequence[Sequence[str]],
    layers: Sequence[int],
    pieces: Pieces = "mean",
) -> list["torch.Tensor"]:
    """Run an encoder over texts, each as if it were alone, and give one vector per word.

    Args:
        encoder: Its network, on any device.
        preprocessing: Of the same encoder.
        texts: Words of each text; they are joined by spaces.
        layers: Which hidden states, 0 to the encoder's depth, one after the other in each vector.
        pieces: Whether a word is the mean of its pieces or the first of them.

    Returns:
        ``(words, width of all layers)`` for each text; NaN for a word that the tokenizer makes nothing of.
    """
    import torch

    encoded = encode_known_words(encoder, preprocessing, texts, layers, pieces)
    return [torch.where(known[:, None], words, torch.nan) for words, known in encoded]


def encode_known_words(
    encoder: Encoder,
    preprocessing: TextPreprocessing,
    texts: Sequence[Sequence[str]],
    layers: Sequence[int],
    pieces: Pieces = "mean",
) -> list[tuple["torch.Tensor", "torch.Tensor"]]:
    """Run an encoder over texts as `encode_words` does, and say of which words the tokenizer makes something.

    Returns:
        For each text ``(words, width of all layers)``, zeros for a word that the tokenizer makes nothing of, and
        ``(words,)``, False for such a word. What else is not finite comes of the network.
    """
    import torch

    cut = [preprocessing.pieces(words) for words in texts]
    windows = [(text, window) for text, (ids, _) in enumerate(cut) for window in preprocessing.windows(len(ids)) if ids]
    n_special = len(preprocessing.before) + len(preprocessing.after)
    lengths = [window.stop - window.start + n_special for _, window in windows]
    parts: dict[int, torch.Tensor] = {}
    for group in length_batches(lengths, BATCH_TOKENS):
        rows = [
            [*preprocessing.before, *cut[text][0][window.start : window.stop], *preprocessing.after]
            for text, window in (windows[index] for index in group)
        ]
        states = _run(encoder, rows, preprocessing.padding, layers)
        for row, index in enumerate(group):
            window = windows[index][1]
            shift = len(preprocessing.before) - window.start
            parts[index] = states[row, window.keep_start + shift : window.keep_stop + shift]
    vectors: list[list[torch.Tensor]] = [[] for _ in texts]
    for index, (text, _) in enumerate(windows):
        vectors[text].append(parts[index])
    nothing = torch.zeros((0, encoder.width * len(layers)))
    return [
        _join(torch.cat(found) if found else nothing, torch.from_numpy(owners), len(words), pieces)
        for found, (_, owners), words in zip(vectors, cut, texts, strict=True)
    ]


def _run(encoder: Encoder, rows: Sequence[Sequence[int]], padding: int, layers: Sequence[int]) -> "torch.Tensor":
    import torch

    device = next(encoder.module.parameters()).device
    longest = max(map(len, rows))
    ids = torch.tensor([[*row, *[padding] * (longest - len(row))] for row in rows], device=device)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    mask = (torch.arange(longest, device=device) < lengths[:, None]).long()
    is_inner = any(layer != encoder.depth for layer in layers)
    output = encoder.module(input_ids=ids, attention_mask=mask, output_hidden_states=is_inner)
    # the last of hidden_states lacks the final norm in some architectures
    states = [output.last_hidden_state if layer == encoder.depth else output.hidden_states[layer] for layer in layers]
    return torch.cat(states, dim=-1).float()


def _join(
    vectors: "torch.Tensor", owners: "torch.Tensor", n_words: int, pieces: Pieces
) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Make one vector per word of those of its pieces, and say which words have any."""
    import torch

    owners = owners.to(vectors.device)
    if pieces == "first":
        is_first = torch.ones_like(owners, dtype=torch.bool)
        is_first[1:] = owners[1:] != owners[:-1]
        vectors, owners = vectors[is_first], owners[is_first]
    counts = torch.zeros(n_words, device=vectors.device).index_add(
        0, owners, torch.ones_like(owners, dtype=torch.float32)
    )
    sums = vectors.new_zeros((n_words, vectors.shape[1])).index_add(0, owners, vectors)
    return sums / counts[:, None].clamp(min=1), counts > 0
