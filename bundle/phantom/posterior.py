"""Everything of a vertebra behind and beside its body: arch, joints, processes and ligaments, as rods."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from bundle.phantom.rods import Array, Material, RodTable
from bundle.phantom.shapes import Body, Spine

BONE = Material("marrow", "cortex", 1.1)
JOINT = Material("fluid", "cartilage", 0.5)
FLAVUM = Material("ligament")
INTERSPINOUS = Material("muscle")
FORAMEN = Material("fat")
NERVE = Material("nerve")
METAL = Material("metal")

# Half thickness of a pedicle (mm) and the angle of the facet joint below to the sagittal plane (degrees), after the
# morphometry of Panjabi et al., Spine 1992;17:299 and 1993;18:1298, rounded.
_PEDICLE_MM = {"L1": 3.8, "L2": 4.0, "L3": 4.7, "L4": 5.8, "L5": 7.5}
_FACET_DEG = {"T12": 20.0, "L1": 25.0, "L2": 30.0, "L3": 37.0, "L4": 46.0, "L5": 52.0}
#: Distance of that joint's middle from the midline, mm.
_FACET_MM = {"T12": 11.5, "L1": 12.5, "L2": 14.0, "L3": 16.0, "L4": 19.0, "L5": 22.5}
#: How far back it lies, as a share of the canal's depth.
_JOINT_BACK = 0.72


class _Arch:
    """Adds rods in one vertebra's frame: left, back from the body's back wall, up."""

    def __init__(self, table: RodTable, body: Body) -> None:
        self.table = table
        self.back = float(body.half_depth_at(np.zeros(1))[0])
        self.frame = table.frame(body.to_patient(np.array([0.0, self.back, 0.0])), body.axes)

    def __call__(
        self,
        material: Material,
        start: Iterable[float],
        end: Iterable[float],
        radii: Iterable[float],
        yaw_deg: float = 0.0,
        taper: float = 1.0,
    ) -> None:
        self.table.add(material, start, end, radii, self.frame, yaw_deg, taper)


def add_posterior_elements(table: RodTable, spine: Spine) -> None:
    """Add the posterior elements of all vertebrae of ``spine`` to ``table``."""
    for below, body in zip((None, *spine.bodies[:-1]), spine.bodies, strict=True):
        if body.level in ("S4", "S5"):
            continue
        canal = spine.canal_at(float(body.center_lps_mm[2]))
        if body.level[0] == "S":
            _sacral_roof(_Arch(table, body), body, canal, spine)
        else:
            _vertebra(_Arch(table, body), body, below, canal, spine)


def _sacral_roof(arch: _Arch, body: Body, canal: Array, spine: Spine) -> None:
    """The crest over the sacral canal, the wings and, beyond the joints, the iliac bones."""
    depth = 2 * max(canal[2], 3.0) + canal[4] + 3
    width = max(canal[3], 6.0)
    h = sum(body.half_height_mm) / 2
    crest = spine.soft["crest"]
    for side in (-1.0, 1.0):
        arch(BONE, (side * (width + 3), depth - 2, -h), (side * 2, depth + 3, -h * 0.9), (4.0, 3.2, h * 0.8))
        arch(BONE, (side * (width + 5), 0, 0), (side * (width + 5), depth, -0.3 * h), (5.0, 5.0, 0.55 * h))
    arch(BONE, (0, depth + 3, 0.3 * h), (0, depth + 3 + 7 * crest, -0.6 * h), (3.0, 4.0, 0.6 * h))
    if body.level not in ("S1", "S2", "S3"):
        return
    reach = {"S1": 50.0, "S2": 44.0, "S3": 32.0}[body.level]
    inner = 0.75 * body.half_width_mm
    for side in (-1.0, 1.0):
        # The wings of S2 and S3 are one piece with that above.
        tall = h + 1 if body.level == "S1" else 1.3 * h + 3
        arch(BONE, (side * inner, -arch.back, 0), (side * reach, -4, -2), (9.0, 12.0, tall))
        if body.level != "S3":
            arch(BONE, (side * (reach + 9), 16, 6), (side * (reach + 34), -34, 22), (7.0, 16.0, 30.0), 0.0, 0.9)


@dataclass(frozen=True)
class _Joint:
    """A facet joint in the frame of its vertebra, on the patient's left (+1) or right (-1).

    Args:
        side: of the patient.
        u_mm: distance from the midline.
        v_mm: behind the body's back wall.
        angle_deg: to the sagittal plane; it opens to the front and the middle.
    """

    side: float
    u_mm: float
    v_mm: float
    angle_deg: float

    def at(self, outward_mm: float, along_mm: float, w_mm: float) -> tuple[float, float, float]:
        """The point so far to the outside and front of the joint, so far back along it, at a height."""
        s, c = math.sin(math.radians(self.angle_deg)), math.cos(math.radians(self.angle_deg))
        return self.side * (self.u_mm + c * outward_mm + s * along_mm), self.v_mm - s * outward_mm + c * along_mm, w_mm

    @property
    def yaw_deg(self) -> float:
        """Turn that lays a section's second axis along the joint."""
        return -self.side * self.angle_deg


@dataclass(frozen=True)
class _Size:
    """Numbers of one vertebra in mm: half height of the body, gap below, canal, pedicle, joints (see _FACET_MM)."""

    h: float
    gap: float
    side_wall: float
    canal: float
    pedicle: float
    joint_u: float
    joint_deg: float


def _size(body: Body, canal: Array, spine: Spine) -> _Size:
    s, level = spine.soft, body.level
    known = level if level in _FACET_MM else "L5" if level == "L6" else "T12"
    side_wall = max(canal[3], 6.0) + 2.5
    return _Size(
        h=sum(body.half_height_mm) / 2,
        gap=spine.gap_below(body),
        side_wall=float(side_wall),
        canal=float(2 * max(canal[2], 3.0) + canal[4] + 2.5),
        pedicle=_PEDICLE_MM.get(known, 3.2) * s["size"],
        joint_u=float(max(_FACET_MM[known] * s["size"], side_wall + 2.0)),
        joint_deg=max(_FACET_DEG[known] + s["facet_deg"], 12.0),
    )


def _vertebra(arch: _Arch, body: Body, below: Body | None, canal: Array, spine: Spine) -> None:
    size = _size(body, canal, spine)
    roofless = body.level in spine.laminectomy
    for side in (-1.0, 1.0):
        root = side * (size.side_wall + size.pedicle)
        arch(
            BONE, (root, -4.0, 0.38 * size.h), (root + side, 0.75 * size.canal, 0.30 * size.h),
            (size.pedicle, 4.5, 0.50 * size.h),
        )  # fmt: skip
        joint = _Joint(side, size.joint_u, _JOINT_BACK * size.canal, size.joint_deg)
        if not roofless:
            _half_arch(arch, size, joint, spine.soft)
        _superior_process(arch, size, side, spine.soft)
        if below is not None and below.level != "S2":
            w, half = -size.h - 0.5 * size.gap, 6.0 * spine.soft["facet"]
            arch(
                JOINT,
                joint.at(-0.2, 0, w + 5),
                joint.at(0, 0, w - 5),
                (0.95 * spine.soft["joint_gap"], half, 5.0),
                joint.yaw_deg,
            )
            if below.level == "S1":  # its superior process follows the joint, however the sacrum leans
                foot, top = (
                    joint.at(5.3 * spine.soft["facet"], 2.0, w - 13.0),
                    joint.at(5.3 * spine.soft["facet"], 0, w + 6.0),
                )
                thick = 5.0 * spine.soft["facet"]
                arch(BONE, foot, top, (thick, 1.5 * thick, 6.5), joint.yaw_deg)
        _beside(arch, size, side, body.level, spine)
        _root(arch, side, size, spine.soft["size"])
    if not roofless:
        _spinous_process(arch, size, body.level, spine)


def _half_arch(arch: _Arch, size: _Size, joint: _Joint, soft: Mapping[str, float]) -> None:
    """Isthmus, lamina, inferior process and ligamentum flavum of one side."""
    side, h, facet = joint.side, size.h, soft["facet"]
    w = -h - 0.5 * size.gap  # height of the joint: that of the disk below
    isthmus = (side * (size.side_wall + size.pedicle - 1), 0.75 * size.canal, 0.1 * h)
    arch(BONE, isthmus, joint.at(-4.2, 0, -0.75 * h), (3.6, 4.0, 0.35 * h))
    arch(BONE, joint.at(-4.5, 0, -0.45 * h), (side * 2.0, size.canal + 4.0, -0.70 * h), (3.0, 3.0, 0.52 * h), 0.0, 0.95)
    # The inferior process lies behind and inside the joint with the vertebra below.
    arch(
        BONE, joint.at(-5.6 * facet, 0, -0.6 * h), joint.at(-5.4 * facet, 0, w - 6.0), (5.0 * facet, 7.8 * facet, 7.0),
        joint.yaw_deg, 0.9,
    )  # fmt: skip
    # Flavum: from the front of this lamina over the joint's inner side to the upper edge of the next.
    radii = (1.7 * soft["flavum"], 1.7 * soft["flavum"], 0.45 * h + 0.5 * size.gap)
    arch(FLAVUM, (side * 0.8, size.canal + 1.8, w - 1.0), joint.at(-1.0, -5.0, w + 1.0), radii)


def _superior_process(arch: _Arch, size: _Size, side: float, soft: Mapping[str, float]) -> None:
    """Before and outside the joint with the vertebra above, which is steeper and nearer to the midline."""
    facet = soft["facet"]
    u = max(size.joint_u - 2.5, size.side_wall + 1.0)
    joint = _Joint(side, u, _JOINT_BACK * size.canal, max(size.joint_deg - 8.0, 12.0))
    arch(
        BONE, (side * (size.side_wall + size.pedicle), 0.70 * size.canal, 0.3 * size.h),
        joint.at(5.3 * facet, 0, size.h + 0.5 * size.gap + 6.0), (5.0 * facet, 7.6 * facet, 6.5), joint.yaw_deg, 0.95,
    )  # fmt: skip


def _beside(arch: _Arch, size: _Size, side: float, level: str, spine: Spine) -> None:
    """Transverse process of a lumbar vertebra, rib of a thoracic one."""
    h, root = size.h, size.side_wall + size.pedicle
    low = level in ("L5", "L6")
    if level[0] == "L":
        if spine.transition == "sacralised L5" and level == "L5":  # broad, and grown together with the sacrum's wing
            arch(BONE, (side * root, 2.0, 0), (side * (root + 30), 6.0, -0.9 * h), (6.0, 7.0, 0.9 * h))
            return
        if spine.transition == "T13" and level == "L1":
            arch(BONE, (side * (size.side_wall + 4), 0.0, 0.6 * h), (side * 70.0, 20.0, -0.9 * h), (4.0, 3.4, 5.0))
            return
        end = (side * (root + (20.0 if low else 26.0) * spine.soft["size"]), 9.0, 0.3 * h)
        arch(BONE, (side * (root + 2), 3.0, 0.25 * h), end, (4.0, 3.4, 8.0 if low else 5.0), 0.0, 0.7)
    elif level[0] == "T":
        arch(BONE, (side * (size.side_wall + 4), 0.0, 0.7 * h), (side * 62.0, 26.0, -0.9 * h), (4.0, 3.4, 5.5))
        arch(BONE, (side * 62.0, 26.0, -0.9 * h), (side * 112.0, -10.0, -3.2 * h), (3.4, 3.4, 6.0))


def _spinous_process(arch: _Arch, size: _Size, level: str, spine: Spine) -> None:
    h, region, last, soft = size.h, level[0], level in ("L5", "L6"), spine.soft
    length = {"L": 27.0, "T": 26.0, "C": 16.0}[region] * soft["spinous"] * (0.8 if last else 1.0)
    tall = (11.5 if region == "L" else 5.5) * soft["spinous_tall"] * (0.75 if last else 1.0)
    drop, fall = (-0.55 if region == "L" else -1.0) * h, {"L": 0.35, "T": 1.5, "C": 0.9}[region] * h
    tip = size.canal + 6 + length
    # A neck behind the laminae, then a blade like a hatchet's.
    arch(BONE, (0, size.canal + 5.0, drop), (0, tip - 0.6 * tall, drop - fall), (3.4, 4.0, 0.75 * tall))
    arch(
        BONE,
        (0, size.canal + 0.5 * length, drop - 0.4 * fall),
        (0, tip - 0.75 * tall, drop - fall),
        (4.2, 0.8 * tall, 0.95 * tall),
    )
    # Between two processes lie strands of ligament and fat, rising to the back; a dark band runs over their tips.
    rng = np.random.default_rng([spine.seed, 7, ord(level[0]), int(level[1:])])
    reach = h + 0.5 * size.gap
    slack = max(reach - 0.8 * tall, 2.0)
    for share in (0.1, 0.3, 0.5, 0.7):
        v, w = size.canal + 4 + (share + rng.uniform(-0.08, 0.08)) * length, drop - fall * share - reach
        low, high, thick = -rng.uniform(0.6, 1.2) * slack, rng.uniform(0.4, 1.1) * slack, rng.uniform(1.2, 3.2)
        strand = FLAVUM if rng.random() < 0.2 else INTERSPINOUS
        arch(strand, (0, v, w + low), (0, v + rng.uniform(3, 9), w + high), (1.6, thick, thick))
    arch(FLAVUM, (0, tip, drop - fall + reach), (0, tip, drop - fall - reach), (1.8, 1.2, 1.2))


def _root(arch: _Arch, side: float, size: _Size, scale: float) -> None:
    """Fat of the foramen and the root with its ganglion that leaves through it."""
    a, h, gap = size.side_wall, size.h, size.gap
    arch(FORAMEN, (side * (a + 4), 4.0, -0.25 * h), (side * (a + 7), 4.5, -h - 0.5 * gap), (8.0, 5.0, 0.3 * h))
    arch(FORAMEN, (side * (a + 8), 2.0, -0.4 * h), (side * (a + 24), -10.0, -h - gap), (6.0, 4.5, 7.0))
    arch(NERVE, (side * (a - 3), 5.0, 0.25 * h), (side * (a + 3), 4.5, -0.25 * h), (1.5, 1.5, 1.8))
    arch(NERVE, (side * (a + 3), 4.5, -0.25 * h), (side * (a + 7), 4.0, -0.5 * h), (2.6 * scale, 2.4 * scale, 3.0))
    arch(NERVE, (side * (a + 7), 4.0, -0.5 * h), (side * (a + 24), -10.0, -1.0 * h - gap), (1.9, 1.9, 2.0), 0.0, 0.9)
