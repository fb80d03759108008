"""What a folder of a known corpus lacks: files that preparation would ask for."""

from pathlib import Path

from emotiwave.datasets.csd.corpus import FOLDS_FILE, CsdCorpus, published_folds
from emotiwave.datasets.mosei import MOSEI
from emotiwave.datasets.mosi_csd import MOSI_CSD
from emotiwave.doctor.findings import KINDS, Finding

CORPORA = (MOSEI, MOSI_CSD)


def folds_elsewhere(folder: Path) -> Path | None:
    """The published folds of the corpus whose labels lie in a folder, if they are at hand."""
    known = (published_folds(corpus) for corpus in CORPORA if (folder / corpus.labels).exists())
    return next((path for path in known if path is not None), None)


def missing_files(folder: Path, *, has_folds: bool) -> list[Finding]:
    """Name the files that are not in a folder, though the label file of their corpus is.

    Args:
        folder: Where.
        has_folds: Whether folds were found, wherever they lie.
    """
    found = []
    for corpus in CORPORA:
        if (folder / corpus.labels).exists():
            found += [_finding("missing_file", folder / file, name) for name, file in _absent(folder, corpus)]
            if not (folder / corpus.words).exists():
                found.append(_finding("missing_words", folder / corpus.words, "timed words"))
            if not has_folds and not (folder / FOLDS_FILE).exists():
                found.append(_finding("no_folds", folder / FOLDS_FILE, "official folds"))
    return found


def _absent(folder: Path, corpus: CsdCorpus) -> list[tuple[str, str]]:
    return [(name, file) for name, file in corpus.modalities.items() if not (folder / file).exists()]


def _finding(kind: str, path: Path, what: str) -> Finding:
    known = KINDS[kind]
    detail = f"There is no {path.name} in {path.parent}; it holds the {what} of this corpus."
    return Finding(str(path), kind, 1, known.severity, detail, known.action, 1.0)
