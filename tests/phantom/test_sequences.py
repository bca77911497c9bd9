import numpy as np
import pytest
import torch

from bundle.phantom.sequences import Sequence, sample_contrast, sample_sequence, spin_echo_signal, tissue_spread
from bundle.phantom.tissues import DARK, TISSUES

PROTOCOLS = ["T2", "T1", "STIR", "T2FS", "PD", "MYELO"]


def brightness(sequence: Sequence) -> dict[str, float]:
    return dict(zip(TISSUES, spin_echo_signal(sequence).tolist(), strict=True))


# Two tissues at a time: their ratio is free of the scale.


def test_signal_of_water_is_the_spin_echo_equation():
    seen = brightness(Sequence("T2", 2000.0, 90.0, echo_train=1))
    muscle = 0.85 * (1 - np.exp(-2000 / 1000)) * np.exp(-90 / 44)
    nerve = 0.80 * (1 - np.exp(-2000 / 750)) * np.exp(-90 / 75)
    assert seen["muscle"] / seen["nerve"] == pytest.approx(muscle / nerve, rel=1e-5)


def test_signal_with_inversion_is_the_inversion_recovery_equation():
    seen = brightness(Sequence("STIR", 4000.0, 60.0, ti_ms=170.0, echo_train=1))
    muscle = 0.85 * abs(1 - 2 * np.exp(-170 / 1000) + np.exp(-4000 / 1000)) * np.exp(-60 / 44)
    csf = abs(1 - 2 * np.exp(-170 / 4300) + np.exp(-4000 / 4300)) * np.exp(-60 / 2000)
    assert seen["muscle"] / seen["csf"] == pytest.approx(muscle / csf, rel=1e-5)


def test_marrow_is_its_water_and_its_fat_together():
    seen = brightness(Sequence("T1", 600.0, 12.0, echo_train=1))
    fat = (1 - np.exp(-600 / 240)) * np.exp(-12 / 58)
    water = (1 - np.exp(-600 / 1000)) * np.exp(-12 / 45)
    assert seen["marrow"] / seen["fat"] == pytest.approx(0.80 * (0.45 * fat + 0.55 * water) / (0.95 * fat), rel=1e-5)


def test_t1_grows_with_the_field_by_each_tissues_exponent():
    # At a short TR the signal is TR/T1, and T1 of muscle grows as B0^0.42, of fat as B0^0.25.
    low, high = (brightness(Sequence("T1", 1.0, 5.0, field_t=field, echo_train=1)) for field in (0.3, 3.0))
    ratio = (high["muscle"] / high["fat"]) / (low["muscle"] / low["fat"])
    assert ratio == pytest.approx(10 ** (0.25 - 0.42), rel=0.01)


def test_order_of_tissues_in_t1_is_the_textbooks():
    seen = brightness(Sequence("T1", 600.0, 12.0, echo_train=4))
    assert seen["fat"] > seen["marrow"] > seen["muscle"] > seen["csf"] > seen["cortex"]
    assert seen["brain_white"] > seen["brain_grey"] > seen["csf"]


def test_order_of_tissues_in_t2_is_the_textbooks():
    seen = brightness(Sequence("T2", 3500.0, 100.0))
    assert seen["csf"] > seen["nucleus"] > seen["marrow"] > seen["muscle"] > seen["ligament"] > seen["cortex"]
    assert seen["nucleus"] > 3 * seen["annulus"]
    assert seen["brain_grey"] > seen["brain_white"]


@pytest.mark.parametrize(("field_t", "ti_ms"), [(0.3, 110.0), (1.5, 165.0), (3.0, 200.0)])
def test_stir_nulls_fat_at_the_inversion_times_in_use(field_t, ti_ms):
    seen = brightness(Sequence("STIR", 4000.0, 60.0, ti_ms=ti_ms, field_t=field_t))
    assert seen["fat"] < 0.03


def test_drawn_stir_nulls_fat_and_shows_oedema_brighter_than_marrow():
    rng = np.random.default_rng(1)
    for _ in range(20):
        seen = brightness(sample_sequence(rng, "STIR"))
        assert seen["fat"] < 0.12
        assert seen["oedema"] > 2 * seen["marrow"]


def test_fat_suppression_darkens_fat_and_not_water():
    plain, suppressed = (brightness(Sequence("T2", 4000.0, 60.0, fat_fraction=f)) for f in (1.0, 0.1))
    assert suppressed["fat"] / suppressed["csf"] == pytest.approx(0.1 * plain["fat"] / plain["csf"], rel=1e-5)
    assert suppressed["muscle"] / suppressed["csf"] == pytest.approx(plain["muscle"] / plain["csf"], rel=1e-5)


def test_echo_train_makes_fat_bright_in_t2():
    single, train = (brightness(Sequence("T2", 3500.0, 100.0, echo_train=n)) for n in (1, 20))
    assert train["fat"] > 2 * single["fat"]
    assert train["muscle"] == pytest.approx(single["muscle"], rel=1e-5)


@pytest.mark.parametrize(
    ("modic", "in_t1", "in_t2"), [("oedema", -1, 1), ("fatty_marrow", 1, 1), ("sclerosis", -1, -1), ("haemangioma", 1, 1)]
)
def test_changed_marrow_is_brighter_or_darker_than_marrow_as_its_definition_says(modic, in_t1, in_t2):
    """Modic 1: dark in T1, bright in T2; Modic 2: bright in both; Modic 3: dark in both; haemangioma: bright in both."""
    for sequence, sign in ((Sequence("T1", 600.0, 12.0, echo_train=4), in_t1), (Sequence("T2", 3500.0, 100.0), in_t2)):
        seen = brightness(sequence)
        assert sign * (seen[modic] - seen["marrow"]) > 0


def test_myelogram_shows_fluid_alone():
    rng = np.random.default_rng(0)
    for _ in range(20):
        sequence = sample_sequence(rng, "MYELO")
        seen = brightness(sequence)
        assert sequence.te_ms > 500
        assert seen["csf"] > 0.7
        assert max(v for t, v in seen.items() if t not in ("csf", "bladder", "fluid")) < 0.06


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_gives_finite_brightness(name):
    contrast = sample_contrast(np.random.default_rng(0), name)
    assert contrast.shape == (len(TISSUES),)
    assert torch.isfinite(contrast).all() and (contrast >= 0).all()


def test_same_seed_gives_the_same_contrast():
    one, again = (sample_contrast(np.random.default_rng(3), "T2", randomised=0.5) for _ in range(2))
    assert torch.equal(one, again)


def test_randomised_contrast_leaves_what_has_no_signal_dark_and_spreads_the_rest():
    drawn = torch.stack([sample_contrast(np.random.default_rng(k), "T2", randomised=1.0) for k in range(200)])
    dark = torch.tensor([t in DARK for t in TISSUES])
    assert drawn[:, dark].max() <= 0.08
    assert (drawn[:, ~dark].amin(0) < 0.15).all() and (drawn[:, ~dark].amax(0) > 0.9).all()


def test_without_spread_a_contrast_is_the_physical_one():
    contrast = sample_contrast(np.random.default_rng(0), "T1", spread=0.0)
    still = torch.tensor([t != "vessel" for t in TISSUES])
    # The same draws: one for the choice between physics and chance, the rest for the protocol.
    rng = np.random.default_rng(0)
    rng.random()
    assert torch.allclose(contrast[still], spin_echo_signal(sample_sequence(rng, "T1"))[still])


def test_blood_is_mostly_dark_and_at_times_grey():
    vessel, slow = TISSUES.index("vessel"), TISSUES.index("slow_flow")
    drawn = torch.stack([sample_contrast(np.random.default_rng(k), "T2", spread=0.0) for k in range(200)])
    share = drawn[:, vessel] / drawn[:, slow]
    assert share.median() < 0.2 and 0.7 < share.max() <= 1


def test_patient_keeps_his_tissues_in_all_series():
    patient = tissue_spread(np.random.default_rng(5), 0.3)
    own, plain = (sample_contrast(np.random.default_rng(0), "T2", spread=0.1, patient=p) for p in (patient, None))
    assert torch.allclose(own, plain * patient)
    assert patient.log().std() == pytest.approx(0.3, rel=0.5)


def test_unknown_protocol_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="choose T2, T1"):
        sample_sequence(np.random.default_rng(0), "DWI")
