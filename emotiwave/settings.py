"""What every table of a recipe has in common: keys are typed, frozen, and unknown ones are refused."""

import os
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

PathLike = str | os.PathLike[str]
"""What functions take that want a path."""
AbsolutePath = Annotated[Path, AfterValidator(Path.absolute)]
"""A path that means the same file wherever the recipe is read from."""


class Settings(BaseModel):
    """One table of a recipe. Each stage declares its own beside its code."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
