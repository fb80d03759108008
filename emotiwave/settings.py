"""What every table of a recipe has in common: keys are typed, frozen, and unknown ones are refused."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """One table of a recipe. Each stage declares its own beside its code."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
