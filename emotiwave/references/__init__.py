"""The methods to compare with that are no fusion model, by name."""

from emotiwave.errors import ConfigError, unknown_name
from emotiwave.references import bayes_optimal, context_lstm, logistic_regression
from emotiwave.references.reference import Reference

REFERENCES: dict[str, Reference] = {
    "bayes_optimal": bayes_optimal.REFERENCE,
    "context_lstm": context_lstm.REFERENCE,
    "logistic_regression": logistic_regression.REFERENCE,
}


def find_reference(name: str) -> Reference:
    """Look up a method by its name.

    Raises:
        ConfigError: If the name is unknown; the nearest one is named.
    """
    if name not in REFERENCES:
        raise ConfigError(unknown_name("reference", name, REFERENCES))
    return REFERENCES[name]
