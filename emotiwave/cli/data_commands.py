"""The commands of `emotiwave data`: look into feature files, prepare and extract features, write manifests."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from emotiwave.cli.screen import INTERRUPTED, Overrides, print_leakage, stderr, stdout


class Engine(StrEnum):
    """What runs the processes of a preparation."""

    processes = "processes"
    ray = "ray"


data = typer.Typer(
    no_args_is_help=True, help="Extract features of media, look into feature files, and prepare them for training."
)


@data.command()
def inspect(
    files: Annotated[
        list[Path],
        typer.Argument(
            help=".csd files, MMSA .pkl files, .npz archives, feature stores, or folders of them.",
            readable=False,  # one that cannot be read is a finding, and the others are looked at
        ),
    ],
    folds: Annotated[
        Path | None, typer.Option(help="The ids of each split; standard_folds.json among the files by default.")
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write a page with pictures there.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print findings and facts as JSON.")] = False,
) -> None:
    """Find what would hurt a model in feature files and labels; exits with 1 where a person must decide."""
    from emotiwave import api
    from emotiwave.doctor.inspection import to_json
    from emotiwave.doctor.layout import summary, tables

    found = api.inspect(files, folds=folds, html=html, console=stderr)
    if as_json:
        print(to_json(found))
    else:
        for table in tables(found):
            stdout.print(table)
        stdout.print(summary(found), highlight=False)
        if html is not None:
            stdout.print(f"page: {html}", highlight=False, soft_wrap=True)
    if found.needs_decision:
        raise typer.Exit(1)


@data.command()
def leaks(
    source: Annotated[
        str, typer.Argument(help="A recipe file, the name of a shipped recipe, a run folder, or a feature store.")
    ],
    split: Annotated[str, typer.Option(help="Whose utterances are looked for in the other splits.")] = "test",
    overrides: Overrides = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print every pair as JSON.")] = False,
) -> None:
    """Find utterances that stand in two splits, the same or nearly; exits with 1 where there are any."""
    from emotiwave import api

    found = api.find_leakage(source, split=split, overrides=overrides or (), console=stderr)
    if as_json:
        print(json.dumps(found.to_dict(), indent=1))
    else:
        print_leakage(found)
    if found.leaks:
        raise typer.Exit(1)


@data.command()
def export(
    source: Annotated[str, typer.Argument(help="A feature store, a recipe file, or the name of a shipped recipe.")],
    out: Annotated[Path, typer.Argument(help="The .pkl file to write.")],
    aligned: Annotated[
        bool, typer.Option("--aligned", help="The modalities share their frames (prepare with features.align=words).")
    ] = False,
    overrides: Overrides = None,
) -> None:
    """Write a corpus as an MMSA pickle: dicts, lists and arrays only."""
    from emotiwave import api

    for what, counts in api.export_mmsa(
        source, out, aligned=aligned, overrides=overrides or (), console=stderr
    ).items():
        for name, count in counts.items():
            stdout.print(f"{what} {name:40} {count}", highlight=False, soft_wrap=True)
    stdout.print(f"{out}: written", highlight=False, soft_wrap=True)


@data.command()
def prepare(
    recipe: Annotated[
        str, typer.Argument(help="A recipe file, or the name of a shipped recipe (`emotiwave list recipes`).")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="The folder of the store; features.store, or one in ./emotiwave-stores, by default."
        ),
    ] = None,
    overrides: Overrides = None,
    processes: Annotated[
        int | None,
        typer.Option(
            min=1, help="How many processes work at once; by default one per core (of .csd files also per GiB)."
        ),
    ] = None,
    engine: Annotated[
        Engine, typer.Option(help="What runs the processes: this machine, or a Ray cluster (the extra ray).")
    ] = Engine.processes,
) -> None:
    """Prepare the feature store of a recipe: media decoded and extracted, segments cut, pooled, masked, counted."""
    from emotiwave import api
    from emotiwave.api.progress import show_preparation

    try:
        prepared = api.prepare(
            recipe, out=out, overrides=overrides or (), processes=processes, engine=engine.value, console=stderr
        )
    except KeyboardInterrupt:
        stderr.print("\nStopped. The same command goes on where it was.", highlight=False)
        raise typer.Exit(INTERRUPTED) from None
    show_preparation(prepared, stdout, errors=stderr)


@data.command()
def extract(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Videos, sound, photos or transcripts; or one manifest (.csv, .tsv, .jsonl, .parquet).", readable=False
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="The folder to write to.")],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A key of the table features: --set extractors.audio=logmel."),
    ] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, help="How many processes work at once; by default one per core.")
    ] = None,
) -> None:
    """Extract features of anyone's media into .npz files; one that cannot be read is a row, and exit 1 if all are."""
    from emotiwave import api
    from emotiwave.api.progress import show_extraction

    try:
        done = api.extract(files, out=out, overrides=overrides or (), processes=processes, console=stderr)
    except KeyboardInterrupt:
        stderr.print("\nStopped. The same command finds what was finished in the cache.", highlight=False)
        raise typer.Exit(INTERRUPTED) from None
    show_extraction(done, stdout, errors=stderr)
    if not done.n_files:
        raise typer.Exit(1)


@data.command()
def manifest(
    recipe: Annotated[
        str, typer.Argument(help="A recipe file, or the name of a shipped recipe (`emotiwave list recipes`).")
    ],
    out: Annotated[Path, typer.Argument(help="The file to write: .csv, .jsonl or .parquet.")],
    overrides: Overrides = None,
) -> None:
    """Write a corpus of media as a manifest, a row per utterance, and print the same recipe on it."""
    from emotiwave import api

    recipe_of_it = api.write_manifest(recipe, out, overrides=overrides or ())
    stderr.print(f"{out}: written; the same recipe on it:", highlight=False, markup=False, soft_wrap=True)
    print(recipe_of_it)
