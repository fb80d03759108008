"""The text transformer of a saved model, for answers alone: BERT without transformers."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from emotiwave.errors import ConfigError
from emotiwave.features.extractors.words import decode_words
from emotiwave.models.encoders.encoder import ModalityEncoder, Origin
from emotiwave.models.encoders.pretrained_part import pad_rows
from emotiwave.models.encoders.text_transformer import TextTransformer, TextTransformerSettings
from emotiwave.pretrained.bert import lean_encoder
from emotiwave.pretrained.text import encode_known_words


class LeanTextTransformer(ModalityEncoder):
    """Gives what `TextTransformer` gives, with weights of the same names; cannot be trained or saved."""

    takes = TextTransformer.takes

    def __init__(self, settings: TextTransformerSettings, origin: Origin) -> None:
        super().__init__()
        if origin.folder is None or not TextTransformer.fits(origin.size):
            raise ConfigError(f"{origin.modality}: {TextTransformer.form}, and is of a saved model")
        self.settings = settings
        self.encoder, self.preprocessing = lean_encoder(origin.folder)
        self.network, self.width = self.encoder.module, self.encoder.width
        self.requires_grad_(False)

    @torch.inference_mode()
    def forward(
        self, values: Float[Tensor, "batch time size"], mask: Bool[Tensor, "batch time"]
    ) -> tuple[Float[Tensor, "batch out width"], Bool[Tensor, "batch out"]]:
        texts = [decode_words(row[observed].cpu().numpy()) for row, observed in zip(values, mask, strict=True)]
        encoded = encode_known_words(
            self.encoder, self.preprocessing, texts, [self.encoder.depth], self.settings.pieces
        )
        return pad_rows([words for words, _ in encoded], values, [known for _, known in encoded])
