"""Pretrained encoders of text, speech and pictures, from a folder or the Hugging Face Hub, with their preprocessing.

`load_encoder` finds one and reads its weights; `speech`, `image` and `text` bring signals into the form that it was
trained on and run it, with gradients if they are wanted. No pickle and no code of a checkpoint is ever run. Neither
torch nor transformers is imported before an encoder is asked for.
"""

from emotiwave.pretrained.loading import Encoder, load_encoder

__all__ = ["Encoder", "load_encoder"]
