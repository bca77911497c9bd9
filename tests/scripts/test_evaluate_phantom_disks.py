import numpy as np

from scripts.evaluate_phantom_disks import truths


def test_a_readers_word_is_drawn_by_the_shares_and_the_definition_stays():
    shares = np.tile(np.array([[0.2, 0.5, 0.3], [0.0, 0.0, 1.0]]), (2000, 1))
    arrays = {"readers": shares, "label": np.tile([1, 2], 2000)}
    found = truths(arrays, seed=3)
    often = np.bincount(found["reader"][::2], minlength=3) / 2000
    np.testing.assert_allclose(often, [0.2, 0.5, 0.3], atol=0.04)
    assert set(found["reader"][1::2]) == {2}
    assert np.array_equal(found["definition"], arrays["label"])
    assert np.array_equal(found["reader"], truths(arrays, seed=3)["reader"])
