"""The two towers of a CLIP model (open_clip), run block by block with prompts put in between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate


def embedded(visual: Any, image: Tensor) -> Tensor:
    """The tokens (B, 1 + N, width) that enter the first visual block; the class token is first."""
    patches = _patches(visual.conv1, image)
    first = visual.class_embedding.to(patches.dtype).expand(len(patches), 1, -1)
    tokens = torch.cat([first, patches], 1) + visual.positional_embedding.to(patches.dtype)
    made: Tensor = visual.ln_pre(tokens)
    return made


def _patches(conv: nn.Conv2d, image: Tensor) -> Tensor:
    """The embedded patches (B, N, width), row by row."""
    if conv.weight.dtype != torch.float32:
        return conv(image).flatten(2).mT  # type: ignore[no-any-return]  # nn.Module is untyped
    # By a matrix product: cuDNN would round a float32 convolution to 10 bits (TF32) by default.
    side = conv.weight.shape[-1]
    cut = image.unfold(2, side, side).unfold(3, side, side)
    rows = cut.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)
    return rows @ conv.weight.flatten(1).T


def see(
    visual: Any, tokens: Tensor, contexts: Sequence[Tensor] = (), taps: Sequence[int] = ()
) -> tuple[Tensor, list[Tensor]]:
    """Run the visual blocks on embedded tokens.

    Args:
        visual: The visual tower.
        tokens: What ``embedded`` gives, (B, 1 + N, width).
        contexts: For each prompted block its prompts (B, length, width): appended before the
            first block and replaced before each other; the last ones travel on.
        taps: The blocks, counted from 1, whose tokens are asked for.

    Returns:
        The pooled feature (B, embed_dim), and for each tap the tokens without the prompts.
    """
    count, tapped = tokens.shape[1], []
    for i, block in enumerate(visual.transformer.resblocks):
        if i < len(contexts):
            tokens = torch.cat([tokens[:, :count], contexts[i].to(tokens.dtype)], 1)
        tokens = block(tokens)
        if i + 1 in taps:
            tapped.append(tokens[:, :count])
    return visual.ln_post(tokens[:, 0]) @ visual.proj, tapped


class Reading:
    """Sentences on their way through the text tower, as far as no image has a say in it.

    The text tower is causal: what stands behind the end of a sentence never reaches its feature.
    So the sentences are cut behind the last end among them (after some 16 of 77 positions), and
    the first block, which no prompt precedes, is run once for all images.

    Args:
        clip: The CLIP model.
        ids: Token ids, (sentences, context_length).
        length: The number of positions that prompts overwrite.
    """

    def __init__(self, clip: Any, ids: Tensor, length: int) -> None:
        self.clip, self.length = clip, length
        device = clip.positional_embedding.device
        ends = ids.argmax(1)
        reach = min(max(int(ends.max()), length) + 1, ids.shape[1])
        self.rows, self.ends = torch.arange(len(ids), device=device), ends.to(device)
        dtype = clip.transformer.resblocks[0].ln_1.weight.dtype
        words = clip.token_embedding(ids[:, :reach].to(device)).to(dtype)
        self.mask = torch.full((reach, reach), -torch.inf, device=device, dtype=dtype).triu(1)
        self.start = self._block(0, words + clip.positional_embedding[:reach].to(dtype))

    def features(self, contexts: Sequence[Tensor]) -> Tensor:
        """The features of the sentences, (B, sentences, embed_dim), not normalised.

        Args:
            contexts: For the second block and each following prompted one its prompts
                (B, length, width); none gives B = 1.
        """
        images = len(contexts[0]) if contexts else 1
        x = self.start.expand(images, *self.start.shape)
        for i in range(1, len(self.clip.transformer.resblocks)):
            if i <= len(contexts):
                context = contexts[i - 1].to(x.dtype).unsqueeze(1)
                context = context.expand(-1, x.shape[1], -1, -1)
                x = torch.cat([x[:, :, :1], context, x[:, :, 1 + self.length :]], 2)
            x = self._block(i, x.flatten(0, 1)).reshape(x.shape)
        last = self.clip.ln_final(x[:, self.rows, self.ends])
        made: Tensor = last @ self.clip.text_projection
        return made

    def _block(self, i: int, x: Tensor) -> Tensor:
        made: Tensor = self.clip.transformer.resblocks[i](x, attn_mask=self.mask)
        return made


def resized_positions(positions: Tensor, grid: int) -> Tensor:
    """The position embedding (1 + n * n, width) for a grid of another side, the class row kept.

    Bicubic without antialiasing, as the adapters were trained; open_clip's own resizing smooths.
    """
    side = round((len(positions) - 1) ** 0.5)
    if side == grid:
        return positions
    first, rest = positions[:1], positions[1:].T.reshape(1, -1, side, side)
    made = interpolate(rest, (grid, grid), mode="bicubic", align_corners=False)
    return torch.cat([first, made[0].flatten(1).T])
