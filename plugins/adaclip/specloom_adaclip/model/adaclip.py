"""AdaCLIP: a frozen CLIP model whose towers are prompted by the image itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from specloom_adaclip.model.anomaly_maps import enlarge
from specloom_adaclip.model.fusion import Clustering, fuse, most_suspicious, sklearn_labels
from specloom_adaclip.model.towers import SentenceEncoder, embed_image, run_visual_blocks

if TYPE_CHECKING:
    from specloom_adaclip.model.adapters import Adapters

TEMPERATURE = 100.0
FUSION_WEIGHT = 0.2
CLASS_TOKEN_WEIGHT = 0.8
PATCHES_PER_CLUSTER = 5


@dataclass(frozen=True)
class EncodedSentences:
    """Sentences, encoded as far as they do not depend on the image.

    Args:
        encoder: All sentences, the normal ones first.
        normal_count: How many of them are normal.
        class_features: The features of the two classes (1, D, 2) where they do not depend on the
            image at all; else None.
    """

    encoder: SentenceEncoder
    normal_count: int
    class_features: Tensor | None = None


@dataclass(frozen=True)
class Prediction:
    """The output of the model for B images.

    Args:
        pooled: The image features of the prompted visual tower, (B, D).
        tokens: For each tap its tokens without prompts, the class token first, (B, 1 + N, width).
        patches: For each tap the projected patches of unit length, (B, N, D).
        text: The features of the two classes, (B, D, 2): normal, abnormal.
        logits: For each tap the patch logits, (B, N, 2).
        image_feature: The feature behind the image score, (B, D), of unit length.
        score: The probabilities of the two classes for each image, (B, 2).
    """

    pooled: Tensor
    tokens: list[Tensor]
    patches: list[Tensor]
    text: Tensor
    logits: list[Tensor]
    image_feature: Tensor
    score: Tensor

    def abnormal_map(self, size: int) -> Tensor:
        """Return the map of the abnormal class over all taps, (B, size, size)."""
        # Softmax over two channels is the logistic function of their difference, and enlarging
        # is linear: one channel is enlarged instead of two for each tap.
        difference = torch.stack(self.logits).mean(0).diff(dim=-1)
        return enlarge(difference, size).squeeze(1).sigmoid()

    def layer_maps(self, size: int) -> list[Tensor]:
        """Return for each tap the maps of both classes, (B, 2, size, size)."""
        return [enlarge(logits, size).softmax(1) for logits in self.logits]


class AdaCLIP(nn.Module):
    """The network.

    Source: Y. Cao, J. Zhang, L. Frittoli, Y. Cheng, W. Shen and G. Boracchi, "AdaCLIP: Adapting
    CLIP with Hybrid Learnable Prompts for Zero-Shot Anomaly Detection", ECCV 2024.

    Args:
        clip: An open_clip model with two plain transformer towers; it is never trained here.
        adapters: The trained part.
        taps: The visual blocks, counted from 1, whose patches are compared with the text; None
            for those after each quarter.
        clusters: The clusters of the hybrid semantic fusion; None for no fusion.
        clustering: How patches are clustered.
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
        self.clip = clip.requires_grad_(False)
        self.adapters = adapters
        self.taps = tuple(taps or quarters(len(clip.visual.transformer.resblocks)))
        self.clusters = clusters
        self.clustering = clustering
        self.through_prompts = through_prompts

    def trained_parameters(self) -> dict[str, nn.Parameter]:
        """Return the parameters of the adapters that the output depends on, by name.

        Public checkpoints also hold static prompts of the text's first block, which is not
        prompted, and those of blocks and towers that are not.
        """
        unused = self._unused_prefixes()
        parameters = self.adapters.named_parameters()
        return {name: one for name, one in parameters if not f"{name}.".startswith(unused)}

    def _unused_prefixes(self) -> tuple[str, ...]:
        depth = self.adapters.depth
        visual_layers = len(self.clip.visual.transformer.resblocks)
        text_layers = len(self.clip.transformer.resblocks)
        unused = ["text_prompter.static_prompts.0."]
        unused += [f"text_prompter.static_prompts.{one}." for one in range(text_layers, depth)]
        unused += [f"visual_prompter.static_prompts.{one}." for one in range(visual_layers, depth)]
        if not self.adapters.prompts("V"):
            unused.append("dynamic_visual_prompt_generator.")
        if not self.adapters.prompts("L") or min(depth, text_layers) < 2:
            unused.append("dynamic_text_prompt_generator.")
        return tuple(unused)

    def encode_sentences(self, normal: Tensor, abnormal: Tensor) -> EncodedSentences:
        """Encode sentences, (sentences, context_length) token ids each, once for many images.

        The result holds until the adapters change.
        """
        with torch.no_grad():
            ids = torch.cat([normal, abnormal])
            encoder = SentenceEncoder(self.clip, ids, self.adapters.length)
            sentences = EncodedSentences(encoder, len(normal))
            if self.adapters.has_dynamic and self.adapters.prompts("L"):
                return sentences
            class_features = self.class_features(sentences, None)
            return EncodedSentences(encoder, len(normal), class_features)

    def class_features(self, sentences: EncodedSentences, dynamic: Tensor | None) -> Tensor:
        """Return the features of the two classes, (B, D, 2), each of unit length."""
        contexts = self.adapters.contexts("L", dynamic)[1:]  # no prompt precedes the first block
        features = normalize(sentences.encoder.features(contexts).float(), dim=-1)
        normal = features[:, : sentences.normal_count].mean(1)
        abnormal = features[:, sentences.normal_count :].mean(1)
        return torch.stack([normalize(normal, dim=-1), normalize(abnormal, dim=-1)], -1)

    def forward(self, image: Tensor, sentences: EncodedSentences) -> Prediction:
        """Score normalised images, (B, 3, S, S), each on its own."""
        visual = self.clip.visual
        embedded = embed_image(visual, image.to(visual.conv1.weight.dtype))
        visual_prompts, text_prompts = self._dynamic_prompts(embedded)
        contexts = self.adapters.contexts("V", visual_prompts)
        contexts = [context.expand(len(image), -1, -1) for context in contexts]
        pooled, tokens = run_visual_blocks(visual, embedded, contexts, self.taps)
        text = sentences.class_features
        if text is None:
            text = self.class_features(sentences, text_prompts)
        text = text.expand(len(image), -1, -1)
        patches = self._project_patches(tokens)
        logits = [TEMPERATURE * one @ text for one in patches]
        feature = self._image_feature(pooled, patches, logits)
        score = (TEMPERATURE * feature.unsqueeze(1) @ text).squeeze(1).softmax(-1)
        return Prediction(pooled.float(), tokens, patches, text, logits, feature, score)

    def _dynamic_prompts(self, embedded: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Return the prompts of both towers that are made from the image."""
        if not self.adapters.has_dynamic or not self.adapters.branch:
            return None, None
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.through_prompts):
            feature = run_visual_blocks(self.clip.visual, embedded).pooled.float()
        visual = self.adapters.dynamic_prompts("V", feature)
        text = self.adapters.dynamic_prompts("L", feature)
        return visual, text

    def _project_patches(self, tokens: Sequence[Tensor]) -> list[Tensor]:
        """Return for each tap the patches in the space of the text, of unit length."""
        heads = self.adapters.patch_token_layer.head
        projected = []
        for head, tap in zip(heads, tokens, strict=True):
            patches = tap[:, 1:].float()
            projected.append(normalize(head(patches), dim=-1))
        return projected

    def _image_feature(
        self, pooled: Tensor, patches: Sequence[Tensor], logits: Sequence[Tensor]
    ) -> Tensor:
        """Return the class token's feature, fused with the suspicious patches: (B, D)."""
        feature = normalize(self.adapters.cls_token_layer.head[0](pooled.float()), dim=-1)
        if not self.clusters:
            return feature
        fused = self._fused_patches(patches, logits, self.clusters)
        return normalize(FUSION_WEIGHT * fused + CLASS_TOKEN_WEIGHT * feature, dim=-1)

    def _fused_patches(
        self, patches: Sequence[Tensor], logits: Sequence[Tensor], clusters: int
    ) -> Tensor:
        mean_logits = torch.stack(list(logits)).mean(0).detach()
        index = most_suspicious(mean_logits, PATCHES_PER_CLUSTER * clusters)
        rows = index[:, :, None].expand(-1, -1, patches[0].shape[2])
        suspicious = torch.stack([one.gather(1, rows) for one in patches], 2)
        clusters = min(clusters, index.shape[1])
        labels = self.clustering(suspicious.flatten(2), clusters)
        return fuse(suspicious, labels, clusters)


def quarters(layers: int) -> tuple[int, ...]:
    """Return the blocks at a quarter, half, three quarters and the end.

    >>> quarters(24), quarters(12)
    ((6, 12, 18, 24), (3, 6, 9, 12))
    """
    quarter = layers // 4
    return (quarter, 2 * quarter, 3 * quarter, 4 * quarter)
