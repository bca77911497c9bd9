from dataclasses import fields

import numpy as np
import pytest
from monai.bundle import ConfigParser

from bundle.phantom.acquisition import Acquisition, AcquisitionRates, sample_acquisition

FAULTS = (
    "coil_elements", "flow_void", "pulsation", "breathing", "motion_mm", "wrap", "saturation", "zipper", "spike", "border",
)  # fmt: skip


def drawn(rates: AcquisitionRates | None, count: int = 300) -> list[Acquisition]:
    rng = np.random.default_rng(0)
    return [sample_acquisition(rng, rates) for _ in range(count)]


def test_same_seed_gives_the_same_acquisition():
    assert sample_acquisition(np.random.default_rng(4)) == sample_acquisition(np.random.default_rng(4))


def test_perfect_scanner_draws_acquisitions_without_any_fault():
    plain = Acquisition()
    settings = (
        "voxel_mm",
        "partial_fourier",
        "noise",
        "coil_depth_mm",
        "bias",
        "texture",
        "fat_shift_mm",
        "metal_mm",
        "export",
    )
    for acquisition in drawn(AcquisitionRates.perfect(), 50):
        for name in (*FAULTS, "fat_shift_mm", *settings):
            assert getattr(acquisition, name) == getattr(plain, name), name


def test_without_artefacts_resolution_noise_and_coil_remain():
    acquisitions = drawn(AcquisitionRates.without_artefacts(), 50)
    assert all(getattr(a, name) == 0 for a in acquisitions for name in (*FAULTS, "fat_shift_mm", "metal_mm"))
    assert all(a.export is None for a in acquisitions)
    assert all(a.noise > 0 and max(a.voxel_mm) > 0 for a in acquisitions)
    assert any(a.coil_depth_mm > 0 for a in acquisitions)


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_occurs_as_often_and_as_strongly_as_its_rate_says(name):
    rates = AcquisitionRates()
    chance, (low, high) = getattr(rates, f"chance_{name.removesuffix('_mm')}"), getattr(rates, name)
    found = [getattr(a, name) for a in drawn(None, 1500)]
    there = [value for value in found if value > 0]
    assert len(there) / len(found) == pytest.approx(chance, abs=3 * np.sqrt(chance * (1 - chance) / 1500))
    assert low <= min(there) and max(there) <= high


def test_each_rate_can_be_set_alone():
    rates = AcquisitionRates.without_artefacts()
    for name in FAULTS:
        chance = f"chance_{name.removesuffix('_mm')}"
        values = {f.name: getattr(rates, f.name) for f in fields(rates)} | {chance: 1.0}
        acquisition = drawn(AcquisitionRates(**values), 1)[0]
        assert [n for n in FAULTS if getattr(acquisition, n) > 0] == [name]


def test_part_of_an_image_has_no_faults_of_the_edge_of_the_field():
    whole = Acquisition(wrap=0.5, border=0.1, noise=0.01, motion_mm=1.0)
    assert whole.cropped() == Acquisition(noise=0.01, motion_mm=1.0)


def test_phase_encoding_is_never_finer_than_frequency_encoding():
    assert all(a.voxel_mm[a.phase_axis] >= a.voxel_mm[1 - a.phase_axis] for a in drawn(None))


def test_saturation_band_begins_before_the_bodies_of_this_patient():
    rng = np.random.default_rng(0)
    rates = AcquisitionRates(chance_saturation=1.0)
    begins = [sample_acquisition(rng, rates, front_depth_mm=150.0).saturation_depth_mm for _ in range(50)]
    assert 147.0 <= min(begins) < max(begins) <= 190.0


def test_drawn_noise_spans_a_good_and_a_poor_scanner_as_seen_at_the_bodies():
    low, high = AcquisitionRates().noise
    rng = np.random.default_rng(0)
    taken = [sample_acquisition(rng, front_depth_mm=140.0) for _ in range(300)]
    seen = [a.noise / (0.5 ** (140.0 / a.coil_depth_mm) if a.coil_depth_mm else 1.0) for a in taken]
    assert low <= min(seen) < 1.2 * low and 0.8 * high < max(seen) <= high


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("AcquisitionRates", AcquisitionRates()),
        ("AcquisitionRates.without_artefacts", AcquisitionRates.without_artefacts()),
        ("AcquisitionRates.perfect", AcquisitionRates.perfect()),
    ],
)
def test_rates_can_be_declared_in_a_config(target, expected):
    parser = ConfigParser({"rates": {"_target_": f"bundle.phantom.acquisition.{target}"}})
    assert parser.get_parsed_content("rates") == expected


def test_limits_from_a_config_may_be_lists():
    parser = ConfigParser({"rates": {"_target_": "bundle.phantom.acquisition.AcquisitionRates", "noise": [0.01, 0.01]}})
    drawn_noise = sample_acquisition(np.random.default_rng(0), parser.get_parsed_content("rates"), front_depth_mm=0.0).noise
    assert drawn_noise == pytest.approx(0.01)
