"""The two towers of a CLIP model (open_clip), run block by block with prompts between blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate


def embed_image(visual: Any, image: Tensor) -> Tensor:
    """Return the tokens (B, 1 + N, width) for the first visual block; the class token is first."""
    patches = _embed_patches(visual.conv1, image)
    class_token = visual.class_embedding.to(patches.dtype).expand(len(patches), 1, -1)
    positions = visual.positional_embedding.to(patches.dtype)
    tokens = torch.cat([class_token, patches], 1) + positions
    normalised: Tensor = visual.ln_pre(tokens)
    return normalised


def _embed_patches(conv: nn.Conv2d, image: Tensor) -> Tensor:
    """Return the embedded patches (B, N, width), row by row."""
    if conv.weight.dtype != torch.float32:
        return conv(image).flatten(2).mT  # type: ignore[no-any-return]  # nn.Module is untyped
    # By a matrix product: cuDNN would round a float32 convolution to 10 bits (TF32) by default.
    side = conv.weight.shape[-1]
    patches = image.unfold(2, side, side).unfold(3, side, side)
    rows = patches.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)
    return rows @ conv.weight.flatten(1).T


class VisualFeatures(NamedTuple):
    """The output of the visual tower.

    Args:
        pooled: The feature of the image, (B, embed_dim).
        taps: For each tapped block its tokens without the prompts, (B, 1 + N, width).
    """

    pooled: Tensor
    taps: list[Tensor]


def run_visual_blocks(
    visual: Any, tokens: Tensor, contexts: Sequence[Tensor] = (), taps: Sequence[int] = ()
) -> VisualFeatures:
    """Run the visual blocks on embedded tokens.

    Args:
        visual: The visual tower.
        tokens: The result of ``embed_image``, (B, 1 + N, width).
        contexts: For each prompted block its prompts (B, length, width): appended before the
            first block and replaced before each other; the last ones stay.
        taps: The blocks, counted from 1, whose tokens are returned.
    """
    count = tokens.shape[1]
    tapped = []
    for number, block in enumerate(visual.transformer.resblocks, start=1):
        if number <= len(contexts):
            context = contexts[number - 1].to(tokens.dtype)
            tokens = torch.cat([tokens[:, :count], context], 1)
        tokens = block(tokens)
        if number in taps:
            tapped.append(tokens[:, :count])
    pooled = visual.ln_post(tokens[:, 0]) @ visual.proj
    return VisualFeatures(pooled, tapped)


class SentenceEncoder:
    """Sentences, encoded as far as they do not depend on the image.

    The text tower is causal: what stands behind the end of a sentence never reaches its feature.
    So the sentences are cut behind the last end among them (after some 16 of 77 positions), and
    the first block, which no prompt precedes, is run once for all images.

    Args:
        clip: The CLIP model.
        ids: Token ids, (sentences, context_length).
        length: The number of positions that prompts overwrite.
    """

    def __init__(self, clip: Any, ids: Tensor, length: int) -> None:
        self.clip = clip
        self.length = length
        device = clip.positional_embedding.device
        dtype = clip.transformer.resblocks[0].ln_1.weight.dtype
        ends = ids.argmax(1)  # the end of a sentence has the largest id
        positions = min(max(int(ends.max()), length) + 1, ids.shape[1])
        self.ends = ends.to(device)
        self.rows = torch.arange(len(ids), device=device)
        square = (positions, positions)
        self.mask = torch.full(square, -torch.inf, device=device, dtype=dtype).triu(1)
        words = clip.token_embedding(ids[:, :positions].to(device)).to(dtype)
        words = words + clip.positional_embedding[:positions].to(dtype)
        self.after_first_block = self._run_block(0, words)

    def features(self, contexts: Sequence[Tensor]) -> Tensor:
        """Return the features of the sentences, (B, sentences, embed_dim), not normalised.

        Args:
            contexts: For the second block and each following prompted one its prompts
                (B, length, width); without any B is 1.
        """
        images = 1
        if contexts:
            images = len(contexts[0])
        tokens = self.after_first_block.expand(images, *self.after_first_block.shape)
        for number in range(1, len(self.clip.transformer.resblocks)):
            if number <= len(contexts):
                tokens = self._replace_prompts(tokens, contexts[number - 1])
            tokens = self._run_block(number, tokens.flatten(0, 1)).reshape(tokens.shape)
        at_end = self.clip.ln_final(tokens[:, self.rows, self.ends])
        features: Tensor = at_end @ self.clip.text_projection
        return features

    def _replace_prompts(self, tokens: Tensor, context: Tensor) -> Tensor:
        """Return tokens (B, sentences, positions, width) with prompts (B, length, width)."""
        prompts = context.to(tokens.dtype).unsqueeze(1).expand(-1, tokens.shape[1], -1, -1)
        return torch.cat([tokens[:, :, :1], prompts, tokens[:, :, 1 + self.length :]], 2)

    def _run_block(self, number: int, tokens: Tensor) -> Tensor:
        block = self.clip.transformer.resblocks[number]
        result: Tensor = block(tokens, attn_mask=self.mask)
        return result


def resize_positions(positions: Tensor, grid: int) -> Tensor:
    """Return the position embedding (1 + n * n, width) for a grid of another side.

    The row of the class token stays. Bicubic without antialiasing, as in the training of the
    adapters; open_clip's own resizing smooths.
    """
    side = round((len(positions) - 1) ** 0.5)
    if side == grid:
        return positions
    image = positions[1:].T.reshape(1, -1, side, side)
    resized = interpolate(image, (grid, grid), mode="bicubic", align_corners=False)
    return torch.cat([positions[:1], resized[0].flatten(1).T])
