"""One function per command; each, and all that it needs, is imported when it is first used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emotiwave.api.analysis import clips_of, load, sample_clip
    from emotiwave.api.comparing import compare
    from emotiwave.api.data import export_mmsa, prepare, write_manifest
    from emotiwave.api.demonstration import demo
    from emotiwave.api.encoders import save_encoder
    from emotiwave.api.evaluating import evaluate
    from emotiwave.api.experts import calibrate, calibrate_expert, info
    from emotiwave.api.explaining import explain
    from emotiwave.api.explaining_clips import explain_clip
    from emotiwave.api.extraction import extract
    from emotiwave.api.hub import load_model, push
    from emotiwave.api.inspection import inspect
    from emotiwave.api.leaks import find_leakage
    from emotiwave.api.listing import list_names
    from emotiwave.api.reporting import write_report
    from emotiwave.api.training import Run, train

__all__ = [
    "Run",
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
    "list_names",
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
_MODULES = {
    "analysis": ("clips_of", "load", "sample_clip"),
    "comparing": ("compare",),
    "data": ("export_mmsa", "prepare", "write_manifest"),
    "demonstration": ("demo",),
    "encoders": ("save_encoder",),
    "experts": ("calibrate", "calibrate_expert", "info"),
    "evaluating": ("evaluate",),
    "explaining": ("explain",),
    "explaining_clips": ("explain_clip",),
    "extraction": ("extract",),
    "hub": ("load_model", "push"),
    "inspection": ("inspect",),
    "leaks": ("find_leakage",),
    "listing": ("list_names",),
    "reporting": ("write_report",),
    "training": ("Run", "train"),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"emotiwave.api.{module}"), name)
    raise AttributeError(f"module 'emotiwave.api' has no attribute {name!r}")
