import itertools

import numpy as np
import pytest
from scipy.special import expit, softmax

from emotiwave.explanation.shapley import attributable_scores, shapley_values

PLAYERS = ("text", "audio", "vision", "gait")
Game = dict[frozenset[str], np.ndarray]


def subsets(players) -> list[frozenset[str]]:
    return [frozenset(s) for size in range(len(players) + 1) for s in itertools.combinations(players, size)]


def random_game(players=PLAYERS, shape: tuple[int, ...] = (3, 2), seed: int = 0) -> Game:
    rng = np.random.default_rng(seed)
    return {subset: np.asarray(rng.standard_normal(shape)) for subset in subsets(players)}


def over_all_orders(game: Game, players) -> dict[str, np.ndarray]:
    """What each player adds on arrival, averaged over every order of arrival."""
    orders = list(itertools.permutations(players))
    added = {player: np.zeros_like(game[frozenset()]) for player in players}
    for order in orders:
        for place, player in enumerate(order):
            before = frozenset(order[:place])
            added[player] = added[player] + (game[before | {player}] - game[before]) / len(orders)
    return added


@pytest.mark.parametrize("n_players", [1, 2, 3, 4])
@pytest.mark.parametrize("shape", [(), (6,), (3, 2)])
def test_values_are_the_mean_contribution_over_all_orders(n_players, shape):
    players = PLAYERS[:n_players]
    game = random_game(players, shape)
    values = shapley_values(game, players)
    assert values.keys() == set(players)
    for player, expected in over_all_orders(game, players).items():
        np.testing.assert_allclose(values[player], expected, atol=1e-12)
        assert np.shape(values[player]) == shape


def test_three_players_by_hand():
    """Two gloves left (a, b) and one right (c); a pair is worth 6. The right one gets 2/3, the others 1/6 each."""
    game = {s: np.array(6.0 if "c" in s and len(s) > 1 else 0.0) for s in subsets("abc")}
    values = shapley_values(game, "abc")
    assert {player: float(value) for player, value in values.items()} == pytest.approx({"a": 1, "b": 1, "c": 4})


def test_values_add_up_to_all_minus_nothing():
    game = random_game()
    total = sum(shapley_values(game, PLAYERS).values())
    np.testing.assert_allclose(total, game[frozenset(PLAYERS)] - game[frozenset()], atol=1e-12)


def test_players_who_add_the_same_get_the_same():
    game = random_game()

    def swap(subset: frozenset[str]) -> frozenset[str]:
        return frozenset({"text": "audio", "audio": "text"}.get(name, name) for name in subset)

    symmetric = {subset: game[subset] + game[swap(subset)] for subset in game}
    values = shapley_values(symmetric, PLAYERS)
    np.testing.assert_allclose(values["text"], values["audio"], atol=1e-12)
    assert not np.allclose(values["text"], values["vision"])


def test_a_player_who_never_adds_anything_gets_nothing():
    game = random_game()
    useless = {subset: game[subset - {"gait"}] for subset in game}
    values = shapley_values(useless, PLAYERS)
    np.testing.assert_allclose(values["gait"], 0, atol=1e-12)
    others = shapley_values({s: game[s] for s in subsets(PLAYERS[:3])}, PLAYERS[:3])
    for player in PLAYERS[:3]:
        np.testing.assert_allclose(values[player], others[player], atol=1e-12)


def test_values_of_a_sum_of_games_are_the_sum_of_the_values():
    one, two = random_game(seed=1), random_game(seed=2)
    together = shapley_values({subset: 2 * one[subset] - two[subset] for subset in one}, PLAYERS)
    for player in PLAYERS:
        expected = 2 * shapley_values(one, PLAYERS)[player] - shapley_values(two, PLAYERS)[player]
        np.testing.assert_allclose(together[player], expected, atol=1e-12)


def test_scores_of_modalities_that_are_not_present_are_not_used():
    """The value of a subset counts only among the modalities that are present."""
    game = random_game()
    among_two = shapley_values(game, PLAYERS[:2])
    expected = over_all_orders({s: game[s] for s in subsets(PLAYERS[:2])}, PLAYERS[:2])
    assert among_two.keys() == expected.keys()
    for player, value in expected.items():
        np.testing.assert_allclose(among_two[player], value, atol=1e-12)


@pytest.mark.parametrize("lost", [s for s in subsets(PLAYERS[:2])], ids=lambda s: "+".join(sorted(s)) or "nothing")
def test_a_subset_without_a_score_is_not_passed_over(lost):
    game = {subset: value for subset, value in random_game(PLAYERS[:2]).items() if subset != lost}
    with pytest.raises(KeyError):
        shapley_values(game, PLAYERS[:2])


# --- what is attributed


def logits(scale: float = 2.0, n_classes: int = 6) -> np.ndarray:
    return scale * np.random.default_rng(0).standard_normal((2, 5, n_classes))


@pytest.mark.parametrize("n_classes", [2, 3, 6])
def test_a_categorical_score_is_the_log_odds_of_the_class(n_classes):
    p = softmax(logits(n_classes=n_classes), axis=-1)
    np.testing.assert_allclose(
        attributable_scores(logits(n_classes=n_classes), "categorical"), np.log(p / (1 - p)), rtol=1e-9, atol=1e-9
    )


def test_a_multilabel_score_is_the_logit():
    p = expit(logits())
    np.testing.assert_allclose(attributable_scores(logits(), "multilabel"), np.log(p / (1 - p)), atol=1e-9)


def test_a_continuous_score_is_the_value():
    np.testing.assert_array_equal(attributable_scores(logits(), "continuous"), logits())


def test_a_constant_added_to_softmax_logits_changes_no_score():
    constant = np.array([[[-40.0]], [[7.5]]])
    np.testing.assert_allclose(
        attributable_scores(logits() + constant, "categorical"),
        attributable_scores(logits(), "categorical"),
        atol=1e-10,
    )


def test_a_constant_per_subset_changes_no_contribution():
    rng = np.random.default_rng(5)
    spoken = {subset: rng.standard_normal((4, 3)) for subset in subsets(PLAYERS[:3])}
    shifted = {subset: value + rng.standard_normal((4, 1)) for subset, value in spoken.items()}

    def contributions(answers: Game) -> dict[str, np.ndarray]:
        return shapley_values({s: attributable_scores(z, "categorical") for s, z in answers.items()}, PLAYERS[:3])

    for player, value in contributions(spoken).items():
        np.testing.assert_allclose(contributions(shifted)[player], value, atol=1e-12)


def test_scores_of_very_sure_answers_stay_finite():
    # p of the first class is 1 up to e**-1000: log-odds 1000 - log(1 + e**-500)
    scores = attributable_scores(np.array([1000.0, 0.0, -500.0]), "categorical")
    np.testing.assert_allclose(scores, [1000, -1000, -1500])
