"""Seven shares that sum to one."""

from typing import Annotated

from pydantic import AfterValidator, Field

from emotiwave.labels import SEVEN


def _sum_to_one(shares: tuple[float, ...]) -> tuple[float, ...]:
    if abs(sum(shares) - 1) > 1e-6:
        raise ValueError(f"expected shares that sum to 1; they sum to {sum(shares):g}")
    return shares


Shares = Annotated[
    tuple[Annotated[float, Field(gt=0, lt=1)], ...],
    Field(min_length=len(SEVEN), max_length=len(SEVEN)),
    AfterValidator(_sum_to_one),
]
"""How common each of the seven classes is."""
