import pytest
import torch

from bundle.vertebrae.network import LandmarkRetinaNet, ResNetFPN, decode_landmarks, encode_landmarks


def small_network(**settings) -> LandmarkRetinaNet:
    torch.manual_seed(0)
    return LandmarkRetinaNet(9, 2, ResNetFPN((1, 1, 1, 1), (8, 8, 16, 16), 8), **settings)


def test_pyramid_has_one_map_a_stage_with_its_stride():
    maps = ResNetFPN((1, 1, 1, 1), (8, 8, 16, 16), 8)(torch.zeros(2, 1, 96, 64))
    assert [tuple(m.shape) for m in maps.values()] == [(2, 8, 12, 8), (2, 8, 6, 4), (2, 8, 3, 2)]


def test_pyramid_returns_the_stages_that_are_asked_for():
    maps = ResNetFPN((1, 1, 1, 1), (8, 8, 16, 16), 8, returned_stages=(3,))(torch.zeros(1, 1, 64, 64))
    assert [tuple(m.shape) for m in maps.values()] == [(1, 8, 4, 4)]


@pytest.mark.parametrize(
    ("key", "channels"),
    [("classification", 2 * 9), ("box_regression", 2 * 4), ("landmark_regression", 2 * 8), ("transition", 2)],
)
def test_heads_have_their_channels_at_every_level(key, channels):
    outputs = small_network().eval()(torch.rand(1, 1, 64, 96))
    assert [tuple(m.shape) for m in outputs[key]] == [(1, channels, 8, 12), (1, channels, 4, 6), (1, channels, 2, 3)]


def test_corners_learn_the_shared_features_too():
    network = small_network()
    sum(m.sum() for m in network(torch.rand(1, 1, 64, 64))["landmark_regression"]).backward()
    first = next(network.regression_head.conv.parameters())
    assert network.landmark_head.weight.grad.abs().sum() > 0
    assert first.grad.abs().sum() > 0


def test_transition_reads_how_bodies_look_and_how_they_lie():
    network = small_network()
    sum(m.sum() for m in network(torch.rand(1, 1, 64, 64))["transition"]).backward()
    for branch in (network.classification_head, network.regression_head):
        assert next(branch.conv.parameters()).grad.abs().sum() > 0


def test_training_of_transition_alone_leaves_the_rest_as_it_is():
    network = small_network(only_transition=True)
    image = torch.rand(2, 1, 64, 64)
    before = {key: [m.clone() for m in maps] for key, maps in network.eval()(image).items()}
    trained = [p for p in network.train().parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=1.0)
    sum(m.mean() for maps in network(image).values() for m in maps).backward()
    optimizer.step()
    after = network.eval()(image)
    for key in ("classification", "box_regression", "landmark_regression"):
        assert all(torch.equal(a, b) for a, b in zip(after[key], before[key], strict=True))
    assert not torch.equal(after["transition"][0], before["transition"][0])


ANCHORS = torch.tensor([[10.0, 20.0, 34.0, 50.0], [-4.0, -6.0, 20.0, 24.0]])


def test_corner_code_is_the_offset_from_the_anchors_centre_in_its_size():
    # The anchor's centre is (22, 35), its size (24, 30): row first.
    corners = torch.tensor([[[22.0, 35.0], [34.0, 35.0], [22.0, 65.0], [10.0, 5.0]]])
    expected = torch.tensor([[0.0, 0.0, 0.5, 0.0, 0.0, 1.0, -0.5, -1.0]])
    assert torch.allclose(encode_landmarks(corners, ANCHORS[:1]), expected)


def test_decoding_undoes_encoding():
    corners = torch.rand((2, 4, 2), generator=torch.Generator().manual_seed(0)) * 60
    assert torch.allclose(decode_landmarks(encode_landmarks(corners, ANCHORS), ANCHORS), corners, atol=1e-4)


def test_half_precision_codes_become_single_precision_corners():
    corners = decode_landmarks(torch.zeros((2, 8), dtype=torch.float16), ANCHORS)
    assert corners.dtype == torch.float32
    assert torch.allclose(corners[0], torch.tensor([[22.0, 35.0]]).expand(4, 2))


def test_no_anchors_have_no_corners():
    assert decode_landmarks(torch.zeros((0, 8)), torch.zeros((0, 4))).shape == (0, 4, 2)
    assert encode_landmarks(torch.zeros((0, 4, 2)), torch.zeros((0, 4))).shape == (0, 8)
