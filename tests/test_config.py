import tomllib
from pathlib import Path

import pytest

from emotiwave.config import StoreSettings, parse_recipe, read_recipe, shipped_recipes
from emotiwave.datasets.synthetic import SyntheticSettings
from emotiwave.datasets.synthetic import load as make_synthetic
from emotiwave.errors import ConfigError, DatasetError
from emotiwave.features.extraction.settings import MediaFeatureSettings
from emotiwave.features.settings import FeatureSettings
from emotiwave.features.store import write_store

RECIPE = """
[dataset]
name = "synthetic"
n_train = 30

[dataset.modalities.text]
rate = 3.0
features = 4
noise = 0.5
carries = ["anger"]
span = 1.0

[model]
name = "late"

[training]
seed = 7
learning_rate = 3e-4

[evaluation]
bootstrap = 10
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    return path


def dataset_only(**tables) -> dict:
    return {"dataset": {"name": "synthetic"}} | tables


def recorded(**features) -> dict:
    return {"dataset": {"name": "mosei"}, "features": features}


# --- what a recipe says


def test_a_recipe_says_what_it_says_and_the_rest_has_defaults(recipe):
    read = read_recipe(recipe)
    assert read.dataset_name == "synthetic"
    assert isinstance(read.dataset, SyntheticSettings)
    assert (read.dataset.n_train, read.dataset.n_test, list(read.dataset.modalities)) == (30, 400, ["text"])
    assert (read.model.name, read.model.size) == ("late", "small")
    assert (read.training.seed, read.training.learning_rate, read.training.epochs) == (7, 3e-4, 50)
    assert (read.evaluation.bootstrap, read.evaluation.split) == (10, "test")
    assert read_recipe(str(recipe)) == read


def test_only_the_dataset_must_be_named():
    assert parse_recipe({"dataset": {"name": "mosi"}}, source="r").dataset_name == "mosi"
    for tables in ({}, {"dataset": {}}, {"dataset": {"task": "categorical"}}):
        with pytest.raises(ConfigError, match=r"r: \[dataset\] needs a name, one of cremad, .*table, or a store"):
            parse_recipe(tables, source="r")


def test_the_resolved_recipe_reads_back_as_the_same(recipe):
    read = read_recipe(recipe, ["training.devices=2", "training.precision=bf16-mixed"])
    tables = tomllib.loads(read.to_toml())
    assert parse_recipe(tables, source="again") == read
    assert set(tables["training"]) == set(type(read.training).model_fields), "complete: every key is written"
    assert read_recipe(recipe) != read


def test_parsing_leaves_the_tables_as_they_were():
    tables = dataset_only(training={"seed": 1})
    parse_recipe(tables, source="r")
    assert tables == {"dataset": {"name": "synthetic"}, "training": {"seed": 1}}


def test_a_store_reads_back_as_the_same():
    read = parse_recipe({"dataset": {"store": "some/where"}}, source="r")
    assert read.dataset_name is None
    assert read.dataset == StoreSettings(store=Path("some/where"))
    assert parse_recipe(tomllib.loads(read.to_toml()), source="again") == read


def test_the_corpus_of_a_recipe_is_the_same_through_a_store(recipe, tmp_path):
    read = read_recipe(recipe, ["dataset.n_train=3", "dataset.n_validation=0", "dataset.n_test=2", "dataset.missing=0"])
    assert isinstance(read.dataset, SyntheticSettings)
    store = write_store(make_synthetic(read.dataset), tmp_path / "store")
    through_store = parse_recipe({"dataset": {"store": str(store)}}, source="r")
    assert through_store.load_corpus().digest == read.load_corpus().digest


@pytest.mark.parametrize("name", ["mosi", "synthetic"])
def test_a_shipped_recipe_is_read_by_its_name_and_reads_back(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    read = read_recipe(name)
    assert read.dataset_name == name
    (tmp_path / "again.toml").write_text(read.to_toml())
    assert read_recipe("again.toml") == read


def test_every_shipped_recipe_is_listed_and_parses():
    recipes = shipped_recipes()
    assert {"mosi", "synthetic"} <= recipes.keys()
    for name, path in recipes.items():
        if not name.startswith("compare_"):  # those are read by `read_comparison`
            assert read_recipe(path) == read_recipe(name)


def test_a_shipped_recipe_is_found_beside_a_folder_of_its_name(tmp_path, monkeypatch):
    """A run folder is easily named after its recipe."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mosi").mkdir()
    assert read_recipe("mosi").dataset_name == "mosi"


def test_mosi_is_trained_without_looking_at_any_split(recipe):
    """Its features know the train labels, so no split may choose anything: epochs are fixed, test is only scored."""
    read = read_recipe("mosi")
    assert read.training.patience == 0
    assert getattr(read.dataset, "validation_share", None) == 0


def test_recordings_have_features_even_where_the_recipe_says_nothing_of_them():
    for name in ("mosei", "mosi_csd"):
        assert parse_recipe({"dataset": {"name": name}}, source="r").features == FeatureSettings()


@pytest.mark.parametrize(("dataset", "name"), [({"name": "synthetic"}, "synthetic"), ({"store": "x"}, "a feature st")])
def test_features_of_what_needs_no_preparation_are_refused(dataset, name):
    with pytest.raises(ConfigError, match=rf"r: \[features\] says how recordings are prepared, but {name}.*take"):
        parse_recipe({"dataset": dataset, "features": {}}, source="r")


def test_frames_are_the_same_for_all_or_by_modality():
    assert FeatureSettings(frames=7).budget("audio") == 7
    by_modality = FeatureSettings(frames={"audio": 500})
    assert (by_modality.budget("audio"), by_modality.budget("text")) == (500, FeatureSettings().budget("text"))


def test_a_store_lies_where_the_recipe_says_or_under_a_name_of_its_tables(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    named = parse_recipe(recorded(store="here/it/is", frames=3), source="r")
    assert named.store == tmp_path / "here/it/is"
    unnamed = parse_recipe(recorded(frames=3), source="r")
    assert unnamed.store.parent == tmp_path / "emotiwave-stores"
    assert unnamed.store.name.startswith("mosei-")
    assert unnamed.prepared_tables() == named.prepared_tables(), "the place is no part of the content"


def test_the_place_of_the_store_is_written_down(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    read = parse_recipe(recorded(), source="r")
    monkeypatch.chdir("/")
    assert read.store.parent == Path("/emotiwave-stores")
    monkeypatch.chdir(tmp_path)
    tables = tomllib.loads(read.to_toml())
    monkeypatch.chdir("/")
    assert parse_recipe(tables, source="again").store == tmp_path / "emotiwave-stores" / read.store.name


def test_a_corpus_that_is_not_prepared_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        DatasetError, match=r"mosei-\w+: no feature store of this recipe; make it with `emotiwave data pr"
    ):
        parse_recipe(recorded(), source="r").load_corpus()


# --- names that are not known


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (dataset_only(trainin={}), r"unknown table 'trainin'; did you mean 'training'\?"),
        (dataset_only(training={"epoch": 1}), r"\[training\] unknown key 'epoch'; did you mean 'epochs'\?"),
        (dataset_only(evaluation={"bootstraps": 1}), r"\[evaluation\] unknown key.* did you mean 'bootstrap'\?"),
        (dataset_only(model={"width": 3, "sise": "small"}), r"\[model\] unknown key 'sise'; did you mean 'size'\?"),
        (recorded(frmes=3), r"\[features\] unknown key 'frmes'; did you mean 'frames'\?"),
        (recorded(windows=3), r"\[features\] unknown key 'windows'.*Known: align, .*unobserved"),
        ({"dataset": {"name": "mosi", "seed": 1}}, r"\[dataset\] unknown key 'seed'.*Known:.* validation_share"),
        ({"dataset": {"name": "moseii"}}, r"\[dataset\] unknown dataset 'moseii'; did you mean 'mosei'\?"),
        ({"dataset": {"name": 3}}, r"\[dataset\] unknown dataset '3'"),
        ({"dataset": {"store": "x", "task": "y"}}, r"\[dataset\] unknown key 'task'.*Known: store"),
        (
            dataset_only(model={"name": "botleneck"}),
            r"\[model\] unknown model 'botleneck'; did you mean 'bottleneck'\?",
        ),
        (
            {"dataset": {"name": "synthetic", "modalities": {"text": {"rat": 3}}}},
            r"\[dataset\] unknown key 'modalities\.text\.rat'; did you mean '(modalities\.text\.)?rate'\?",
        ),
    ],
)
def test_an_unknown_name_is_told_with_the_nearest(tables, message):
    with pytest.raises(ConfigError, match=rf"^(.*\n)*r: {message}"):
        parse_recipe(tables, source="r")


@pytest.mark.parametrize(
    ("tables", "key", "value"),
    [
        (dataset_only(training={"epochs": "many"}), r"\[training\] epochs:", "'many'"),
        (dataset_only(training={"epochs": 0}), r"\[training\] epochs:", "0"),
        (dataset_only(training={"epochs": 1.5}), r"\[training\] epochs:", "1.5"),
        (dataset_only(training={"modality_dropout": 1.0}), r"\[training\] modality_dropout:", "1.0"),
        (dataset_only(training={"learning_rate": float("nan")}), r"\[training\] learning_rate:", "nan"),
        (dataset_only(training={"learning_rate": float("inf")}), r"\[training\] learning_rate:", "inf"),
        (dataset_only(training={"class_weights": "perhaps"}), r"\[training\] class_weights:", "'perhaps'"),
        (dataset_only(model={"size": "huge"}), r"\[model\] size:", "'huge'"),
        (dataset_only(model={"name": ["late"]}), r"\[model\] name:", r"\['late'\]"),
        (dataset_only(evaluation={"confidence": 95}), r"\[evaluation\] confidence:", "95"),
        ({"dataset": {"name": "mosi", "validation_share": -0.1}}, r"\[dataset\] validation_share:", "-0.1"),
        ({"dataset": {"name": "mosi", "split_seed": -1}}, r"\[dataset\] split_seed:", "-1"),
        ({"dataset": {"name": "synthetic", "seed": -1}}, r"\[dataset\] seed:", "-1"),
        (
            {"dataset": {"name": "synthetic", "modalities": {"text": {"rate": "fast"}}}},
            r"\[dataset\] modalities\.text\.rate:",
            "'fast'",
        ),
        ({"dataset": {"store": 3}}, r"\[dataset\] store:", "3"),
        (recorded(frames=0), r"\[features\] frames: expected a whole number above 0", "0"),
        (recorded(frames=-2), r"\[features\] frames:", "-2"),
        (recorded(frames=2.5), r"\[features\] frames:", "2.5"),
        (recorded(frames=True), r"\[features\] frames:", "True"),
        (recorded(frames="64"), r"\[features\] frames:", "'64'"),
        (recorded(frames={"audio": 0}), r"\[features\] frames: .*or a table of such numbers", "{'audio': 0}"),
        (recorded(align="word"), r"\[features\] align: .*'none' or 'words'", "'word'"),
        (recorded(collapse="sum"), r"\[features\] collapse:", "'sum'"),
        (recorded(unobserved="nan"), r"\[features\] unobserved:", "'nan'"),
        (recorded(beyond="drop"), r"\[features\] beyond:", "'drop'"),
        (recorded(pad="yes"), r"\[features\] pad:", "'yes'"),
        (recorded(pad=True), r"\[features\] pad = true .*set unobserved = \"zero\" too", ""),
        (recorded(store=3), r"\[features\] store:", "3"),
        ({"dataset": {"name": "mosei"}, "features": 3}, "features", "3"),
        (dataset_only(training={"modality_dropout_per": "epoch"}), r"\[training\] modality_dropout_per:", "'epoch'"),
        ({"dataset": {"name": ["mosi"]}}, r"\[dataset\] .*", r"\[.mosi.\]"),
        ({"dataset": "mosi"}, "dataset", "'mosi'"),
        (dataset_only(training=3), "training", "3"),
    ],
)
def test_a_value_that_does_not_fit_names_key_and_value(tables, key, value):
    with pytest.raises(ConfigError, match=rf"^(.*\n)*r: {key}.*{value}"):
        parse_recipe(tables, source="r")


def test_every_wrong_key_is_told_at_once():
    with pytest.raises(ConfigError) as raised:
        parse_recipe(dataset_only(training={"epochs": 0, "seed": -1, "colour": 1}), source="r")
    for key in ("epochs", "seed", "colour"):
        assert key in str(raised.value)


def test_name_and_store_together_are_refused():
    with pytest.raises(ConfigError, match=r"r: \[dataset\] has both name and store"):
        parse_recipe({"dataset": {"name": "mosi", "store": "x"}}, source="r")


def test_models_are_never_chosen_on_test():
    with pytest.raises(ConfigError, match=r"r: \[training\] selection_split: .*never chosen on 'test'"):
        parse_recipe(dataset_only(training={"selection_split": "test"}), source="r")


def test_settings_cannot_be_changed_afterwards(recipe):
    read = read_recipe(recipe)
    for settings, key in ((read.training, "epochs"), (read.dataset, "n_train"), (read.model, "name")):
        with pytest.raises(ValueError, match="frozen"):
            setattr(settings, key, 1)


# --- encoders


def of_media(model: dict, **features: object) -> dict:
    return {"dataset": {"name": "manifest", "file": "clips.csv"}, "features": features, "model": model}


def needed_of(tables: dict) -> dict | None:
    features = parse_recipe(tables, source="r").features
    assert isinstance(features, MediaFeatureSettings)
    return features.for_encoders


@pytest.mark.parametrize("encoder", ["resnet", "conv", {"name": "resnet", "pretrained": False}])
@pytest.mark.parametrize("features", [{}, {"extractors": {"vision": "face"}}])
@pytest.mark.parametrize("model", ["late", "unimodal"])
def test_a_misspelt_modality_of_an_encoder_is_no_further_modality(encoder, features, model) -> None:
    tables = of_media({"name": model, "encoders": {"vizion": encoder}}, **features)
    with pytest.raises(ConfigError, match=r"r: model\.encoders: unknown modality 'vizion'; did you mean 'vision'\?"):
        parse_recipe(tables, source="r")


def test_a_modality_of_ones_own_has_an_encoder_where_it_has_an_extractor() -> None:
    model = {"name": "late", "encoders": {"hands": {"name": "resnet", "pretrained": False}}}
    assert needed_of(of_media(model, extractors={"hands": "face"})) is None
    with pytest.raises(ConfigError, match=r"unknown modality 'hands'; .*Known: audio, text, vision"):
        parse_recipe(of_media(model), source="r")


def test_unimodal_needs_the_extractor_of_its_own_encoder_only() -> None:
    encoders = {"text": "gru", "vision": {"name": "resnet", "pretrained": False}}
    assert needed_of(of_media({"name": "late", "encoders": encoders})) == {"text": "words", "vision": "face"}
    one = {"name": "unimodal", "modality": "text", "encoders": encoders}
    assert needed_of(of_media(one)) == {"text": "words"}
    assert needed_of(of_media(one, extractors={"text": "words", "vision": "image_encoder"})) is None


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        ("resnt", "unknown encoder 'resnt'; did you mean 'resnet'?"),
        ({"name": "resnet", "sid": 9}, "unknown key 'sid'; did you mean 'side'?"),
        ({"name": "resnet", "side": 2}, "got 2"),
    ],
)
def test_an_error_of_one_encoder_shows_no_other(encoder, message) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_recipe(of_media({"encoders": {"vision": encoder, "text": "gru"}}), source="r")
    told = str(raised.value)
    assert told.startswith("r: [model] encoders: vision: ")
    assert message in told
    assert "gru" not in told.partition("Known:")[0]
    assert "{" not in told


# --- overrides


@pytest.mark.parametrize(
    ("override", "table", "key", "value"),
    [
        ("training.seed=3", "training", "seed", 3),
        (" training.seed = 3 ", "training", "seed", 3),
        ("training.learning_rate=1e-3", "training", "learning_rate", 1e-3),
        ("training.learning_rate=1", "training", "learning_rate", 1.0),
        ("training.class_weights=false", "training", "class_weights", False),
        ("training.precision=bf16-mixed", "training", "precision", "bf16-mixed"),
        ('training.precision="bf16-mixed"', "training", "precision", "bf16-mixed"),
        ("training.devices=auto", "training", "devices", "auto"),
        (" training.devices = auto ", "training", "devices", "auto"),
        ("training.devices=2", "training", "devices", 2),
        ("model.name=bottleneck", "model", "name", "bottleneck"),
        ("evaluation.split=a=b", "evaluation", "split", "a=b"),
        ("evaluation.split=after dinner", "evaluation", "split", "after dinner"),
        ("dataset.n_train=5", "dataset", "n_train", 5),
    ],
)
def test_an_override_sets_one_key(recipe, override, table, key, value):
    before, after = read_recipe(recipe).tables(), read_recipe(recipe, [override]).tables()
    assert after[table][key] == value
    assert type(after[table][key]) is type(value)
    after[table][key] = before[table][key]
    assert after == before


def test_an_override_reaches_into_a_nested_table(recipe):
    dataset = read_recipe(recipe, ["dataset.modalities.text.noise=2.5"]).dataset
    assert isinstance(dataset, SyntheticSettings)
    assert (dataset.modalities["text"].noise, dataset.modalities["text"].rate) == (2.5, 3.0)


def test_an_override_may_give_a_list_or_a_table(recipe):
    overrides = [
        'dataset.modalities.voice={rate = 2.0, features = 3, noise = 1.0, carries = ["fear"], span = 1.0}',
        'dataset.modalities.text.carries=["anger", "fear"]',
    ]
    dataset = read_recipe(recipe, overrides).dataset
    assert isinstance(dataset, SyntheticSettings)
    assert {name: made.carries for name, made in dataset.modalities.items()} == {
        "text": ("anger", "fear"),
        "voice": ("fear",),
    }


def test_the_last_of_two_overrides_counts(recipe):
    assert read_recipe(recipe, ["training.seed=1", "training.seed=2"]).training.seed == 2


@pytest.mark.parametrize("override", ["training.seed", "seed=3", "=3", ".=3", "training.=3", ""])
def test_a_malformed_override_shows_the_form(recipe, override):
    with pytest.raises(ConfigError, match=r"TABLE\.KEY=VALUE"):
        read_recipe(recipe, [override])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainin.seed=3", "'training'"),
        ("training.sed=3", "'seed'"),
        ("training.seed=three", "seed: .*'three'"),
        ("training.seed=", "seed: .*''"),
        ("training.seed.deep=3", "seed is not a table"),
        ("training.selection_split=test", "never chosen on 'test'"),
        ("dataset.store=x", "both name and store"),
    ],
)
def test_an_override_is_checked_like_the_recipe(recipe, override, message):
    with pytest.raises(ConfigError, match=message):
        read_recipe(recipe, [override])


def test_an_override_of_what_should_have_been_a_table_names_it(tmp_path):
    (tmp_path / "r.toml").write_text('training = 3\n[dataset]\nname = "mosi"\n')
    with pytest.raises(ConfigError, match="training"):
        read_recipe(tmp_path / "r.toml", ["training.seed=3"])


# --- files


@pytest.mark.parametrize(("name", "nearest"), [("mosy", "'mosi'"), ("recipes/synthetik", "synthetic")])
def test_a_missing_recipe_names_the_shipped_ones(name, nearest):
    with pytest.raises(ConfigError, match=rf"^{name}: no such recipe file.*{nearest}"):
        read_recipe(name)


@pytest.mark.parametrize(
    "content", [b"[dataset", b"a = \n", b"[dataset]\nname = mosi", b"[a]\n[a]", b"\xff\xfe\x00", b"\x00" * 9]
)
def test_a_file_that_is_no_toml_is_named(tmp_path, content):
    (tmp_path / "r.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=r"r\.toml: "):
        read_recipe(tmp_path / "r.toml")


def test_a_wrong_key_in_a_file_names_the_file(recipe):
    recipe.write_text(RECIPE + "\nbootstrapp = 3\n")
    with pytest.raises(ConfigError, match=rf"{recipe}: \[evaluation\] unknown key 'bootstrapp'"):
        read_recipe(recipe)
