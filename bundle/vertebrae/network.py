"""Step 1's network: RetinaNet from MONAI parts, with a landmark branch as in RetinaFace (Deng et al. 2020)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.apps.detection.networks.retinanet_network import RetinaNet
from monai.networks.blocks import Convolution
from monai.networks.blocks.feature_pyramid_network import FeaturePyramidNetwork
from monai.networks.layers.factories import Conv
from monai.networks.nets import ResNet
from torch import Tensor, nn

#: Corners of a body, each with a row and a column.
LANDMARK_CHANNELS = 8


class ResNetFPN(nn.Module):
    """Feature pyramid over a small ResNet.

    MONAI's own ``resnet_fpn_feature_extractor`` needs torchvision, which does not import on CPU-only torch; this joins the
    same two MONAI parts.

    Args:
        layers: residual blocks in each of the four stages.
        widths: channels of each stage.
        out_channels: channels of the pyramid.
        in_channels: channels of the image.
        returned_stages: stages (1 to 4) that the pyramid returns; stage k has stride 2 ** (k + 1).
    """

    def __init__(
        self,
        layers: Sequence[int] = (2, 2, 2, 2),
        widths: Sequence[int] = (32, 64, 128, 256),
        out_channels: int = 64,
        in_channels: int = 1,
        returned_stages: Sequence[int] = (2, 3, 4),
    ) -> None:
        super().__init__()
        self.body = ResNet(
            "basic",
            list(layers),
            list(widths),
            spatial_dims=2,
            n_input_channels=in_channels,
            conv1_t_size=7,
            conv1_t_stride=2,
            feed_forward=False,
        )
        self.returned_stages = [int(s) for s in returned_stages]
        self.fpn = FeaturePyramidNetwork(2, [widths[s - 1] for s in self.returned_stages], out_channels)
        self.out_channels = out_channels

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Feature maps (B, out_channels, H / stride, W / stride), finest first, of images (B, C, H, W)."""
        # Written out, stage by stage: TorchScript knows no loop over modules with a condition in it.
        x = self.body.maxpool(self.body.act(self.body.bn1(self.body.conv1(images))))
        stages: dict[str, Tensor] = {}
        x = self.body.layer1(x)
        if 1 in self.returned_stages:
            stages["1"] = x
        x = self.body.layer2(x)
        if 2 in self.returned_stages:
            stages["2"] = x
        x = self.body.layer3(x)
        if 3 in self.returned_stages:
            stages["3"] = x
        x = self.body.layer4(x)
        if 4 in self.returned_stages:
            stages["4"] = x
        return self.fpn(stages)


class LandmarkRetinaNet(RetinaNet):
    """RetinaNet with two outputs beside classes and boxes: the four corners of the body in each box, and transition.

    The corners are read off the box branch's features by one convolution. Transition shows in how bodies look and how they
    lie, so its branch of three convolutions reads the features of both others. ``forward`` returns a dictionary of lists of
    maps (one a pyramid level), (B, anchors * channels, H, W):
        ``classification``: logits, num_classes channels;
        ``box_regression``: box codes, 4 channels;
        ``landmark_regression``: corners as (row, column) offsets from the anchor's centre in units of its size, 8 channels;
        ``transition``: logit of a body at a lumbosacral transition (a sacralised L5, a lumbarised S1), 1 channel.

    Args:
        num_classes: names of bodies.
        num_anchors: anchors at each place.
        feature_extractor: gives the feature maps; has ``out_channels``.
        size_divisible: images' sides must be multiples of it.
        only_transition: whether training leaves all as it is but the branch of transition.
    """

    def __init__(
        self,
        num_classes: int,
        num_anchors: int,
        feature_extractor: nn.Module,
        size_divisible: int = 32,
        only_transition: bool = False,
    ) -> None:
        super().__init__(2, num_classes, num_anchors, feature_extractor, size_divisible)
        self.landmark_key = "landmark_regression"
        channels = self.feature_map_channels
        self.transition_key = "transition"
        self.landmark_head = Conv[Conv.CONV, 2](channels, num_anchors * LANDMARK_CHANNELS, kernel_size=3, padding=1)
        self.transition_head = nn.Sequential(
            Convolution(2, 2 * channels, channels, act="RELU", norm=None),
            Convolution(2, channels, channels, act="RELU", norm=None),
            Convolution(2, channels, num_anchors, conv_only=True),
        )
        nn.init.normal_(self.landmark_head.weight, std=0.01)
        nn.init.zeros_(self.landmark_head.bias)
        self.only_transition = bool(only_transition)
        if self.only_transition:
            self.requires_grad_(False)
            self.transition_head.requires_grad_(True)

    def train(self, mode: bool = True) -> LandmarkRetinaNet:
        """As in nn.Module; what is left as it is goes on with the statistics that it has."""
        super().train(mode)
        if self.only_transition:
            for part in (self.feature_extractor, self.classification_head, self.regression_head):
                part.eval()
        return self

    def forward(self, images: Tensor) -> dict[str, list[Tensor]]:
        """See the class."""
        maps = list(self.feature_extractor(images).values())
        looks = [self.classification_head.conv(m) for m in maps]
        shared = [self.regression_head.conv(m) for m in maps]
        return {
            self.cls_key: [self.classification_head.cls_logits(look) for look in looks],
            self.box_reg_key: [self.regression_head.bbox_reg(s) for s in shared],
            self.landmark_key: [self.landmark_head(s) for s in shared],
            self.transition_key: [self.transition_head(torch.cat(both, dim=1)) for both in zip(looks, shared, strict=True)],
        }


def encode_landmarks(corners: Tensor, anchors: Tensor) -> Tensor:
    """(N, 8) codes of corners (N, 4, 2), given as (row, column), against anchors (N, 4)."""
    center, size = (anchors[:, :2] + anchors[:, 2:]) / 2, anchors[:, 2:] - anchors[:, :2]
    return ((corners - center[:, None]) / size[:, None]).flatten(1)


def decode_landmarks(codes: Tensor, anchors: Tensor) -> Tensor:
    """(N, 4, 2) corners as (row, column), from codes (N, 8) and anchors (N, 4)."""
    center, size = (anchors[:, :2] + anchors[:, 2:]) / 2, anchors[:, 2:] - anchors[:, :2]
    return codes.view(-1, 4, 2).to(torch.float32) * size[:, None] + center[:, None]
