"""An encoder that has files of its own, and weights that are tied."""

import json
from collections.abc import Collection, Sequence
from pathlib import Path

from torch import Tensor, nn

from emotiwave.errors import CheckpointError
from emotiwave.models.encoders.encoder import ModalityEncoder, Origin
from emotiwave.sequences import ComputationalSequence
from emotiwave.settings import Settings


class LetteredSettings(Settings):
    source: str = "someone/lettered"


class Lettered(ModalityEncoder):
    """Keeps letters in a file below a folder, and where it comes from in another."""

    def __init__(self, settings: LetteredSettings, origin: Origin) -> None:
        super().__init__()
        self.width = origin.size
        self.source, self.letters = settings.source, "ab"
        if origin.folder is not None:
            try:
                self.letters = json.loads((origin.folder / "deep" / "letters.json").read_text())["letters"]
            except ValueError:
                raise CheckpointError("letters.json: damaged") from None
        self.first = nn.Linear(origin.size, origin.size)
        self.second = nn.Linear(origin.size, origin.size)
        self.second.weight = self.first.weight

    def fit(self, sequence: ComputationalSequence, ids: Sequence[str]) -> None:
        self.letters = "".join(sorted({letter for name in ids for letter in name}))

    def forward(self, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        clean = values.where(mask[..., None], 0.0)
        return self.second(self.first(clean)) * len(self.letters), mask

    def save_files(self, folder: Path) -> None:
        (folder / "deep").mkdir()
        letters = {"letters": self.letters, "words": ["/usr/bin", "/"]}
        (folder / "deep" / "letters.json").write_text(json.dumps(letters))
        (folder / "config.json").write_text(json.dumps({"_name_or_path": self.source}))

    @property
    def parts(self) -> Collection[dict[str, str]]:
        return [{"name": self.source, "licence": "cc-by-nc-4.0", "revision": "abc"}]
