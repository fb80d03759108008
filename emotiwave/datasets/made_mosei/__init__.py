"""Made CMU-MOSEI files: official names, layout and rates, every known trap, and a truth exact by Bayes' rule."""

from emotiwave.datasets.made_mosei.settings import MadeModality, MadeMoseiSettings
from emotiwave.datasets.made_mosei.writing import MadeMosei, write_made_mosei

__all__ = ["MadeModality", "MadeMosei", "MadeMoseiSettings", "write_made_mosei"]
