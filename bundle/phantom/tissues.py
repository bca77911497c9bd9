"""Tissues of the phantom and what a scanner measures of them: relaxation times, proton density, share of fat."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tissue:
    """One tissue at 1.5 T: its water, and its share of fat.

    Args:
        t1_ms: of the tissue's water.
        t2_ms: of the tissue's water.
        density: protons that give signal, relative to CSF.
        fat: share of these protons that are fat's; they relax as the tissue ``fat`` does.
        field_exponent: T1 grows with the field as B0 to this power.
    """

    t1_ms: float
    t2_ms: float
    density: float
    fat: float = 0.0
    field_exponent: float = 0.3


#: Sources, all rounded: [S] Stanisz et al., Magn Reson Med 2005;54:507 (muscle, cartilage, spinal cord, kidney, blood,
#: grey and white matter); [B] de Bazelaire et al., Radiology 2004;230:652 (T2 of subcutaneous fat, vertebral marrow);
#: [F] Bottomley et al., Med Phys 1984;11:425 (T1 against field: B0^0.42 for muscle, B0^0.25 for kidney, about B0^0.3 for
#: others); T1 of CSF does not depend on the field (Rooney et al., Magn Reson Med 2007;57:308). T1 of fat is set by
#: practice: STIR nulls it at 110 ms at 0.3 T (in the study at hand), near 165 ms at 1.5 T, near 200 ms at 3 T. "look":
#: set so that phantom and real images look alike (SPIDER, lumbar-t1, a 0.3 T study), since the tissue has hardly any
#: signal, flows, is a mixture, or was not measured as far as we know.
_TISSUES: dict[str, Tissue] = {
    "air": Tissue(1000.0, 10.0, 0.0),
    "fat": Tissue(240.0, 58.0, 0.95, fat=1.0, field_exponent=0.25),  # practice, [B]
    "muscle": Tissue(1000.0, 44.0, 0.85, field_exponent=0.42),  # [S]
    # [B] gives 549 and 49 ms for marrow as a whole: about half water with 1000 and 45 ms, half fat.
    "marrow": Tissue(1000.0, 45.0, 0.80, fat=0.45),
    "cortex": Tissue(700.0, 10.0, 0.08),  # look
    "nucleus": Tissue(1300.0, 130.0, 0.95),  # look; a healthy one, grades mix it with annulus
    "annulus": Tissue(1000.0, 38.0, 0.60),  # look
    "csf": Tissue(4300.0, 2000.0, 1.0, field_exponent=0.0),
    "nerve": Tissue(750.0, 75.0, 0.80),  # spinal cord [S]
    "ligament": Tissue(900.0, 18.0, 0.35),  # look
    "vessel": Tissue(1440.0, 20.0, 0.12),  # look: fast blood leaves the slice before its echo
    "organ": Tissue(690.0, 55.0, 0.85, field_exponent=0.25),  # kidney [S]
    "fluid": Tissue(2500.0, 400.0, 0.95),  # look: bowel content
    "gas": Tissue(1000.0, 10.0, 0.02),
    "cartilage": Tissue(1020.0, 35.0, 0.75),  # [S], between its values along and across the fibres
    "oedema": Tissue(1200.0, 95.0, 0.90, fat=0.15),  # look: Modic 1
    "fatty_marrow": Tissue(900.0, 50.0, 0.90, fat=0.85),  # look: Modic 2
    "sclerosis": Tissue(800.0, 18.0, 0.20, fat=0.2),  # look: Modic 3
    "haemangioma": Tissue(1100.0, 130.0, 0.95, fat=0.5),  # look: bright in T1 and in T2
    "slow_flow": Tissue(1440.0, 140.0, 0.80),  # T1 of blood [S]; T2 by look, since even slow blood loses some signal
    "bladder": Tissue(3000.0, 1000.0, 1.0, field_exponent=0.0),  # look: urine
    "metal": Tissue(1000.0, 10.0, 0.0),
    "skin": Tissue(900.0, 32.0, 0.70),  # look
    "brain_grey": Tissue(1120.0, 95.0, 0.85),  # [S]
    "brain_white": Tissue(880.0, 72.0, 0.75, field_exponent=0.35),  # [S], exponent [F]
}
#: Names of the tissues. Nothing depends on their order but the columns of matrices of brightness.
TISSUES: tuple[str, ...] = tuple(_TISSUES)
#: The same tissues' properties, in the order of TISSUES.
PROPERTIES: tuple[Tissue, ...] = tuple(_TISSUES.values())
#: Tissues without signal whatever the contrast.
DARK: tuple[str, ...] = ("air", "gas", "cortex", "metal")
