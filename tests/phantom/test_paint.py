"""Painted anatomy: what lies where in the canal, at the joints, in the foramina and beside the spine."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from bundle.geometry import unit
from bundle.geometry.resample import square_plane
from bundle.phantom.anatomy import sample_spine
from bundle.phantom.paint import SpinePainter, SpinePatient
from bundle.phantom.posterior import FLAVUM, JOINT, NERVE
from bundle.phantom.render import paint_plane
from bundle.phantom.tissues import TISSUES

SPINES = [sample_spine(seed, surgery=0.0) for seed in (1, 2, 5)]
PATIENTS = [SpinePatient(spine) for spine in SPINES]
EVERY = torch.eye(len(TISSUES))
LUMBAR = ("L1-L2", "L2-L3", "L3-L4", "L4-L5")


def at(patient, point_lps_mm):
    """Shares of the tissues at one point, by name."""
    plane = square_plane(point_lps_mm, (1, 0, 0), (0, 1, 0), 0.3, 3)
    return dict(zip(TISSUES, paint_plane(patient, plane, EVERY)[:, 1, 1].tolist(), strict=True))


def axial(shape, side_mm=150.0, size_px=120):
    return square_plane(shape.disk.back_lps_mm, shape.axes[0], shape.axes[1], side_mm, size_px)


@pytest.mark.parametrize("patient", PATIENTS, ids=range(3))
def test_shares_of_tissue_are_whole_everywhere(patient):
    plane = square_plane((0, 20, 0), unit([0.9, 0.3, 0.1]), unit([-0.1, 0.5, -1]), 260.0, 61)
    seen = paint_plane(patient, plane, EVERY)
    assert seen.sum(0) == pytest.approx(torch.ones(61, 61), abs=1e-4)
    assert seen.min() >= 0


@pytest.mark.parametrize("patient", PATIENTS, ids=range(3))
def test_canal_holds_fluid_and_roots_in_its_sac(patient):
    for level in ("L1", "L2", "L3", "L4"):
        z = float(patient.spine.body(level).center_lps_mm[2])
        x, wall, half_depth, _, gap = patient.spine.canal_at(z)
        seen = at(patient, (x, wall + gap + half_depth, z))
        assert seen["csf"] + seen["nerve"] > 0.9


def test_cord_ends_at_the_conus():
    for patient in PATIENTS:
        for z, least, most in ((patient.spine.conus_z_mm + 30, 0.8, 1.0), (patient.spine.conus_z_mm - 30, 0.0, 0.5)):
            x, wall, half_depth, _, gap = patient.spine.canal_at(z)
            plane = square_plane((x, wall + gap + half_depth, z), (1, 0, 0), (0, 1, 0), 4.0, 9)
            assert least <= paint_plane(patient, plane, EVERY)[TISSUES.index("nerve")].mean() <= most


def test_fat_lies_behind_the_sac_between_the_laminae_more_than_before_them():
    fat = {"disk": 0.0, "lamina": 0.0}
    for patient in PATIENTS:
        for level in ("L2", "L3", "L4"):
            body = patient.spine.body(level)
            h = sum(body.half_height_mm) / 2
            for place, z in (("lamina", -0.35 * h), ("disk", -0.35 * h - h - patient.spine.gap_below(body) / 2)):
                height = float(body.center_lps_mm[2]) + z
                x, wall, half_depth, _, gap = patient.spine.canal_at(height)
                line = square_plane((x, wall + gap + 2 * half_depth + 3, height), (1, 0, 0), (0, 1, 0), 6.0, 12)
                fat[place] += float(paint_plane(patient, line, EVERY)[TISSUES.index("fat")].mean())
    assert fat["disk"] > fat["lamina"]


@pytest.mark.parametrize("level", ["L2", "L3", "L4", "L5"])
def test_joints_lie_between_two_processes(level):
    for patient in PATIENTS:
        below = patient.spine.bodies[patient.spine.bodies.index(patient.spine.body(level)) - 1]
        rods = patient.rods.of(JOINT)
        middles = (rods[:, :3] + rods[:, 3:6]) / 2
        disk = patient.spine.disks[f"{level}-{below.level}"].disk
        off = middles - disk.center_lps_mm
        near = np.argsort(np.abs(off @ disk.normal_lps) + 0.2 * np.abs(off @ disk.posterior_lps))[:2]
        assert np.sign(off[near, 0]).tolist() in ([-1, 1], [1, -1])  # one on each side
        for k in near:
            across = rods[k, 9:12]  # unit direction of the first half axis: across the joint
            bone = [at(patient, middles[k] + s * 6.0 * across) for s in (-1, 1)]
            assert [b["marrow"] + b["cortex"] > 0.5 for b in bone] == [True, True]


def test_roots_leave_below_the_pedicle_of_their_level_on_both_sides():
    for patient in PATIENTS:
        rods = patient.rods.of(NERVE)
        for level in ("L1", "L2", "L3", "L4", "L5"):
            body = patient.spine.body(level)
            ganglia = (rods[:, :3] + rods[:, 3:6]) / 2 - body.center_lps_mm
            local = ganglia @ body.axes.T
            h = sum(body.half_height_mm) / 2
            mine = local[(local[:, 2] < 0.1 * h) & (local[:, 2] > -1.2 * h) & (np.abs(local[:, 0]) < 32) & (local[:, 1] > 8)]
            assert {-1.0, 1.0} <= set(np.sign(mine[:, 0]).tolist())


def test_flavum_and_joints_are_missing_where_the_arch_was_taken_away():
    spine = SPINES[0]
    whole, operated = SpinePatient(spine), SpinePatient(replace(spine, laminectomy=frozenset({"L4"})))
    assert len(operated.rods.of(FLAVUM)) < len(whole.rods.of(FLAVUM))
    z = float(spine.body("L4").center_lps_mm[2]) - 10
    x, wall, half_depth, _, gap = spine.canal_at(z)
    behind = (x, wall + gap + 2 * half_depth + 14, z)
    bone = [sum(at(p, behind)[t] for t in ("marrow", "cortex")) for p in (whole, operated)]
    assert bone[0] > bone[1] + 0.5


@pytest.mark.parametrize("level", LUMBAR)
def test_flavum_lies_behind_the_sac_at_the_disk(level):
    for patient in PATIENTS:
        shape = patient.spine.disks[level]
        seen = paint_plane(patient, axial(shape, 60.0), EVERY)[TISSUES.index("ligament")]
        rows = torch.arange(seen.shape[0])
        # Mean row of ligament in the middle third lies behind the disk's back edge.
        middle = seen[60:, 40:80].sum(1)
        assert float((middle * rows[60:]).sum() / middle.sum()) > 60 + 5


def test_aorta_is_on_the_left_and_cava_on_the_right():
    slow = next(p for p in (SpinePatient(sample_spine(k)) for k in range(20)) if len(vein_rods(p)))
    assert vein_rods(slow)[:, 0].mean() < slow.spine.body("L2").center_lps_mm[0]


def vein_rods(patient):
    from bundle.phantom.soft_tissue import VEIN

    return patient.rods.of(VEIN)


def test_fields_seen_from_the_other_side_are_mirrored():
    """Left and right follow the patient, not the array: the plane turned about its column shows the mirrored image."""
    plane = axial(SPINES[0].disks["L3-L4"], size_px=41)
    turned = square_plane(plane.center_lps_mm, -plane.row_direction, plane.column_direction, 150.0, 41)
    seen, mirrored = (paint_plane(PATIENTS[0], p, EVERY) for p in (plane, turned))
    assert mirrored.flip(-1) == pytest.approx(seen, abs=2e-3)


def test_patients_painted_together_are_as_each_alone():
    planes = [replace(axial(p.spine.disks["L4-L5"], 120.0, 40), thickness_mm=4.0) for p in PATIENTS]
    together = SpinePainter(PATIENTS).paint(planes, EVERY.expand(3, -1, -1))
    for k, (patient, plane) in enumerate(zip(PATIENTS, planes, strict=True)):
        assert together[k] == pytest.approx(paint_plane(patient, plane, EVERY), abs=1e-5)


def test_part_of_a_plane_is_painted_as_the_whole():
    """Odd sizes and planes that are not square: a window of a plane shows what the plane shows there."""
    plane = axial(SPINES[1].disks["L2-L3"], size_px=60)
    window = replace(plane, origin_lps_mm=plane.to_patient(np.array([11, 5])), shape=(37, 23))
    whole, part = (paint_plane(PATIENTS[1], p, EVERY) for p in (plane, window))
    assert part == pytest.approx(whole[:, 5 : 5 + 37, 11 : 11 + 23], abs=2e-3)


def test_muscle_of_the_fatty_holds_more_fat():
    means = []
    for share in (0.05, 0.8):
        spine = replace(SPINES[0], soft={**SPINES[0].soft, "muscle_fat": share})
        shape = spine.disks["L4-L5"]
        plane = square_plane(
            shape.disk.back_lps_mm + 32 * shape.axes[1] + 20 * shape.axes[0], (1, 0, 0), (0, 1, 0), 20.0, 30
        )
        means.append(float(paint_plane(SpinePatient(spine), plane, EVERY)[TISSUES.index("fat")].mean()))
    assert means[1] > means[0] + 0.15


def test_without_soft_tissue_there_is_no_muscle_at_the_back():
    bare = SpinePatient(SPINES[0], soft_tissue=False)
    plane = axial(SPINES[0].disks["L4-L5"])
    share = [float(paint_plane(p, plane, EVERY)[TISSUES.index("muscle")].mean()) for p in (PATIENTS[0], bare)]
    assert share[0] > 0.1 > 0.05 > share[1]
