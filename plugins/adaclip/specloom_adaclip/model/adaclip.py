"""AdaCLIP: a frozen CLIP model whose towers are prompted by the image itself."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from specloom_adaclip.model.anomaly_maps import enlarged
from specloom_adaclip.model.fusion import Clustering, fused, sklearn_labels, suspicious
from specloom_adaclip.model.towers import Reading, embedded, see

if TYPE_CHECKING:
    from specloom_adaclip.model.adapters import Adapters

TEMPERATURE = 100.0


@dataclass(frozen=True)
class Prompting:
    """Sentences that were read as far as no image has a say in it.

    Args:
        reading: All sentences, the normal ones first.
        normal: How many of them are normal.
        fixed: The class features (1, D, 2) where they do not depend on the image at all.
    """

    reading: Reading
    normal: int
    fixed: Tensor | None = None


@dataclass(frozen=True)
class Seen:
    """What the model makes of B images.

    Args:
        pooled: The image features of the prompted visual tower, (B, D).
        tokens: For each tap its tokens without prompts, the class token first, (B, 1 + N, width).
        patches: For each tap the projected patches of unit length, (B, N, D).
        text: The features of the two classes, (B, D, 2): normal, abnormal.
        logits: For each tap the patch logits, (B, N, 2).
        image_feature: What the image score is taken from, (B, D), of unit length.
        score: The probabilities of the two classes for each image, (B, 2).
    """

    pooled: Tensor
    tokens: list[Tensor]
    patches: list[Tensor]
    text: Tensor
    logits: list[Tensor]
    image_feature: Tensor
    score: Tensor

    def abnormal(self, size: int) -> Tensor:
        """The map of the abnormal class over all taps, (B, size, size)."""
        # Softmax over two channels is the logistic function of their difference, and enlarging
        # is linear: one channel is enlarged instead of two for each tap.
        apart = torch.stack(self.logits).mean(0).diff(dim=-1)
        return enlarged(apart, size).squeeze(1).sigmoid()

    def layers(self, size: int) -> list[Tensor]:
        """For each tap the maps of both classes, (B, 2, size, size)."""
        return [enlarged(logits, size).softmax(1) for logits in self.logits]


class AdaCLIP(nn.Module):
    """The network. Source: Y. Cao et al., AdaCLIP, ECCV 2024.

    Args:
        clip: An open_clip model with two plain transformer towers; it is never trained here.
        adapters: The trained part.
        taps: The visual blocks, counted from 1, whose patches are compared with the text; None
            for those after each quarter.
        clusters: The clusters of the hybrid semantic fusion; None for no fusion.
        clustering: How patches are put into clusters.
        through_prompts: Let gradients reach the image through the prompts made from it too.
    """

    def __init__(
        self,
        clip: Any,
        adapters: Adapters,
        *,
        taps: Sequence[int] | None = None,
        clusters: int | None = 20,
        clustering: Clustering = sklearn_labels,
        through_prompts: bool = False,
    ) -> None:
        super().__init__()
        self.clip, self.adapters = clip.requires_grad_(False), adapters
        self.taps = tuple(taps or quarters(len(clip.visual.transformer.resblocks)))
        self.clusters, self.clustering = clusters, clustering
        self.through_prompts = through_prompts

    def read(self, normal: Tensor, abnormal: Tensor) -> Prompting:
        """Read sentences, (sentences, context_length) token ids each, once for many images.

        What comes of it holds until the adapters change.
        """
        with torch.no_grad():
            reading = Reading(self.clip, torch.cat([normal, abnormal]), self.adapters.length)
            prompting = Prompting(reading, len(normal))
            if "L" in self.adapters.branch and "D" in self.adapters.kind:
                return prompting
            return Prompting(reading, len(normal), self.text_features(prompting, None))

    def text_features(self, prompting: Prompting, dynamic: Tensor | None) -> Tensor:
        """The features of the two classes, (B, D, 2), each of unit length."""
        contexts = self.adapters.contexts("L", dynamic)[1:]  # no prompt precedes the first block
        features = normalize(prompting.reading.features(contexts).float(), dim=-1)
        split = features[:, : prompting.normal], features[:, prompting.normal :]
        return torch.stack([normalize(half.mean(1), dim=-1) for half in split], -1)

    def forward(self, image: Tensor, prompting: Prompting) -> Seen:
        """See normalised images, (B, 3, S, S), each on its own."""
        visual = self.clip.visual
        start = embedded(visual, image.to(visual.conv1.weight.dtype))
        dynamic: dict[str, Tensor | None] = {"V": None, "L": None}
        if "D" in self.adapters.kind and self.adapters.branch:
            with nullcontext() if self.through_prompts else torch.no_grad():
                feature = see(visual, start)[0].float()
            dynamic = {tower: self.adapters.dynamic(tower, feature) for tower in dynamic}
        contexts = self.adapters.contexts("V", dynamic["V"])
        contexts = [one.expand(len(image), -1, -1) for one in contexts]
        pooled, tokens = see(visual, start, contexts, self.taps)
        text = prompting.fixed
        if text is None:
            text = self.text_features(prompting, dynamic["L"])
        text = text.expand(len(image), -1, -1)
        heads = self.adapters.patch_token_layer.head
        patches = [
            normalize(head(one[:, 1:].float()), dim=-1)
            for head, one in zip(heads, tokens, strict=True)
        ]
        logits = [TEMPERATURE * one @ text for one in patches]
        feature = normalize(self.adapters.cls_token_layer.head[0](pooled.float()), dim=-1)
        if self.clusters:
            fusion = self._fusion(patches, logits, self.clusters)
            feature = normalize(0.2 * fusion + 0.8 * feature, dim=-1)
        score = (TEMPERATURE * feature.unsqueeze(1) @ text).squeeze(1).softmax(-1)
        return Seen(pooled.float(), tokens, patches, text, logits, feature, score)

    def _fusion(self, patches: list[Tensor], logits: list[Tensor], clusters: int) -> Tensor:
        index = suspicious(torch.stack(logits).mean(0).detach(), 5 * clusters)
        rows = index[:, :, None].expand(-1, -1, patches[0].shape[2])
        chosen = torch.stack([one.gather(1, rows) for one in patches], 2)
        clusters = min(clusters, index.shape[1])
        return fused(chosen, self.clustering(chosen.flatten(2), clusters), clusters)


def quarters(layers: int) -> tuple[int, ...]:
    """The blocks at a quarter, half, three quarters and the end.

    >>> quarters(24), quarters(12)
    ((6, 12, 18, 24), (3, 6, 9, 12))
    """
    return tuple(layers // 4 * i for i in (1, 2, 3, 4))
