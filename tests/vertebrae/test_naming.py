import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle.geometry import BODY_LEVELS
from bundle.vertebrae.naming import ChainNamer

COLUMN = ("S1", "L5", "L4", "L3", "L2", "L1", "T12")  # from the feet up, as in BODY_LEVELS
HEIGHT = 26.0
PITCH = 1.28 * HEIGHT


def scores_of(levels, sure: float = 0.9) -> np.ndarray:
    scores = np.full((len(levels), len(BODY_LEVELS)), 0.05)
    for body, level in enumerate(levels):
        scores[body, BODY_LEVELS.index(level)] = sure
    return scores


def column(levels=COLUMN, pitch: float = PITCH) -> tuple[np.ndarray, np.ndarray]:
    """Centres (rows grow to the feet) and heights of bodies that stand where their names say."""
    rows = [600.0 - pitch * BODY_LEVELS.index(level) for level in levels]
    return np.stack([np.full(len(levels), 100.0), rows], axis=-1), np.full(len(levels), HEIGHT)


def names(naming) -> list[str | None]:
    return [BODY_LEVELS[k] if k >= 0 else None for k in naming.levels]


def test_sure_names_in_order_are_kept():
    naming = ChainNamer()(*column(), scores_of(COLUMN))
    assert names(naming) == list(COLUMN)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.permutations(range(len(COLUMN))))
def test_order_of_the_detections_does_not_matter(order):
    centers, heights = column()
    order = list(order)
    naming = ChainNamer()(centers[order], heights[order], scores_of(COLUMN)[order])
    assert names(naming) == [COLUMN[k] for k in order]


def test_one_wrong_best_class_is_mended_by_the_others():
    scores = scores_of(COLUMN)
    scores[3] = scores_of(["L2"])[0]  # L3 looks like L2
    assert names(ChainNamer()(*column(), scores)) == list(COLUMN)


def test_unsure_bodies_are_named_from_the_sacrum_up():
    scores = np.full((7, len(BODY_LEVELS)), 0.3)
    scores[0] = scores_of(["S1"])[0]
    assert names(ChainNamer()(*column(), scores)) == list(COLUMN)


@pytest.mark.parametrize("missed", range(1, 6))
def test_missed_body_does_not_shift_the_names_above_it(missed):
    seen = [level for k, level in enumerate(COLUMN) if k != missed]
    scores = np.full((6, len(BODY_LEVELS)), 0.6)
    scores[0] = scores_of(["S1"])[0]
    assert names(ChainNamer()(*column(seen), scores)) == seen


def test_wide_step_is_a_wide_step_before_it_is_a_missed_body():
    # Nearer to two steps than to one, but a missed body has its price.
    centers, heights = column(("S1", "L5"), pitch=1.45 * PITCH)
    scores = np.full((2, len(BODY_LEVELS)), 0.6)
    scores[0] = scores_of(["S1"])[0]
    assert names(ChainNamer(drop_cost=5.0, missing_cost=2.0)(centers, heights, scores)) == ["S1", "L5"]
    assert names(ChainNamer(drop_cost=5.0, missing_cost=0.0)(centers, heights, scores)) == ["S1", "L4"]


def test_weak_box_beside_the_column_is_dropped():
    centers, heights = column()
    centers = np.vstack([centers, [[160.0, centers[3, 1] + 6]]])
    scores = np.vstack([scores_of(COLUMN), np.full((1, len(BODY_LEVELS)), 0.31)])
    naming = ChainNamer()(centers, np.append(heights, HEIGHT), scores)
    assert names(naming) == [*COLUMN, None]


@pytest.mark.parametrize("known", [True, False])
def test_what_lies_beside_the_way_up_is_no_body(known):
    # A joint between L3 and L2, behind them: as far from either as bodies are from each other.
    centers, heights = column()
    joint = (centers[3] + centers[4]) / 2 + [0.87 * PITCH, 0]
    scores = np.vstack([scores_of(COLUMN), scores_of(["L2"], 0.85)])
    ups = np.tile([0.0, -HEIGHT], (8, 1)) if known else None
    naming = ChainNamer(missing_cost=0.0)(np.vstack([centers, joint]), np.append(heights, HEIGHT), scores, ups)
    assert (names(naming) == [*COLUMN, None]) == known


@pytest.mark.parametrize(("lean_deg", "kept"), [(12, True), (35, False)])
def test_body_may_slip_but_not_lie_beside_the_column(lean_deg, kept):
    levels = ("S1", "L5", "L4")
    slip = np.tan(np.radians(lean_deg)) * PITCH
    centers, heights = column(levels)
    centers[1:, 0] -= slip  # L5 forward on S1, and what stands on it
    naming = ChainNamer()(centers, heights, scores_of(levels), np.tile([0.0, -HEIGHT], (3, 1)))
    assert (names(naming) == list(levels)) == kept


@pytest.mark.parametrize(("share_seen", "chosen"), [(1.0, 7), (0.3, 4)])
def test_of_two_bodies_in_one_place_that_seen_on_few_slices_is_dropped(share_seen, chosen):
    centers, heights = column()
    centers = np.vstack([centers, centers[4] + [2, 2]])
    scores = np.vstack([scores_of(COLUMN), scores_of(["L2"], 0.9)])
    scores[4] = scores_of(["L2"], 0.7)
    shares = np.append(np.ones(7), share_seen)
    naming = ChainNamer()(centers, np.append(heights, HEIGHT), scores, None, shares)
    assert np.flatnonzero(naming.levels == BODY_LEVELS.index("L2")).tolist() == [chosen]
    assert (naming.levels < 0).sum() == 1


def test_bodies_above_t12_all_have_the_last_name():
    levels = ("L1", "T12", "T11", "T11", "T11")
    centers, _ = column(("L1", "T12", "T11"))
    more = centers[-1] - [[0, PITCH], [0, 2 * PITCH]]
    naming = ChainNamer()(np.vstack([centers, more]), np.full(5, HEIGHT), scores_of(levels))
    assert names(naming) == list(levels)


def test_names_never_repeat_below_t12_and_follow_the_column():
    rng = np.random.default_rng(3)
    for _ in range(20):
        centers, heights = column()
        naming = ChainNamer()(centers + rng.normal(0, 2, centers.shape), heights, rng.random((7, len(BODY_LEVELS))))
        chain = naming.levels[naming.levels >= 0]
        steps = np.diff(chain)
        assert ((steps > 0) | (chain[1:] == len(BODY_LEVELS) - 1)).all()


def test_unit_of_the_centres_does_not_matter():
    centers, heights = column()
    scores = np.random.default_rng(1).random((7, len(BODY_LEVELS)))
    one, other = ChainNamer()(centers, heights, scores), ChainNamer()(centers * 3.7, heights * 3.7, scores)
    assert one.levels.tolist() == other.levels.tolist()
    assert one.margin == pytest.approx(other.margin)


def test_clear_column_has_a_larger_margin_than_one_that_may_be_shifted():
    clear = ChainNamer(lumbar_weight=1.0)(*column(), scores_of(COLUMN))
    levels = ("L4", "L3", "L2")
    torn = np.maximum(scores_of(levels, 0.5), scores_of(("L5", "L4", "L3"), 0.49))
    doubtful = ChainNamer(lumbar_weight=1.0)(*column(levels), torn)
    assert names(doubtful) == list(levels)
    assert doubtful.margin == pytest.approx(3 * np.log(0.5 / 0.49), abs=1e-6)  # three names, each a little better
    assert clear.margin > 5


def test_no_bodies_have_no_names():
    naming = ChainNamer()(np.zeros((0, 2)), np.zeros(0), np.zeros((0, len(BODY_LEVELS))))
    assert naming.levels.shape == (0,)
    assert naming.margin == 0


def test_single_body_has_its_best_name():
    assert names(ChainNamer()(*column(("L3",)), scores_of(["L3"]))) == ["L3"]


def test_a_sure_sacrum_outweighs_a_column_of_lumbar_bodies_that_look_shifted():
    # The sacrum is seen as it is, and all five bodies above look like the one above each.
    scores = scores_of(("S2", "S1", "L4", "L3", "L2", "L1", "T12"))
    centers, heights = column(("S2", "S1", "L5", "L4", "L3", "L2", "L1"))
    assert names(ChainNamer()(centers, heights, scores))[2:] == ["L5", "L4", "L3", "L2", "L1"]
    even = ChainNamer(lumbar_weight=1.0, drop_cost=5.0)(centers, heights, scores)
    assert names(even)[2:] == ["L4", "L3", "L2", "L1", "T12"]
