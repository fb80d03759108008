"""Tiny encoders with random weights, of real architectures, saved as checkpoints are saved."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

WIDTH, DEPTH = 16, 2
TRANSFORMER = {
    "hidden_size": WIDTH,
    "num_hidden_layers": DEPTH,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
CONVOLUTIONS = {
    # frames of 85 samples, one each 40
    "conv_dim": (8, 8, 8),
    "conv_kernel": (10, 4, 4),
    "conv_stride": (5, 4, 2),
    "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
    "vocab_size": 8,
}
WORDS = ("i", "am", "so", "very", "happy", "sad", "today", "you", "are", "not", "un", "##happy", "##ly", "##s", "!")
POSITIONS = 24
SPEECH = {"hubert": "Hubert", "wav2vec2": "Wav2Vec2", "wavlm": "WavLM", "data2vec-audio": "Data2VecAudio"}


def one_thread() -> Iterator[None]:
    """For a fixture: networks as tiny as these only wait for a second thread."""
    import torch

    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


def _build(prefix: str, **settings: Any) -> Any:
    import torch
    import transformers

    torch.manual_seed(0)
    config = getattr(transformers, f"{prefix}Config")(**settings)
    model = getattr(transformers, f"{prefix}Model")(config)
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1 and "weight" in name:
            torch.nn.init.normal_(parameter, std=0.3)  # the usual 0.02 makes every input look alike
    return model.eval()


def save_speech(folder: Path, kind: str = "hubert", norm: str = "group", **settings: Any) -> Path:
    """``norm`` is that of the first convolution: over time (``group``) or over features (``layer``)."""
    extra = settings | ({"feat_extract_norm": norm} if kind != "data2vec-audio" else {})
    if norm == "layer":
        extra |= {"do_stable_layer_norm": True, "conv_bias": True}
    _build(SPEECH[kind], **(TRANSFORMER | CONVOLUTIONS | extra)).save_pretrained(folder)
    settings = {"feature_extractor_type": "Wav2Vec2FeatureExtractor", "sampling_rate": 16000, "do_normalize": True}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return folder


def save_bert(folder: Path) -> Path:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: index for index, word in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.enable_truncation(8)  # as some published tokenizers do; it must have no effect
    special = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    sizes = {"vocab_size": len(vocabulary), "max_position_embeddings": POSITIONS}
    _build("Bert", **TRANSFORMER, **sizes).save_pretrained(folder)
    return folder


def save_roberta(folder: Path) -> Path:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {piece: index for index, piece in enumerate(("<s>", "<pad>", "</s>", "<unk>", *letters, "Ġh", "ap"))}
    tokenizer = Tokenizer(models.BPE(vocabulary, [("Ġ", "h"), ("a", "p")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    special = {"unk_token": "<unk>", "pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    sizes = {"vocab_size": len(vocabulary), "max_position_embeddings": POSITIONS, "pad_token_id": 1}
    _build("Roberta", **TRANSFORMER, **sizes).save_pretrained(folder)
    return folder


def save_resnet(folder: Path) -> Path:
    model = _build("ResNet", embedding_size=8, hidden_sizes=[8, WIDTH], depths=[1, 1], layer_type="basic")
    model.save_pretrained(folder)
    settings = {
        "feature_extractor_type": "ConvNextFeatureExtractor",
        "size": 28,
        "crop_pct": 0.875,
        "resample": 3,
        "do_normalize": True,
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return folder


def save_vit(folder: Path, prefix: str = "ViT") -> Path:
    _build(prefix, **TRANSFORMER, image_size=32, patch_size=8).save_pretrained(folder)
    settings = {
        "image_processor_type": "ViTImageProcessor",
        "size": {"height": 32, "width": 32},
        "resample": 2,
        "do_normalize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return folder
