"""From anatomy to tissue: paints a spine onto the points of a plane, in the order in which tissues lie over one another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from bundle.geometry import SlicePlane
from bundle.phantom.anatomy import Body, DiskShape, Spine
from bundle.phantom.fardon import Fragment
from bundle.phantom.rim import SUPERELLIPSE
from bundle.phantom.tissues import TISSUES

_EDGE_MM = 0.35  # half width of the soft edge between two tissues


class Canvas:
    """Tissue at the points of a plane, as brightness in one or more contrasts.

    Painting is linear: with the identity matrix as ``contrasts`` the channels are the tissues' fractions, with (C, tissues)
    brightness they are C images, each equal to contrasts @ fractions.

    Args:
        plane: where the points lie.
        contrasts: (C, len(TISSUES)) brightness of each tissue.
        offset_mm: the points are this far from the plane along its normal (slice profile).
    """

    def __init__(self, plane: SlicePlane, contrasts: Tensor, offset_mm: float = 0.0) -> None:
        self.plane = plane
        self.contrasts = contrasts.float()
        rows, columns = plane.shape
        dtype, device = torch.float32, contrasts.device
        self.origin = torch.tensor(plane.origin_lps_mm + offset_mm * plane.normal, dtype=dtype, device=device)
        step_row = torch.tensor(plane.column_direction * plane.pixel_spacing_mm[0], dtype=dtype, device=device)
        step_column = torch.tensor(plane.row_direction * plane.pixel_spacing_mm[1], dtype=dtype, device=device)
        r = torch.arange(rows, dtype=dtype, device=device)
        c = torch.arange(columns, dtype=dtype, device=device)
        self.points = self.origin + r[:, None, None] * step_row + c[None, :, None] * step_column  # (rows, columns, 3)
        self.image = self.contrasts[:, TISSUES.index("air"), None, None].expand(-1, rows, columns).clone()
        self._offset = offset_mm

    def block(self, center: np.ndarray, radius_mm: float) -> tuple[slice, slice] | None:
        """Rows and columns that a ball around ``center`` can touch; None if it misses the image."""
        away = float(self.plane.signed_distance_mm(center)) - self._offset
        if abs(away) >= radius_mm:
            return None
        column, row = self.plane.to_pixel(center)
        reach = np.sqrt(radius_mm**2 - away**2)
        dr, dc = reach / self.plane.pixel_spacing_mm[0], reach / self.plane.pixel_spacing_mm[1]
        rows, columns = self.plane.shape
        r0, r1 = max(int(row - dr), 0), min(int(row + dr) + 2, rows)
        c0, c1 = max(int(column - dc), 0), min(int(column + dc) + 2, columns)
        return (slice(r0, r1), slice(c0, c1)) if r0 < r1 and c0 < c1 else None

    def paint(self, where: tuple[slice, slice], inside: Tensor, tissue: str) -> None:
        """Cover the points ``where`` with ``tissue`` to the share ``inside`` (0 to 1, of the block's shape)."""
        part = self.image[:, where[0], where[1]]
        color = self.contrasts[:, TISSUES.index(tissue), None, None]
        part += inside * (color - part)


def soft(depth_mm: Tensor) -> Tensor:
    """Share of a point that is inside, from its depth below the surface."""
    return torch.sigmoid(depth_mm / _EDGE_MM)


def _rounded(a: Tensor, b: Tensor, radius_mm: float) -> Tensor:
    """Depth inside the intersection of two solids with depths ``a`` and ``b``, its edge rounded."""
    p, q = radius_mm - a, radius_mm - b
    return radius_mm - torch.where((p > 0) & (q > 0), torch.sqrt(p * p + q * q), torch.maximum(p, q))


class Painter:
    """Paints one spine.

    Args:
        spine: the patient.
        device: where the points are.

    The same painter may be used for any number of planes: they all show the same patient.
    """

    def __init__(self, spine: Spine, device: str | torch.device = "cpu") -> None:
        self.spine = spine
        self.device = torch.device(device)
        rng = np.random.default_rng(spine.seed)
        knots = spine.canal
        self._z0 = float(knots[0, 0]) - 60
        z = np.arange(self._z0, float(knots[-1, 0]) + 60, 1.0)
        table = np.stack([np.interp(z, knots[:, 0], knots[:, k]) for k in range(1, 6)])
        # Below the last segment the spine runs on backward and down; keep the slope so that soft tissue follows.
        smooth = np.convolve(np.pad(table[1], 40, mode="edge"), np.ones(81) / 81, mode="valid")
        self._canal = torch.tensor(np.vstack([table, smooth]), dtype=torch.float32, device=self.device)
        count = int(rng.integers(12, 18))
        angle, radius = rng.uniform(0, 2 * np.pi, count), np.sqrt(rng.uniform(0.05, 0.75, count))
        self._roots = np.stack([radius * np.cos(angle), 0.35 + 0.6 * radius * np.sin(angle), rng.uniform(0, 6.3, count)], -1)
        self._bowel = self._draw_bowel(rng)
        self._streaks = torch.from_numpy(rng.normal(0, 1, (6, 4))).float().to(self.device)
        self._belly = float(rng.uniform(-0.15, 0.15))

    def paint(self, canvas: Canvas) -> Tensor:
        """Paint everything; returns the canvas's image (C, rows, columns)."""
        along = self._along(canvas.points)
        self._soft_tissue(canvas, along)
        bodies = self.spine.bodies
        # A vertebra with its processes lies within 9 cm of its body's centre.
        near = [body for body in bodies if canvas.block(body.center_lps_mm, 90.0)]
        for body in near:
            self._ala(canvas, body)
            self._posterior_elements(canvas, body)
        self._canal_content(canvas, along)
        for shape in self.spine.disks.values():
            self._disk(canvas, shape)
        for body in near:
            self._body(canvas, body)
        return canvas.image

    def _along(self, points: Tensor) -> Tensor:
        """(6, rows, columns): canal x, wall y, sac half depth, half width, gap, smoothed wall y at each point's height."""
        position = (points[..., 2] - self._z0).clamp(0, self._canal.shape[1] - 1.001)
        index = position.long()
        weight = position - index
        low = self._canal[:, index]
        return low + weight * (self._canal[:, index + 1] - low)

    def points_behind_skin_mm(self, plane: SlicePlane, device: torch.device) -> Tensor:
        """(rows, columns) how far each point lies before the skin of the back."""
        canvas = Canvas(plane, torch.zeros((1, len(TISSUES)), device=device))
        return self._skin_of_back(self._along(canvas.points)) - canvas.points[..., 1]

    def _skin_of_back(self, along: Tensor) -> Tensor:
        return along[5] + 22 + self.spine.soft["muscle_depth"] + self.spine.soft["back_fat"]

    # ---- soft tissue -------------------------------------------------------------------------------------------------

    def _draw_bowel(self, rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray, str, str]]:
        """Centre, radii, wall and content of each loop of bowel and of the organs before and beside the spine."""
        loops = []
        soft_numbers = self.spine.soft
        for _ in range(int(240 * soft_numbers["bowel"])):
            center = np.array([rng.uniform(-110, 110), -rng.uniform(40, 60 + soft_numbers["front"]), rng.uniform(-190, 160)])
            radii = rng.uniform(6, 26, 3)
            content = str(rng.choice(["gas", "fluid", "organ", "muscle", "vessel"], p=[0.2, 0.15, 0.3, 0.2, 0.15]))
            loops.append((center, radii, "muscle", content))
        # Bladder and rectum before the sacrum, kidneys beside L1 to L3.
        loops.append((np.array([rng.normal(0, 5), -45.0, -200.0]), rng.uniform(25, 45, 3), "muscle", "fluid"))
        loops.append((np.array([rng.normal(0, 8), 35.0, -185.0]), np.array([16.0, 18.0, 45.0]), "muscle", "organ"))
        for side in (-1, 1):
            loops.append((np.array([side * 62.0, 5.0, 35.0]), np.array([24.0, 22.0, 48.0]), "organ", "organ"))
        return loops

    def _soft_tissue(self, canvas: Canvas, along: Tensor) -> None:
        s = self.spine.soft
        full = (slice(None), slice(None))
        x, y, z = canvas.points.unbind(-1)
        wall = along[5]
        x0 = along[0] * 0.5
        back = self._skin_of_back(along)
        front = wall - 40 - s["front"] * (1 + self._belly * torch.sin(z / 90))
        middle, half = (back + front) / 2, (back - front) / 2
        ratio = (((x - x0) / s["half_width"]).abs() ** 2.4 + ((y - middle) / half).abs() ** 2.4) ** (1 / 2.4)
        skin = (1 - ratio) * torch.minimum(half, torch.tensor(s["half_width"]))
        canvas.paint(full, soft(skin), "muscle")
        canvas.paint(full, soft(skin - 1.8), "fat")
        wave = sum(
            torch.sin((canvas.points @ k[:3]) * 0.12 + k[3] * 3) for k in self._streaks
        )  # a rough, reproducible texture in space
        # Abdominal wall and what is behind it.
        inner = skin - s["belly_fat"]
        belly = torch.minimum(inner, wall + 6 - y)
        canvas.paint(full, soft(belly), "muscle")
        canvas.paint(full, soft(belly - 9), "fat")
        for center, radii, wall_tissue, content in self._bowel:
            where = canvas.block(center, float(radii.max()) + 2)
            if where is None:
                continue
            p = canvas.points[where] - torch.tensor(center, dtype=torch.float32, device=self.device)
            scaled = p / torch.tensor(radii, dtype=torch.float32, device=self.device)
            depth = (1 - scaled.norm(dim=-1)) * float(radii.min())
            keep = soft(belly[where] - 12)
            canvas.paint(where, soft(depth) * keep, wall_tissue)
            canvas.paint(where, soft(depth - 2) * keep, content)
        # Erector spinae and multifidus on both sides of the spinous processes, with streaks of fat.
        infiltration = float(s["muscle_fat"])
        lower = torch.sigmoid((-z - 30) / 30)  # more of it toward the sacrum
        streak = torch.sigmoid((wave - 2.6 + 3.2 * infiltration * (0.4 + 0.6 * lower)) * 3)
        depth_back = s["muscle_depth"]
        for side in (-1.0, 1.0):
            u = side * (x - along[0])
            low, high = float(u.min()), float(u.max())
            for cu, cv, ru, rv in ((15.0, 28.0, 13.0, 0.5 * depth_back), (39.0, 24.0, 21.0, 0.62 * depth_back)):
                if high < cu - ru - 2 or low > cu + ru + 2:
                    continue
                d = (1 - torch.sqrt(((u - cu) / ru) ** 2 + ((y - wall - cv) / rv) ** 2)) * min(ru, rv)
                inside = soft(d) * soft(skin - 0.6 * s["back_fat"])
                canvas.paint(full, inside, "muscle")
                canvas.paint(full, inside * streak * soft(d - 1.0), "fat")
            if high < 5:  # psoas and what lies beyond it are off the image
                continue
            # Psoas grows from L1 to the pelvis and moves away from the spine.
            grow = torch.sigmoid((40 - z) / 28)
            thick = 4 + 19 * grow * s["psoas"]
            away = 27 + 14 * grow + 6 * torch.sigmoid((-z - 60) / 15)
            d = (1 - torch.sqrt(((u - away) / thick) ** 2 + ((y - wall + 17 + 10 * grow) / (thick * 1.15)) ** 2)) * thick
            canvas.paint(full, soft(d), "muscle")
            # Quadratus lumborum.
            d = (1 - torch.sqrt(((u - 56) / 16) ** 2 + ((y - wall - 3) / 9) ** 2)) * 9
            canvas.paint(full, soft(d) * soft(z + 70), "muscle")
        # Great vessels before the bodies: aorta to the left, cava to the right; they part at L4.
        split = torch.sigmoid((-z - 42) / 6)
        for side, radius in ((1.0, 8.5), (-1.0, 10.0)):
            cx = along[0] + side * (9 + 22 * split * torch.sigmoid((-z - 50) / 25))
            cy = along[5] - 47
            d = radius * (1 - 0.35 * split) - torch.sqrt((x - cx) ** 2 + (y - cy) ** 2)
            canvas.paint(full, soft(d + 1), "muscle")
            canvas.paint(full, soft(d), "vessel")

    # ---- bone --------------------------------------------------------------------------------------------------------

    def _local(self, canvas: Canvas, where: tuple[slice, slice], center: np.ndarray, axes: np.ndarray) -> Sequence[Tensor]:
        p = canvas.points[where] - torch.tensor(center, dtype=torch.float32, device=self.device)
        return (p @ torch.tensor(axes.T, dtype=torch.float32, device=self.device)).unbind(-1)

    def _body(self, canvas: Canvas, body: Body) -> None:
        radius = float(np.hypot(np.hypot(body.half_width_mm, max(body.half_depth_mm)), max(body.half_height_mm))) + 2
        where = canvas.block(body.center_lps_mm, radius)
        if where is None:
            return
        u, v, w = self._local(canvas, where, body.center_lps_mm, body.axes)
        front, back = body.half_height_mm
        top, bottom = body.half_depth_mm
        height = (front + back) / 2
        t = (w / height).clamp(-1, 1)
        b = ((top + bottom) / 2 + (top - bottom) / 2 * t) * (1 - body.waist * (1 - t * t))
        a = body.half_width_mm * (1 - body.waist * (1 - t * t))
        r = ((u / a).abs() ** SUPERELLIPSE + (v / b).abs() ** SUPERELLIPSE) ** (1 / SUPERELLIPSE)
        dent = body.dent_mm * torch.exp(-((u / 9) ** 2)) * torch.sigmoid(v / 3)
        side = (1 - r) * b - dent
        hollow = body.concavity_mm * (1 - r.clamp(max=1) ** 2)
        h = height + (back - front) / 2 * v / b - hollow
        depth = _rounded(side, torch.minimum(h - w, h + w), 2.0)
        canvas.paint(where, soft(depth), "cortex")
        canvas.paint(where, soft(depth - 0.9), "marrow")
        # Basivertebral vein: a wedge that opens at the back wall.
        if body.level[0] in "LT":
            vein = torch.minimum(1.6 - w.abs(), 6.0 - u.abs()).minimum(v - 0.35 * b) + 0.0
            canvas.paint(where, 0.6 * soft(vein) * soft(depth - 0.3), "fluid")

    def _ala(self, canvas: Canvas, body: Body) -> None:
        """Wings of the sacrum and, beyond the joint, the iliac bones."""
        if body.level not in ("S1", "S2", "S3"):
            return
        reach = {"S1": 52.0, "S2": 46.0, "S3": 34.0}[body.level]
        where = canvas.block(body.center_lps_mm, reach + 40)
        if where is None:
            return
        u, v, w = self._local(canvas, where, body.center_lps_mm, body.axes)
        thick = 14.0 + 6.0 * (u.abs() / reach)
        height = sum(body.half_height_mm) / 2 + 2
        solid = _rounded(torch.minimum(reach - u.abs(), height - w.abs()), thick - (v - 4).abs(), 4.0)
        canvas.paint(where, soft(solid), "cortex")
        canvas.paint(where, soft(solid - 1), "marrow")
        if body.level != "S3":
            iliac = _rounded(8 - (u.abs() - reach - 9).abs(), torch.minimum(30 - (v - 4).abs(), height + 8 - w.abs()), 4.0)
            canvas.paint(where, soft(iliac), "cortex")
            canvas.paint(where, soft(iliac - 1.5), "marrow")

    def _capsule(
        self,
        canvas: Canvas,
        body: Body,
        ends: tuple[tuple[float, ...], tuple[float, ...]],
        radii: tuple[float, float, float],
        tissue: str = "marrow",
        shell_mm: float = 1.2,
    ) -> None:
        """A rod between two points of the body's axes with elliptic section; bone where it has a shell."""
        p, q = np.asarray(ends[0]), np.asarray(ends[1])
        reach = float(np.linalg.norm(q - p)) / 2 + max(radii) + 1
        where = canvas.block(body.to_patient((p + q) / 2), reach)
        if where is None:
            return
        local = torch.stack(list(self._local(canvas, where, body.center_lps_mm, body.axes)), dim=-1)
        scale = torch.tensor(radii, dtype=torch.float32, device=self.device)
        a = torch.tensor(p, dtype=torch.float32, device=self.device) / scale
        d = torch.tensor(q - p, dtype=torch.float32, device=self.device) / scale
        x = local / scale - a
        t = ((x @ d) / (d @ d).clamp(min=1e-6)).clamp(0, 1)
        depth = (1 - (x - t[..., None] * d).norm(dim=-1)) * min(radii)
        if shell_mm > 0:
            canvas.paint(where, soft(depth), "cortex")
            canvas.paint(where, soft(depth - shell_mm), tissue)
        else:
            canvas.paint(where, soft(depth), tissue)

    def _posterior_elements(self, canvas: Canvas, body: Body) -> None:
        level = body.level
        if level in ("S4", "S5"):
            return
        s = self.spine.soft
        z = float(body.center_lps_mm[2])
        row = [np.interp(z, self.spine.canal[:, 0], self.spine.canal[:, k]) for k in (3, 4, 5)]
        sac_depth, sac_width, gap = (float(v) for v in row)
        b = float(body.half_depth_at(np.zeros(1))[0])
        h = sum(body.half_height_mm) / 2
        width = max(sac_width, 6.0)
        canal = 2 * max(sac_depth, 3.0) + gap + 4
        facet = 4.3 * s["facet"]
        lumbar = level[0] == "L"
        below = 9.0 if lumbar else 5.0
        if level[0] == "S":
            # The sacral canal is roofed by one crest of bone.
            self._capsule(canvas, body, ((0, b + canal + 2, -h), (0, b + canal + 2, h * 0.6)), (width + 4, 4.0, 6.0))
            self._capsule(canvas, body, ((0, b + canal + 7, -h * 0.5), (0, b + canal + 9, 0.0)), (3.0, 6.0, 6.0))
            return
        for side in (-1.0, 1.0):
            self._capsule(
                canvas,
                body,
                ((side * (width + 4), b - 3, 0.35 * h), (side * (width + 6), b + 0.8 * canal, 0.3 * h)),
                (4.2, 4.0, 6.5),
            )
            self._capsule(
                canvas,
                body,
                ((side * (width + 6), b + 0.75 * canal, 0.1 * h), (side * 2.0, b + canal + 4, -0.7 * h)),
                (3.2, 3.2, 7.5),
            )
            self._capsule(
                canvas, body,
                ((side * (width + 6), b + 0.95 * canal, -0.4 * h), (side * (width + 7), b + canal, -h - below)),
                (facet, facet, facet + 1), shell_mm=1.6,
            )  # fmt: skip
            self._capsule(
                canvas, body,
                ((side * (width + 10), b + 0.7 * canal, 0.4 * h), (side * (width + 12), b + 0.75 * canal, h + 0.6 * below)),
                (facet, facet, facet + 1), shell_mm=1.6,
            )  # fmt: skip
            self._capsule(
                canvas, body, ((side * (width + 9), b + 2, 0.2 * h), (side * (width + 34), b + 9, 0.3 * h)), (3.6, 3.2, 4.4)
            )
            # Ligamentum flavum closes the gap to the next lamina in a V.
            self._capsule(
                canvas, body,
                ((side * (width + 2), b + 0.72 * canal, -h - 0.5 * below), (side * 1.5, b + canal + 0.5, -h - 0.7 * below)),
                (1.9, 1.9, 8.0), tissue="ligament", shell_mm=0,
            )  # fmt: skip
        length = (24.0 if lumbar else 30.0) * s["spinous"]
        drop = -0.35 * h if lumbar else -1.1 * h
        tall = (9.5 if lumbar else 5.0) * (0.8 + 0.25 * s["spinous"])
        start = b + canal + 5
        self._capsule(
            canvas,
            body,
            ((0, start, drop - 0.1 * h), (0, start + length, drop - (0.35 if lumbar else 1.6) * h)),
            (3.2, 4.0, tall),
        )
        # Interspinous ligament: mixed fat and fibre between two processes.
        self._capsule(
            canvas, body, ((0, start + 2, drop - 1.7 * h), (0, start + 0.8 * length, drop - 1.9 * h)), (1.6, 3.0, 4.0),
            tissue="ligament", shell_mm=0,
        )  # fmt: skip

    # ---- canal and disks ---------------------------------------------------------------------------------------------

    def _canal_content(self, canvas: Canvas, along: Tensor) -> None:
        x, y, z = canvas.points.unbind(-1)
        canal_x, wall, half_depth, half_width, gap, _ = along
        near = (y > wall - 2) & (y < wall + 45) & ((x - canal_x).abs() < 40)
        if not bool(near.any()):
            return
        rows, columns = torch.where(near.any(1))[0], torch.where(near.any(0))[0]
        where = (slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
        x, y, z = x[where], y[where], z[where]
        canal_x, wall, half_depth, half_width, gap = (t[where] for t in (canal_x, wall, half_depth, half_width, gap))
        dx = x - canal_x
        # t runs from 0 at the front of the canal's fat to 1 at its back, where laminae and flavum meet.
        total = 2 * half_depth.clamp(min=3.0) + gap + 4
        t = ((y - wall) / total).clamp(0, 1)
        bony_half = (half_width.clamp(min=6) + 3) * (1 - 0.75 * t**2)
        canal = torch.minimum(bony_half - dx.abs(), torch.minimum(y - wall + 1, wall + total - y))
        canvas.paint(where, soft(canal), "fat")
        # Foramina: fat around a root, at the height of the disks and the lower part of the body above.
        for body in self.spine.bodies:
            if body.level[0] == "S" and body.level != "S1":
                continue
            b = float(body.half_depth_at(np.zeros(1))[0])
            h = sum(body.half_height_mm) / 2
            self._foramen(
                canvas, body, b, h, float(np.interp(body.center_lps_mm[2], self.spine.canal[:, 0], self.spine.canal[:, 4]))
            )
        sac_y = wall + gap + half_depth
        v = (y - sac_y) / half_depth
        width = half_width * torch.where(v > -0.2, 1 - 0.5 * ((v + 0.2) / 1.2).clamp(0, 1) ** 1.6, 1.0)
        ratio = ((dx / width).abs() ** 2.3 + v.abs() ** 2.6) ** (1 / 2.4)
        sac = (1 - ratio) * torch.minimum(half_depth, half_width)
        present = soft((half_depth - 1.0) * 4)
        canvas.paint(where, soft(sac + 0.8) * present, "ligament")
        csf = soft(sac) * present
        canvas.paint(where, csf, "csf")
        low = torch.sigmoid((self.spine.conus_z_mm - z) / 3)  # below the conus: roots
        thick = 0.75 * self.spine.soft["roots"] + 0.2
        for rx, ry, phase in self._roots:
            px = float(rx) * 0.75 * half_width + 0.8 * torch.sin(z / 23 + float(phase))
            py = float(ry) * 0.8 * half_depth + 0.6 * torch.cos(z / 31 + float(phase))
            d = thick - torch.sqrt((dx - px) ** 2 + (y - sac_y - py) ** 2)
            canvas.paint(where, csf * low * soft(d), "nerve")
        taper = ((z - self.spine.conus_z_mm) / 22).clamp(0, 1)
        cord = (
            1 - torch.sqrt((dx / (1 + 4.2 * taper)) ** 2 + ((y - sac_y - 0.25 * half_depth) / (0.8 + 3.0 * taper)) ** 2)
        ) * 3
        canvas.paint(where, csf * soft(cord) * (1 - low), "nerve")

    def _foramen(self, canvas: Canvas, body: Body, b: float, h: float, sac_width: float) -> None:
        for side in (-1.0, 1.0):
            x = side * (max(sac_width, 6.0) + 7)
            self._capsule(canvas, body, ((x, b + 5, -0.2 * h), (x, b + 4, -1.25 * h)), (9.0, 5.0, 6.0), "fat", 0)
            self._capsule(
                canvas,
                body,
                ((x - side * 7, b + 5, 0.1 * h), (x + side * 9, b + 4.5, -0.75 * h)),
                (2.6, 2.6, 2.6),
                "nerve",
                0,
            )

    def _disk(self, canvas: Canvas, shape: DiskShape) -> None:
        path = shape.pathology
        rise = shape.gap_mm / 2 + abs(shape.wedge) * shape.half_depth_mm + 4
        reach = float(np.hypot(np.hypot(shape.half_width_mm, shape.half_depth_mm) + path.reach_mm, rise)) + 3
        where = canvas.block(shape.disk.center_lps_mm, reach)
        if where is None:
            return
        u, v, w = self._local(canvas, where, shape.disk.center_lps_mm, shape.axes)
        a, b = shape.half_width_mm, shape.half_depth_mm
        r = ((u / a).abs() ** SUPERELLIPSE + (v / b).abs() ** SUPERELLIPSE) ** (1 / SUPERELLIPSE)
        distance = torch.sqrt(u * u + v * v)
        dent = shape.dent_mm * torch.exp(-((u / 9) ** 2)) * torch.sigmoid(v / 3)
        table = torch.tensor(path.excess_mm, dtype=torch.float32, device=self.device)
        angle = (torch.rad2deg(torch.atan2(u, v)) + 180).clamp(0, 359.99)
        index = angle.long()
        excess = table[index] + (angle - index) * (table[(index + 1) % 360] - table[index])
        beyond = distance / r.clamp(min=0.05) - distance - dent + excess
        half_gap = (shape.gap_mm / 2 - shape.wedge / 2 * v.clamp(-b - 2, b + 2)).clamp(min=0.8)
        # Bodies are painted over the disk, so between them it may be too high; outside the rim it must not.
        fill = half_gap + 3.0 * (1 - ((r - 0.8) / 0.2).clamp(0, 1))
        solid = _rounded(beyond, fill - w.abs(), 1.5)
        inside = soft(solid)
        canvas.paint(where, inside, "annulus")
        core = (1 - torch.sqrt((u / (0.68 * a)) ** 2 + ((v + 0.05 * b) / (0.62 * b)) ** 2)) * 0.65 * b
        canvas.paint(where, inside * torch.sigmoid(core / 1.5) * path.hydration, "nucleus")
        for piece in path.fragments:
            self._fragment(canvas, where, (u, v, w), piece)

    def _fragment(
        self, canvas: Canvas, where: tuple[slice, slice], uvw: tuple[Tensor, Tensor, Tensor], piece: Fragment
    ) -> None:
        u, v, w = (x - c for x, c in zip(uvw, piece.center_uvw_mm, strict=True))
        phi = np.radians(piece.direction_deg)
        outward = u * float(np.sin(phi)) + v * float(np.cos(phi))
        beside = u * float(np.cos(phi)) - v * float(np.sin(phi))
        ra, ro, ru = piece.radii_mm
        depth = (1 - torch.sqrt((beside / ra) ** 2 + (outward / ro) ** 2 + (w / ru) ** 2)) * min(piece.radii_mm)
        canvas.paint(where, soft(depth), "annulus")
        canvas.paint(where, 0.35 * soft(depth - 0.8), "nucleus")
