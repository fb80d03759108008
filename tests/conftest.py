"""Set-up shared by all tests: array shapes in annotations are checked at run time."""

import os
import warnings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("EMOTIWAVE_OFFLINE", "1")
os.environ["CUDA_VISIBLE_DEVICES"] = ""
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the workers share the cores already

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what third parties warn of while they are imported
    import lightning.pytorch  # noqa: F401

from jaxtyping import install_import_hook

install_import_hook(["emotiwave.batch", "emotiwave.models", "emotiwave.training"], "beartype.beartype")
