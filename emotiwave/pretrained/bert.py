"""BERT (Devlin et al., 2019) for answers alone, with the names of transformers' parameters.

Transformers takes three seconds and 150 MB to import. A network whose weights are known, and that is not trained any
more, needs none of it: this one gives the same hidden states, `PlainTokenizer` the same pieces (tests compare both).
"""

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from emotiwave.errors import CheckpointError
from emotiwave.pretrained.files import MAX_TOKENIZER, EncoderFiles, read_json
from emotiwave.pretrained.loading import Encoder
from emotiwave.pretrained.text import BATCH_TOKENS, TextPreprocessing

MAX_LAYERS, MAX_WIDTH, MAX_WORDS = 512, 65_536, 2**22
NEEDED = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "add_cross_attention": False,
}
"""Settings that this network has built in; those that a file lacks have these values by default."""
TOKENIZER = "tokenizer.json"


class _Embeddings(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        width = config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, width)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, width)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, width)
        self.LayerNorm = nn.LayerNorm(width, eps=config.layer_norm_eps)

    def forward(self, ids: Tensor) -> Tensor:
        places = torch.arange(ids.shape[1], device=ids.device)
        summed = self.word_embeddings(ids) + self.token_type_embeddings.weight[0] + self.position_embeddings(places)
        return self.LayerNorm(summed)


class _SelfAttention(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        self.n_heads = config.num_attention_heads
        self.query, self.key, self.value = (nn.Linear(config.hidden_size, config.hidden_size) for _ in range(3))

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        rows, length, width = states.shape
        heads = [
            part(states).view(rows, length, self.n_heads, -1).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        ]
        mixed = functional.scaled_dot_product_attention(*heads, attn_mask=mask[:, None, None])
        return mixed.transpose(1, 2).reshape(rows, length, width)


class _Residual(nn.Module):
    def __init__(self, config: Any, size: int) -> None:
        super().__init__()
        self.dense = nn.Linear(size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, states: Tensor, before: Tensor) -> Tensor:
        return self.LayerNorm(self.dense(states) + before)


class _Layer(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        self.attention = nn.ModuleDict(
            {"self": _SelfAttention(config), "output": _Residual(config, config.hidden_size)}
        )
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(config.hidden_size, config.intermediate_size)})
        self.output = _Residual(config, config.intermediate_size)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        attended = self.attention["output"](self.attention["self"](states, mask), states)
        return self.output(functional.gelu(self.intermediate["dense"](attended)), attended)


class Bert(nn.Module):
    """Token ids and their mask to hidden states, as transformers' ``BertModel`` without its pooler."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.embeddings = _Embeddings(config)
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(_Layer(config) for _ in range(config.num_hidden_layers))})

    def forward(self, input_ids: Tensor, attention_mask: Tensor, output_hidden_states: bool = False) -> Any:
        """Give ``last_hidden_state (rows, time, width)``, and all ``hidden_states`` from below the first layer up."""
        states = self.embeddings(input_ids)
        all_states = [states]
        for layer in self.encoder["layer"]:  # pyright: ignore[reportGeneralTypeIssues] (a list of layers)
            states = layer(states, attention_mask.bool())
            all_states.append(states)
        hidden = tuple(all_states) if output_hidden_states else None
        return SimpleNamespace(last_hidden_state=states, hidden_states=hidden)


class PlainTokenizer:
    """``tokenizer.json`` by the library that transformers has it read by, without cutting and padding."""

    def __init__(self, path: Path) -> None:
        from tokenizers import Tokenizer

        self.name_or_path = str(path.parent)
        self.unk_token_id: int | None = None
        try:
            if path.stat().st_size > MAX_TOKENIZER:
                raise CheckpointError(f"{path}: {path.stat().st_size:,} bytes; at most {MAX_TOKENIZER:,} are read")
            self._tokenizer = Tokenizer.from_file(str(path))
        except CheckpointError:
            raise
        except Exception as error:  # the library raises bare exceptions
            raise CheckpointError(f"{path}: no tokenizer, or damaged ({error}); fetch it again") from None
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def __len__(self) -> int:
        return self._tokenizer.get_vocab_size()

    def token_id(self, token: str | None) -> int | None:
        """Give the id of a special token."""
        return None if token is None else self._tokenizer.token_to_id(token)

    def __call__(self, text: str, *, add_special_tokens: bool = True, **_: object) -> Mapping[str, Any]:
        """Cut a text into pieces: ``input_ids`` and ``offset_mapping``, begin and end of each in the text."""
        cut = self._tokenizer.encode(text, add_special_tokens=add_special_tokens)
        return {"input_ids": cut.ids, "offset_mapping": cut.offsets}


def can_read(folder: Path) -> bool:
    """Whether the files of an encoder are of a plain BERT, with a tokenizer that needs no transformers."""
    if not (folder / TOKENIZER).is_file() or not (folder / "config.json").is_file():
        return False
    config = read_json(folder / "config.json")
    return all(config.get(key, value if key != "model_type" else None) == value for key, value in NEEDED.items())


def lean_encoder(folder: Path) -> tuple[Encoder, TextPreprocessing]:
    """Build BERT of the settings in a folder, with weights at random, and read its tokenizer.

    Raises:
        CheckpointError: If they are damaged or do not fit each other.
    """
    raw = {"type_vocab_size": 2, "layer_norm_eps": 1e-12} | read_json(folder / "config.json")
    bounds = {
        "num_hidden_layers": MAX_LAYERS,
        "hidden_size": MAX_WIDTH,
        "intermediate_size": MAX_WIDTH,
        "num_attention_heads": MAX_WIDTH,
        "vocab_size": MAX_WORDS,
        "max_position_embeddings": MAX_WIDTH,
        "type_vocab_size": MAX_WIDTH,
    }
    for key, most in bounds.items():
        value = raw.get(key)
        if type(value) is not int or not 1 <= value <= most:
            raise CheckpointError(f"{folder / 'config.json'}: {key} {value!r}; expected 1 to {most:,}")
    if raw["hidden_size"] % raw["num_attention_heads"] or not isinstance(raw["layer_norm_eps"], float):
        raise CheckpointError(f"{folder / 'config.json'}: sizes of BERT that do not fit each other")
    tokenizer = PlainTokenizer(folder / TOKENIZER)
    if len(tokenizer) > raw["vocab_size"]:
        raise CheckpointError(
            f"{folder}: its tokenizer knows {len(tokenizer):,} pieces and its network {raw['vocab_size']:,}; they do "
            "not belong together: fetch the checkpoint again"
        )
    files = EncoderFiles(str(folder), folder, None)
    encoder = Encoder("text", files, SimpleNamespace(**raw), raw["hidden_size"], raw["num_hidden_layers"])
    return encoder.with_module(Bert(encoder.config)), _preprocessing(folder, tokenizer, raw)


def _preprocessing(folder: Path, tokenizer: PlainTokenizer, config: Mapping[str, Any]) -> TextPreprocessing:
    path = folder / "tokenizer_config.json"
    described = read_json(path) if path.is_file() else {}
    tokenizer.unk_token_id = tokenizer.token_id(_token(described, "unk_token"))
    inner = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a")["input_ids"]
    first = next((k for k in range(len(whole)) if whole[k : k + len(inner)] == inner), len(whole)) if inner else 0
    longest = described.get("model_max_length", config["max_position_embeddings"])
    room = int(min(longest, config["max_position_embeddings"], BATCH_TOKENS)) - (len(whole) - len(inner))
    padding = tokenizer.token_id(_token(described, "pad_token")) or 0
    if room < 1:
        raise CheckpointError(f"{folder}: no room for a word beside the special tokens; fetch it again")
    return TextPreprocessing(tokenizer, tuple(whole[:first]), tuple(whole[first + len(inner) :]), padding, room)


def _token(described: Mapping[str, Any], name: str) -> str | None:
    """Read a special token, which is written as a string or as a table; None where there is none."""
    token = described.get(name, f"[{name.removesuffix('_token').upper()}]")
    found = token.get("content") if isinstance(token, dict) else token
    return found if isinstance(found, str) else None
