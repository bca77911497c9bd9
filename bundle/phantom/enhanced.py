"""What an Enhanced MR Image object (DICOM PS3.3 A.36.2) holds beside a single-frame one: pulse sequence and frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID

from bundle.geometry import SlicePlane
from bundle.phantom.sequences import Sequence as MrSequence
from bundle.phantom.study import SeriesPlan
from bundle.phantom.vendors import Filing

#: Acquisition Contrast, which is the third value of Frame Type, too.
_CONTRASTS = {"T1": "T1", "T2": "T2", "T2FS": "T2", "MYELO": "T2", "STIR": "STIR", "PD": "PROTON_DENSITY"}


def dataset(**attributes: Any) -> Dataset:
    """A data set with these attributes, by keyword; a list of data sets is a sequence."""
    ds = Dataset()
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


def enhanced_attributes(
    plan: SeriesPlan, planes: Sequence[SlicePlane], steps_mm: Sequence[float], filing: Filing, dimensions: UID
) -> Dataset:
    """Attributes of the modules that single-frame MR does not have.

    Args:
        plan: the series.
        planes: of the frames, one stack of the series.
        steps_mm: of each plane, the distance to its neighbours.
        filing: how pixels are stored.
        dimensions: Dimension Organization UID.
    """
    kind = _image_type(plan)
    volume = plan.tags.get("MRAcquisitionType") == "3D"
    return dataset(
        ImageType=kind,
        NumberOfFrames=len(planes),
        AcquisitionDateTime="20000101120000",
        AcquisitionDuration=180.0,
        ResonantNucleus="1H",
        ContentQualification="RESEARCH",
        KSpaceFiltering="FERMI",
        ApplicableSafetyStandardAgency="IEC",
        PixelPresentation="MONOCHROME",
        VolumetricProperties="VOLUME",
        VolumeBasedCalculationTechnique="NONE",
        ComplexImageComponent="MAGNITUDE",
        AcquisitionContrast=_CONTRASTS[plan.sequence.name],
        BurnedInAnnotation="NO",
        LossyImageCompression="00",
        PresentationLUTShape="IDENTITY",
        DeviceSerialNumber="0",
        AcquisitionContextSequence=[],
        **(_pulse_sequence(plan.sequence, volume) if kind[0] == "ORIGINAL" else {}),
        DimensionOrganizationSequence=[dataset(DimensionOrganizationUID=dimensions)],
        DimensionIndexSequence=[
            dataset(
                DimensionOrganizationUID=dimensions,
                DimensionIndexPointer=pointer,
                FunctionalGroupPointer=0x00209111,
                DimensionDescriptionLabel=label,
            )
            for pointer, label in ((0x00209056, "Stack ID"), (0x00209057, "In-Stack Position Number"))
        ],
        SharedFunctionalGroupsSequence=[_shared(plan, filing)],
        PerFrameFunctionalGroupsSequence=[
            _frame(plane, place, step) for place, (plane, step) in enumerate(zip(planes, steps_mm, strict=True), start=1)
        ],
    )


def _image_type(plan: SeriesPlan) -> list[str]:
    given = list(plan.tags.get("ImageType", ["ORIGINAL"]))
    return [given[0], "PRIMARY", _CONTRASTS[plan.sequence.name], "NONE"]


def _pulse_sequence(sequence: MrSequence, volume: bool) -> dict[str, Any]:
    return {
        "PulseSequenceName": "TSE",
        "MRAcquisitionType": "3D" if volume else "2D",
        "EchoPulseSequence": "SPIN",
        "MultipleSpinEcho": "YES",
        "MultiPlanarExcitation": "NO",
        "PhaseContrast": "NO",
        "TimeOfFlightContrast": "NO",
        "SteadyStatePulseSequence": "NONE",
        "EchoPlanarPulseSequence": "NO",
        "SaturationRecovery": "NO",
        "SpectrallySelectedSuppression": "FAT" if sequence.fat_fraction < 1 else "NONE",
        "OversamplingPhase": "2D",
        "GeometryOfKSpaceTraversal": "RECTILINEAR",
        "RectilinearPhaseEncodeReordering": "LINEAR",
        "SegmentedKSpaceTraversal": "PARTIAL",
        **({"CoverageOfKSpace": "FULL"} if volume else {}),
        "NumberOfKSpaceTrajectories": 1,
    }


def _shared(plan: SeriesPlan, filing: Filing) -> Dataset:
    """Functional groups that are the same for every frame."""
    sequence = plan.sequence
    slope = filing.pixels.slope or 1.0
    rows, columns = plan.planes[0].shape
    return dataset(
        PixelValueTransformationSequence=[dataset(RescaleIntercept="0", RescaleSlope=f"{slope:.10g}", RescaleType="US")],
        FrameVOILUTSequence=[
            dataset(
                WindowCenter=f"{0.4 * filing.pixels.scale * slope:.6g}",
                WindowWidth=f"{0.8 * filing.pixels.scale * slope:.6g}",
            )
        ],
        FrameAnatomySequence=[
            dataset(
                FrameLaterality="U",
                AnatomicRegionSequence=[
                    dataset(CodeValue="122496007", CodingSchemeDesignator="SCT", CodeMeaning="Lumbar spine")
                ],
            )
        ],
        MRImageFrameTypeSequence=[
            dataset(
                FrameType=_image_type(plan),
                PixelPresentation="MONOCHROME",
                VolumetricProperties="VOLUME",
                VolumeBasedCalculationTechnique="NONE",
                ComplexImageComponent="MAGNITUDE",
                AcquisitionContrast=_CONTRASTS[sequence.name],
            )
        ],
        MRTimingAndRelatedParametersSequence=[
            dataset(
                RepetitionTime=f"{sequence.tr_ms:.1f}",
                FlipAngle=f"{plan.tags.get('FlipAngle', 90):g}",
                EchoTrainLength=sequence.echo_train,
                RFEchoTrainLength=sequence.echo_train,
                GradientEchoTrainLength=0,
                SpecificAbsorptionRateSequence=[
                    dataset(SpecificAbsorptionRateDefinition="IEC_WHOLE_BODY", SpecificAbsorptionRateValue=1.0)
                ],
                OperatingModeSequence=[
                    dataset(OperatingModeType=kind, OperatingMode="IEC_NORMAL")
                    for kind in ("STATIC FIELD", "RF", "GRADIENT")
                ],
            )
        ],
        MRFOVGeometrySequence=[
            dataset(
                InPlanePhaseEncodingDirection="ROW",
                MRAcquisitionFrequencyEncodingSteps=columns,
                MRAcquisitionPhaseEncodingStepsInPlane=rows,
                MRAcquisitionPhaseEncodingStepsOutOfPlane=len(plan.planes),
                PercentSampling="100",
                PercentPhaseFieldOfView="100",
            )
        ],
        MREchoSequence=[dataset(EffectiveEchoTime=float(sequence.te_ms))],
        MRModifierSequence=[_modifier(sequence)],
        MRImagingModifierSequence=[
            dataset(
                MagnetizationTransfer="NONE",
                BloodSignalNulling="NO",
                Tagging="NONE",
                TransmitterFrequency=42.577 * sequence.field_t,
                PixelBandwidth="200",
            )
        ],
        MRReceiveCoilSequence=[
            dataset(
                ReceiveCoilName="SPINE",
                ReceiveCoilManufacturerName="",
                ReceiveCoilType="MULTICOIL",
                QuadratureReceiveCoil="NO",
                MultiCoilDefinitionSequence=[dataset(MultiCoilElementName="SP1", MultiCoilElementUsed="YES")],
            )
        ],
        MRTransmitCoilSequence=[dataset(TransmitCoilName="BODY", TransmitCoilManufacturerName="", TransmitCoilType="BODY")],
        MRAveragesSequence=[dataset(NumberOfAverages="2")],
    )


def _modifier(sequence: MrSequence) -> Dataset:
    ds = dataset(
        InversionRecovery="YES" if sequence.ti_ms > 0 else "NO",
        FlowCompensation="NONE",
        Spoiling="NONE",
        T2Preparation="NO",
        SpectrallySelectedExcitation="NONE",
        SpatialPresaturation="NONE",
        PartialFourier="NO",
        ParallelAcquisition="NO",
    )
    if sequence.ti_ms > 0:
        ds.InversionTimes = [float(sequence.ti_ms)]
    return ds


def _frame(plane: SlicePlane, place: int, step_mm: float) -> Dataset:
    """Functional groups of a frame: where it lies, and its place in its stack."""
    return dataset(
        FrameContentSequence=[
            dataset(
                FrameAcquisitionNumber=1,
                FrameReferenceDateTime="20000101120000",
                FrameAcquisitionDateTime="20000101120000",
                FrameAcquisitionDuration=180.0,
                StackID="1",
                InStackPositionNumber=place,
                DimensionIndexValues=[1, place],
            )
        ],
        PlanePositionSequence=[dataset(ImagePositionPatient=[f"{v:.8f}"[:16] for v in plane.origin_lps_mm])],
        PlaneOrientationSequence=[
            dataset(ImageOrientationPatient=[f"{v:.8f}" for v in (*plane.row_direction, *plane.column_direction)])
        ],
        PixelMeasuresSequence=[
            dataset(
                PixelSpacing=[f"{v:.8f}" for v in plane.pixel_spacing_mm],
                SliceThickness=f"{plane.thickness_mm or step_mm:.3f}",
                SpacingBetweenSlices=f"{step_mm:.3f}",
            )
        ],
    )
