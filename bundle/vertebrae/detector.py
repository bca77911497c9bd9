"""Step 1's detector: anchors, training targets and losses, and bodies out of the network's maps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from monai.apps.detection.networks.retinanet_detector import RetinaNetDetector
from monai.apps.detection.utils.anchor_utils import AnchorGenerator
from monai.apps.detection.utils.ATSS_matcher import ATSSMatcher
from monai.data.box_utils import box_iou, clip_boxes_to_image
from monai.losses.giou_loss import BoxGIoULoss
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from bundle.vertebrae.network import decode_landmarks, encode_landmarks


class BodyDetector(RetinaNetDetector):
    """MONAI's RetinaNetDetector, which also learns and gives corners, and gives one box a body with all its class scores.

    In training mode ``detector(images, targets)`` returns a dictionary of losses: ``classification``, ``box_regression``,
    ``landmark_regression`` and ``transition``. A target has ``boxes`` (N, 4), ``labels`` (N,), ``corners`` (N, 4, 2) and
    ``transition`` (N,), 1 for a body at a lumbosacral transition, else 0. What is not known takes no part in the loss:
    labels of -1, corners and transitions of NaN.

    In evaluation mode ``detector(images)`` returns for each image ``boxes`` (N, 4), ``labels`` (N,), ``labels_scores``
    (N,), ``class_scores`` (N, classes), ``corners`` (N, 4, 2) and ``transition`` (N,) from 0 to 1, best first. Boxes and
    corners are (row, column).

    Args:
        network: a LandmarkRetinaNet.
        anchor_generator: one shape a pyramid level.
        score_thresh: boxes whose best class scores less are dropped.
        nms_thresh: of two boxes that overlap by more (IoU) the better is kept, whatever their classes: one body, one box.
        detections_per_img: most boxes of an image.
        atss_candidates: anchors a level that ATSS (Zhang et al. 2020) considers for a box.
        negatives_per_image: hardest negatives that the classification loss sees in an image, at the least.
        landmark_weight: of the corners' loss against the others.
        transition_weight: of the transition's loss.
        classification_loss: of logits against one-hot classes; default binary cross-entropy.
        box_loss: of decoded boxes; default generalised IoU.
        landmark_loss: of corner codes; default smooth L1.
    """

    landmark_key = "landmark_regression"
    transition_key = "transition"

    def __init__(
        self,
        network: nn.Module,
        anchor_generator: AnchorGenerator,
        score_thresh: float = 0.3,
        nms_thresh: float = 0.35,
        detections_per_img: int = 40,
        atss_candidates: int = 6,
        negatives_per_image: int = 96,
        landmark_weight: float = 1.0,
        transition_weight: float = 0.2,
        classification_loss: nn.Module | None = None,
        box_loss: nn.Module | None = None,
        landmark_loss: nn.Module | None = None,
    ) -> None:
        super().__init__(network, anchor_generator, box_overlap_metric=box_iou)
        self.score_thresh = float(score_thresh)
        self.nms_thresh = float(nms_thresh)
        self.detections_per_img = int(detections_per_img)
        self.landmark_weight = float(landmark_weight)
        self.transition_weight = float(transition_weight)
        self.set_cls_loss(classification_loss or nn.BCEWithLogitsLoss(reduction="mean"))
        self.set_box_regression_loss(box_loss or BoxGIoULoss(reduction="mean"), encode_gt=False, decode_pred=True)
        self.landmark_loss = landmark_loss or nn.SmoothL1Loss(beta=0.1)
        self.set_hard_negative_sampler(
            batch_size_per_image=negatives_per_image, positive_fraction=0.3, min_neg=negatives_per_image // 2, pool_size=10
        )
        self.proposal_matcher = ATSSMatcher(atss_candidates, box_iou, center_in_gt=True)  # type: ignore[arg-type]

    def compute_anchor_matched_idxs(
        self, anchors: list[Tensor], targets: list[dict[str, Tensor]], num_anchor_locs_per_level: Sequence[int]
    ) -> list[Tensor]:
        """As in MONAI, for ATSS alone; MONAI's own asks ``isinstance(..., Matcher)`` of torchvision, which is absent."""
        matched = []
        for boxes_of_anchors, target in zip(anchors, targets, strict=True):
            boxes = target[self.target_box_key]
            if len(boxes) == 0:
                none = torch.full((len(boxes_of_anchors),), -1, dtype=torch.int64, device=boxes_of_anchors.device)
                matched.append(none)
                continue
            _, index = self.proposal_matcher(
                boxes.to(boxes_of_anchors.device), boxes_of_anchors, num_anchor_locs_per_level, self.num_anchors_per_loc
            )
            matched.append(index)
        return matched

    def compute_loss(
        self,
        head_outputs_reshape: dict[str, Tensor],
        targets: list[dict[str, Tensor]],
        anchors: list[Tensor],
        num_anchor_locs_per_level: Sequence[int],
    ) -> dict[str, Tensor]:
        """Losses of classes, boxes and corners; see the class."""
        # Under autocast the maps come in half precision, which is too coarse for boxes and their overlaps.
        head_outputs_reshape = {
            k: v.float() if isinstance(v, Tensor) else [m.float() for m in v] for k, v in head_outputs_reshape.items()
        }
        matched = self.compute_anchor_matched_idxs(anchors, targets, num_anchor_locs_per_level)
        codes = self._reshape_maps(head_outputs_reshape[self.landmark_key])  # type: ignore[arg-type]
        transition = self._reshape_maps(head_outputs_reshape[self.transition_key])  # type: ignore[arg-type]
        return {
            self.cls_key: self.compute_cls_loss(
                head_outputs_reshape[self.cls_key], targets, self._of_known_name(targets, matched)
            ),
            self.box_reg_key: self.compute_box_loss(head_outputs_reshape[self.box_reg_key], targets, anchors, matched),
            self.landmark_key: self.landmark_weight * self._landmark_loss(codes, targets, anchors, matched),
            self.transition_key: self.transition_weight * _transition_loss(transition[..., 0], targets, matched),
        }

    def _of_known_name(self, targets: list[dict[str, Tensor]], matched: list[Tensor]) -> list[Tensor]:
        """The matches with anchors of nameless bodies as what MONAI leaves out: neither a name's nor the background's."""
        return [
            torch.where(
                (index >= 0) & (target[self.target_label_key][index.clamp(min=0)] < 0), ATSSMatcher.BETWEEN_THRESHOLDS, index
            )
            if len(target[self.target_label_key])
            else index
            for target, index in zip(targets, matched, strict=True)
        ]

    def _landmark_loss(
        self, codes: Tensor, targets: list[dict[str, Tensor]], anchors: list[Tensor], matched: list[Tensor]
    ) -> Tensor:
        parts = list(_known(codes, targets, matched, "corners"))
        if sum(len(code) for code, *_ in parts) == 0:
            return codes.sum() * 0.0
        wanted = [encode_landmarks(truth, boxes[at]) for (_, truth, at), boxes in zip(parts, anchors, strict=True)]
        return self.landmark_loss(torch.cat([code for code, *_ in parts]), torch.cat(wanted))

    def postprocess_detections(
        self,
        head_outputs_reshape: dict[str, Tensor],
        anchors: list[Tensor],
        image_sizes: list[list[int]],
        num_anchor_locs_per_level: Sequence[int],
        need_sigmoid: bool = True,
    ) -> list[dict[str, Tensor]]:
        """Bodies of each image; see the class."""
        scores = head_outputs_reshape[self.cls_key].sigmoid() if need_sigmoid else head_outputs_reshape[self.cls_key]
        codes = self._reshape_maps(head_outputs_reshape[self.landmark_key])  # type: ignore[arg-type]
        transition = self._reshape_maps(head_outputs_reshape[self.transition_key])[..., 0].sigmoid()  # type: ignore[arg-type]
        best = scores.amax(dim=2)  # with the label, as max gives both, it takes several times as long
        places = torch.where(best >= self.score_thresh)
        counts = torch.bincount(places[0], minlength=len(image_sizes)).tolist()
        decoded: tuple[Tensor, ...] = self.box_coder.decode_single(
            head_outputs_reshape[self.box_reg_key][places], torch.stack(anchors)[places]
        ).split(counts)
        found = []
        for image, (size, boxes, chosen) in enumerate(zip(image_sizes, decoded, places[1].split(counts), strict=True)):
            boxes, kept = clip_boxes_to_image(boxes, size, remove_empty=True)  # type: ignore[assignment]
            chosen = chosen[kept]
            first = _best_boxes(boxes, best[image][chosen], self.nms_thresh, self.detections_per_img)
            boxes, chosen = boxes[first], chosen[first]
            found.append(
                {
                    self.target_box_key: boxes,
                    self.target_label_key: scores[image][chosen].argmax(dim=1),
                    self.pred_score_key: best[image][chosen],
                    "class_scores": scores[image][chosen],
                    "corners": decode_landmarks(codes[image][chosen], anchors[image][chosen]),
                    "transition": transition[image][chosen],
                }
            )
        return found


def _best_boxes(boxes: Tensor, scores: Tensor, threshold: float, most: int) -> Tensor:
    """Indices of boxes, best first, without those that overlap a better one by more than ``threshold`` (IoU).

    As monai.data.box_utils.non_max_suppression, which computes the overlaps anew for each box it keeps.
    """
    order = torch.argsort(scores, descending=True, stable=True)
    if not len(order):
        return order
    near = (box_iou(boxes[order], boxes[order]) > threshold).cpu().numpy()  # type: ignore[union-attr]
    free = np.ones(len(order), dtype=bool)
    kept: list[int] = []
    while free.any() and len(kept) < most:
        first = int(free.argmax())
        kept.append(first)
        free &= ~near[first]
        free[first] = False
    return order[kept]


def _known(
    predicted: Tensor, targets: list[dict[str, Tensor]], matched: list[Tensor], key: str
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Of each image what anchors that match a body predict, its truth, and the anchors' indices, where it is known."""
    for values, target, index in zip(predicted, targets, matched, strict=True):
        chosen = torch.where(index >= 0)[0]
        truth = target[key][index[chosen]]
        known = ~torch.isnan(truth.reshape(len(truth), -1)).any(1) if len(truth) else chosen.bool()
        yield values[chosen[known]], truth[known], chosen[known]


def _transition_loss(logits: Tensor, targets: list[dict[str, Tensor]], matched: list[Tensor]) -> Tensor:
    parts = list(_known(logits, targets, matched, "transition"))
    if sum(len(logit) for logit, *_ in parts) == 0:
        return logits.sum() * 0.0
    return binary_cross_entropy_with_logits(torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts]))
