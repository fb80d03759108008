"""Fine-tuning through ResNet-50, HuBERT base and BERT base at once: speed and memory of a training step.

The networks have the real architectures and random weights, which costs the same. Each utterance is 3 s of sound, 8
colour faces of 224 x 224 and 12 words. Each variant runs in a process of its own: one step to warm up, then the median
of the others. Memory is the most that the process held (on a GPU, the most that torch gave out).

    python benchmarks/end_to_end.py --out results/end_to_end.json
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peak_memory import peak_megabytes

from emotiwave.batch import Batch
from emotiwave.features.extractors.words import encode_words
from emotiwave.models import create_model
from emotiwave.models.fusion import FusionModel, ModelSettings, ModelSpec
from emotiwave.training.module import task_loss
from emotiwave.types import LabelSet

BATCH, SECONDS, FACES, SIDE = 4, 3, 8, 224
WORDS = ("so", "i", "told", "them", "that", "it", "was", "not", "my", "fault", "at", "all")
VOCABULARY = 30_522
STEPS = 4
SIZES = {"text": 32, "audio": 320, "vision": SIDE * SIDE * 3}
SIX = LabelSet("multilabel", ("happy", "sad", "anger", "surprise", "disgust", "fear"))
RECIPE = {"vision": "last-1", "audio": "last-4", "text": "full"}
"""What `recipes/clips_end_to_end.toml` trains."""
VARIANTS = tuple(
    (precision, checkpointing, train)
    for train in ("full", "recipe", "frozen")
    for precision in ("float32", "bfloat16")
    for checkpointing in ((False, True) if train == "full" else (False,))
)


def save_networks(folder: Path) -> None:
    """Write checkpoints of the three architectures, with a tokenizer that knows the words."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import (
        BertConfig,
        BertModel,
        HubertConfig,
        HubertModel,
        PreTrainedTokenizerFast,
        ResNetConfig,
        ResNetModel,
    )

    torch.manual_seed(0)
    ResNetModel(ResNetConfig()).save_pretrained(folder / "vision")
    HubertModel(HubertConfig()).save_pretrained(folder / "audio")
    BertModel(BertConfig(vocab_size=VOCABULARY)).save_pretrained(folder / "text")
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    words = [*special, *dict.fromkeys(WORDS)]
    filled = words + [f"word{index}" for index in range(VOCABULARY - len(words))]
    tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(filled)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token"), special, strict=True))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder / "text")


def made_batch() -> Batch:
    """Make a batch of noise and words, all of it observed."""
    rng = np.random.default_rng(0)
    words = torch.from_numpy(encode_words(WORDS))
    inputs = {
        "text": words.expand(BATCH, -1, -1).clone(),
        "audio": torch.from_numpy(rng.normal(0, 0.1, (BATCH, 50 * SECONDS, SIZES["audio"])).astype(np.float32)),
        "vision": torch.from_numpy(rng.random((BATCH, FACES, SIZES["vision"]), dtype=np.float32)),
    }
    return Batch(
        ids=tuple(map(str, range(BATCH))),
        inputs=inputs,
        mask={name: torch.ones(values.shape[:2], dtype=torch.bool) for name, values in inputs.items()},
        targets=(torch.rand(BATCH, len(SIX.names)) > 0.7).float(),
        n_non_finite=dict.fromkeys(inputs, 0),
    )


def build(folder: Path, precision: str, checkpointing: bool, train: str) -> FusionModel:
    """Build the fusion of recipes/clips_end_to_end.toml on these networks, with so much of them trained."""
    names = {"vision": "resnet", "audio": "speech_transformer", "text": "text_transformer"}
    common: dict[str, Any] = {"precision": precision, "gradient_checkpointing": checkpointing}
    encoders = {
        modality: {"name": name, "pretrained": str(folder / modality), "train": RECIPE[modality]} | common
        for modality, name in names.items()
    }
    encoders["audio"]["stride"] = 5
    if train != "recipe":
        encoders = {modality: table | {"train": train} for modality, table in encoders.items()}
    settings = ModelSettings.model_validate({"name": "cross_modal_transformer", "encoders": encoders})
    return create_model(ModelSpec(settings, SIZES, SIX))


def measure(folder: Path, precision: str, checkpointing: bool, train: str) -> dict[str, Any]:
    """Time training steps of one variant, in this process."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    model = build(folder, precision, checkpointing, train).train().to(device)
    optimizer = torch.optim.AdamW(model.parameter_groups(1e-5))
    batch, weights = made_batch().to(device), torch.ones(len(SIX.names), device=device)
    seconds = []
    for _ in range(STEPS):
        start = time.perf_counter()
        optimizer.zero_grad()
        task_loss(model(batch), batch.targets, SIX, weights).backward()
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return {
        "train": train,
        "precision": precision,
        "gradient_checkpointing": checkpointing,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "utterances_per_second": BATCH / statistics.median(seconds[1:]),
        "peak_mb": torch.cuda.max_memory_allocated() / 2**20 if device.type == "cuda" else peak_megabytes(),
        "trained_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
    }


def main() -> None:
    """Measure each variant in its own process and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("results/end_to_end.json"))
    parser.add_argument("--one", help="Measure one variant, given as JSON, and print it.")
    options = parser.parse_args()
    if options.one:
        folder, *variant = json.loads(options.one)
        print(json.dumps(measure(Path(folder), *variant)))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        save_networks(Path(folder))
        for variant in VARIANTS:
            command = [sys.executable, __file__, "--one", json.dumps([folder, *variant])]
            rows.append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout))
            print(json.dumps(rows[-1]))
    result = {
        "batch": BATCH,
        "seconds": SECONDS,
        "faces": FACES,
        "side": SIDE,
        "words": len(WORDS),
        "steps": STEPS,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "rows": rows,
    }
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
