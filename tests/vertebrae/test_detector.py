import pytest
import torch
from monai.apps.detection.utils.anchor_utils import AnchorGeneratorWithAnchorShape
from monai.data.box_utils import box_iou

from bundle.vertebrae.detector import BodyDetector
from bundle.vertebrae.engine import DetectionInferer, prepare_batch, total_loss
from bundle.vertebrae.network import LandmarkRetinaNet, ResNetFPN, encode_landmarks

BOXES = torch.tensor([[20.0, 30.0, 44.0, 60.0], [55.0, 30.0, 79.0, 62.0]])
CORNERS = torch.stack([BOXES[:, [0, 1]], BOXES[:, [0, 3]], BOXES[:, [2, 3]], BOXES[:, [2, 1]]], dim=1)


def make_detector(**settings) -> BodyDetector:
    torch.manual_seed(0)
    network = LandmarkRetinaNet(9, 1, ResNetFPN((1, 1, 1, 1), (8, 8, 16, 16), 8))
    anchors = AnchorGeneratorWithAnchorShape(feature_map_scales=[1, 2, 4], base_anchor_shapes=[[24, 30]])
    return BodyDetector(network, anchors, **settings)


def target(boxes=BOXES, corners=CORNERS) -> dict[str, torch.Tensor]:
    transition = torch.full((len(boxes),), float("nan"))
    transition[:1] = 1.0
    return {"boxes": boxes, "labels": torch.arange(len(boxes)) + 3, "corners": corners, "transition": transition}


def image() -> torch.Tensor:
    return torch.rand((1, 96, 96), generator=torch.Generator().manual_seed(1))


def losses(*targets) -> dict[str, torch.Tensor]:
    detector = make_detector().train()
    return detector([image()] * len(targets), list(targets))


# ---- training -----------------------------------------------------------------------------------------------------------


def test_losses_of_classes_boxes_and_corners_are_finite_and_positive():
    found = losses(target())
    assert set(found) == {"classification", "box_regression", "landmark_regression", "transition"}
    assert all(torch.isfinite(v) and v > 0 for v in found.values())


def test_image_without_bodies_teaches_classes_only():
    found = losses(target(torch.zeros(0, 4), torch.zeros(0, 4, 2)))
    assert found["classification"] > 0
    assert found["box_regression"] == 0
    assert found["landmark_regression"] == 0


def test_corners_that_are_not_known_take_no_part():
    half = CORNERS.clone()
    half[1] = float("nan")
    known_alone = losses(target(BOXES[:1], CORNERS[:1]))
    found = losses(target(BOXES, half))["landmark_regression"].item()
    assert found == pytest.approx(known_alone["landmark_regression"].item(), rel=1e-5)


def test_body_with_one_unknown_corner_takes_no_part_in_the_corners_loss():
    half = CORNERS.clone()
    half[:, 2] = float("nan")
    found = losses(target(BOXES, half))
    assert found["landmark_regression"] == 0
    assert found["box_regression"] > 0


def test_bodies_without_a_name_teach_neither_a_name_nor_the_background():
    nameless = target()
    nameless["labels"] = torch.full_like(nameless["labels"], -1)
    detector = make_detector().train()
    found = detector([image()], [nameless])
    assert found["box_regression"] > 0
    found["classification"].backward()
    matched = detector.compute_anchor_matched_idxs(detector.anchors, [target()], [144, 36, 9])[0]
    assert (detector._of_known_name([nameless], [matched])[0] >= 0).sum() == 0 < (matched >= 0).sum()
    assert torch.equal(detector._of_known_name([target()], [matched])[0], matched)


def test_unknown_corners_leave_the_gradients_finite():
    detector = make_detector().train()
    total_loss(detector([image()], [target(BOXES, torch.full_like(CORNERS, float("nan")))])).backward()
    gradients = [p.grad for p in detector.network.parameters() if p.grad is not None]
    assert gradients
    assert all(torch.isfinite(g).all() for g in gradients)


def test_landmark_weight_scales_the_corners_loss():
    plain = make_detector().train()([image()], [target()])["landmark_regression"]
    weighted = make_detector(landmark_weight=2.5).train()([image()], [target()])["landmark_regression"]
    assert weighted.item() == pytest.approx(2.5 * plain.item())


def test_transition_is_learned_where_it_is_known():
    truth = target()
    expected = losses(truth)["transition"].item()
    nowhere = {**truth, "transition": torch.full((2,), float("nan"))}
    assert losses(nowhere)["transition"] == 0
    assert losses(truth, nowhere)["transition"].item() == pytest.approx(expected, rel=1e-5)
    # A logit near 0 costs the logarithm of 2, times the loss's weight.
    assert expected == pytest.approx(0.2 * 0.693, rel=0.2)


def test_every_body_is_matched_to_an_anchor_whose_centre_it_holds():
    detector = make_detector()
    detector.generate_anchors(image()[None], detector.network(image()[None]))
    counts = [12 * 12, 6 * 6, 3 * 3]
    (index,) = detector.compute_anchor_matched_idxs(detector.anchors, [target()], counts)
    assert set(index[index >= 0].tolist()) == {0, 1}
    for anchor, body in zip(detector.anchors[0][index >= 0], index[index >= 0], strict=True):
        center = (anchor[:2] + anchor[2:]) / 2
        assert (center >= BOXES[body, :2]).all() and (center <= BOXES[body, 2:]).all()


def test_few_steps_on_one_image_lower_the_loss():
    detector = make_detector().train()
    optimizer = torch.optim.Adam(detector.network.parameters(), 2e-3)
    seen = []
    for _ in range(8):
        loss = total_loss(detector([image()], [target()]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen.append(loss.item())
    assert seen[-1] < 0.8 * seen[0]


# ---- bodies out of the maps ----------------------------------------------------------------------------------------------


def decoded(anchors, scores, corners=None, size=(96, 96), transition=None, **settings) -> dict[str, torch.Tensor]:
    """Bodies from maps that say: at each anchor these scores, its own box, and these corners."""
    detector = make_detector(**settings)
    codes = torch.zeros(1, len(anchors), 8) if corners is None else encode_landmarks(corners, anchors)[None]
    maps = {
        "classification": torch.logit(scores)[None],
        "box_regression": torch.zeros(1, len(anchors), 4),
        "landmark_regression": [codes.permute(0, 2, 1)[..., None]],
        "transition": [(torch.zeros(len(anchors)) if transition is None else torch.logit(transition)).reshape(1, 1, -1, 1)],
    }
    (found,) = detector.postprocess_detections(maps, [anchors], [list(size)], [len(anchors)])
    return found


def scores_of(*best: tuple[int, float]) -> torch.Tensor:
    scores = torch.full((len(best), 9), 0.01)
    for k, (label, score) in enumerate(best):
        scores[k, label] = score
    return scores


def test_one_body_has_one_box_whatever_its_classes():
    near = BOXES[:1] + torch.tensor([[1.0, -1.0, 1.0, -1.0]])
    found = decoded(torch.cat([BOXES[:1], near]), scores_of((3, 0.7), (4, 0.8)))
    assert found["labels"].tolist() == [4]
    assert found["labels_scores"].tolist() == pytest.approx([0.8])


def test_bodies_that_hardly_overlap_are_both_kept_the_best_first():
    found = decoded(BOXES, scores_of((3, 0.6), (4, 0.9)))
    assert found["labels"].tolist() == [4, 3]
    assert torch.allclose(found["boxes"], BOXES[[1, 0]])


def test_all_class_scores_of_a_body_are_given():
    scores = scores_of((3, 0.6), (4, 0.9))
    found = decoded(BOXES, scores)
    assert torch.allclose(found["class_scores"], scores[[1, 0]], atol=1e-6)


def test_corners_belong_to_their_box():
    found = decoded(BOXES, scores_of((3, 0.6), (4, 0.9)), CORNERS + 2)
    assert torch.allclose(found["corners"], CORNERS[[1, 0]] + 2, atol=1e-4)


def test_transition_belongs_to_its_box():
    found = decoded(BOXES, scores_of((3, 0.7), (4, 0.8)), transition=torch.tensor([0.9, 0.2]))
    assert found["transition"].tolist() == pytest.approx([0.2, 0.9], abs=1e-6)


def test_boxes_below_the_threshold_are_dropped():
    found = decoded(BOXES, scores_of((3, 0.29), (4, 0.31)))
    assert found["labels"].tolist() == [4]


def test_boxes_are_cut_off_at_the_images_edge_and_corners_are_not():
    found = decoded(BOXES, scores_of((3, 0.6), (4, 0.9)), CORNERS, size=(70, 96))
    assert found["boxes"][0].tolist() == pytest.approx([55, 30, 70, 62], abs=1.0)
    assert found["corners"][0, 2].tolist() == pytest.approx([79, 62], abs=1e-3)


def test_box_beyond_the_image_is_dropped_with_its_scores_and_corners():
    found = decoded(BOXES, scores_of((3, 0.6), (4, 0.9)), CORNERS, size=(50, 96))
    assert found["labels"].tolist() == [3]
    assert torch.allclose(found["corners"], CORNERS[:1], atol=1e-4)


def test_no_more_boxes_than_allowed():
    found = decoded(BOXES, scores_of((3, 0.6), (4, 0.9)), detections_per_img=1)
    assert found["labels"].tolist() == [4]


def test_nothing_found_keeps_the_shapes():
    found = decoded(BOXES, scores_of((3, 0.1), (4, 0.1)))
    shapes = {key: tuple(value.shape) for key, value in found.items()}
    assert shapes == {
        "boxes": (0, 4), "labels": (0,), "labels_scores": (0,), "class_scores": (0, 9), "corners": (0, 4, 2),
        "transition": (0,),
    }  # fmt: skip


def test_images_of_different_sizes_give_boxes_inside_each():
    detector = make_detector(score_thresh=0.0).eval()
    with torch.inference_mode():
        found = detector([torch.rand(1, 96, 64), torch.rand(1, 50, 96)])
    for one, (rows, columns) in zip(found, ((96, 64), (50, 96)), strict=True):
        assert len(one["boxes"]) > 1
        assert one["boxes"][:, 2].max() <= rows
        assert one["boxes"][:, 3].max() <= columns
        overlap = box_iou(one["boxes"], one["boxes"]).fill_diagonal_(0)
        assert overlap.max() <= 0.35 + 1e-6


# ---- MONAI's engines -----------------------------------------------------------------------------------------------------


def test_batch_becomes_images_and_targets_on_the_device():
    batch = [{"image": image(), **target()}, {"image": image(), **target(BOXES[:1], CORNERS[:1])}]
    images, targets, arguments, keywords = prepare_batch(batch, "cpu", non_blocking=True, memory_format=None)
    assert images.shape == (2, 1, 96, 96)
    assert [len(t["boxes"]) for t in targets] == [2, 1]
    assert arguments == (targets,)
    assert keywords == {}


def test_inferer_gives_losses_in_training_and_bodies_in_evaluation():
    detector = make_detector()
    inferer = DetectionInferer(detector)
    images, _, arguments, _ = prepare_batch([{"image": image(), **target()}], "cpu")
    assert "box_regression" in inferer(images, detector.network.train(), *arguments)
    with torch.inference_mode():
        assert "corners" in inferer(images, detector.network.eval(), *arguments)[0]


def test_inferer_uses_the_network_that_the_engine_hands_it():
    # EMA's averaged copy is another module than the one that the detector was made with.
    detector, other = make_detector(), make_detector().network.eval()
    torch.nn.init.constant_(other.classification_head.cls_logits.bias, 5.0)
    with torch.inference_mode():
        found = DetectionInferer(detector)(image()[None], other)
    assert found[0]["labels_scores"].max() > 0.9


def test_total_loss_is_the_sum_of_all():
    assert total_loss({"a": torch.tensor(1.5), "b": torch.tensor(2.0)}) == 3.5
