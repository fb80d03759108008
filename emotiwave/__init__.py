"""Emotiwave: robust, interpretable multimodal emotion recognition.

The functions below are those of the command line; nothing heavy is imported until one is used.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emotiwave.api import (
        calibrate,
        calibrate_expert,
        clips_of,
        compare,
        demo,
        evaluate,
        explain,
        explain_clip,
        export_mmsa,
        extract,
        find_leakage,
        info,
        inspect,
        load,
        load_model,
        prepare,
        push,
        sample_clip,
        save_encoder,
        train,
        write_manifest,
        write_report,
    )

__version__ = version("emotiwave")
__all__ = [
    "calibrate",
    "calibrate_expert",
    "clips_of",
    "compare",
    "demo",
    "evaluate",
    "explain",
    "explain_clip",
    "export_mmsa",
    "extract",
    "find_leakage",
    "info",
    "inspect",
    "load",
    "load_model",
    "prepare",
    "push",
    "sample_clip",
    "save_encoder",
    "train",
    "write_manifest",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("emotiwave.api"), name)
    raise AttributeError(f"module 'emotiwave' has no attribute {name!r}")
