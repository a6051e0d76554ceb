"""AdaCLIP in NumPy, float64: image by image, sentence by sentence, all 77 positions, no caches."""

import numpy as np
from scipy.special import erf


def unit(x, axis=-1):
    return x / np.linalg.norm(x, axis=axis, keepdims=True)


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def norm(x, state, name):
    apart = x - x.mean(-1, keepdims=True)
    x = apart / np.sqrt((apart**2).mean(-1, keepdims=True) + 1e-5)
    return x * state[f"{name}.weight"] + state[f"{name}.bias"]


def linear(x, state, name):
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def block(x, state, name, heads, causal):
    """One residual block on tokens (positions, width)."""
    count, width = x.shape
    y = norm(x, state, f"{name}.ln_1")
    y = y @ state[f"{name}.attn.in_proj_weight"].T + state[f"{name}.attn.in_proj_bias"]
    out = np.zeros((count, width))
    size = width // heads
    for h in range(heads):
        q, k, v = (y[:, p * width + h * size : p * width + (h + 1) * size] for p in range(3))
        scores = q @ k.T / np.sqrt(size)
        if causal:
            scores = np.where(np.tri(count, dtype=bool), scores, -np.inf)
        out[:, h * size : (h + 1) * size] = softmax(scores) @ v
    x = x + linear(out, state, f"{name}.attn.out_proj")
    y = linear(norm(x, state, f"{name}.ln_2"), state, f"{name}.mlp.c_fc")
    y = 0.5 * y * (1 + erf(y / np.sqrt(2)))
    return x + linear(y, state, f"{name}.mlp.c_proj")


def visual(image, state, heads, patch, contexts, taps):
    """Pooled feature and tapped tokens of one normalised image (3, S, S)."""
    side = image.shape[1] // patch
    kernel = state["visual.conv1.weight"].reshape(len(state["visual.class_embedding"]), -1)
    tokens = [state["visual.class_embedding"]]
    for i in range(side):
        for j in range(side):
            piece = image[:, i * patch : (i + 1) * patch, j * patch : (j + 1) * patch]
            tokens.append(kernel @ piece.reshape(-1))
    x = norm(np.stack(tokens) + state["visual.positional_embedding"], state, "visual.ln_pre")
    tapped, layers = [], 1 + max(int(n.split(".")[3]) for n in state if "visual.transformer" in n)
    for i in range(layers):
        if i == 0 and contexts:
            x = np.concatenate([x, contexts[0]])
        elif i < len(contexts):
            x = np.concatenate([x[: -len(contexts[i])], contexts[i]])
        x = block(x, state, f"visual.transformer.resblocks.{i}", heads, causal=False)
        if i + 1 in taps:
            tapped.append(x[: side * side + 1])
    return norm(x[0], state, "visual.ln_post") @ state["visual.proj"], tapped


def sentence(ids, state, heads, contexts):
    """The feature of one sentence of token ids (77,)."""
    x = state["token_embedding.weight"][ids] + state["positional_embedding"]
    layers = 1 + max(int(n.split(".")[2]) for n in state if n.startswith("transformer"))
    for i in range(layers):
        if 0 < i < len(contexts):
            x = x.copy()
            x[1 : 1 + len(contexts[i])] = contexts[i]
        x = block(x, state, f"transformer.resblocks.{i}", heads, causal=True)
    return norm(x, state, "ln_final")[ids.argmax()] @ state["text_projection"]


def contexts(adapters, tower, dynamic, depth):
    """The prompts of each layer: static ones, dynamic ones or their sum."""
    made = []
    for i in range(depth):
        parts = [] if dynamic is None else [dynamic]
        name = f"{tower}_prompter.static_prompts.{i}"
        parts += [adapters[name]] if name in adapters else []
        made += [sum(parts)] if parts else []
    return made


def bilinear(grid, size):
    """A grid (G, G) as (size, size), corner on corner."""
    at = np.arange(size) * (len(grid) - 1) / (size - 1)
    low = np.minimum(at.astype(int), len(grid) - 2)
    weights = np.zeros((size, len(grid)))
    weights[np.arange(size), low] = 1 - (at - low)
    weights[np.arange(size), low + 1] += at - low
    return weights @ grid @ weights.T


def adaclip(image, ids, state, adapters, case, labels=None):
    """Map, both columns of the image score, chosen patches and their clusters' features.

    Args:
        image: One normalised image, (3, S, S).
        ids: Token ids of the normal and of the abnormal sentences.
        state: CLIP's weights by name, the position embedding of the right size.
        adapters: The adapters' weights by name.
        case: Sizes: v_heads, t_heads, patch, depth, length, taps, branch, kind, clusters.
        labels: From the features of the chosen patches to labels.
    """
    dynamic = {"visual": None, "text": None}
    towers = [t for t, letter in (("visual", "V"), ("text", "L")) if letter in case["branch"]]
    seen = {"heads": case["v_heads"], "patch": case["patch"]}
    if "D" in case["kind"]:
        feature, _ = visual(image, state, **seen, contexts=[], taps=())
        for tower in towers:
            heads = [f"dynamic_{tower}_prompt_generator.head.{j}" for j in range(case["length"])]
            dynamic[tower] = np.stack([linear(feature, adapters, head) for head in heads])
    prompts = {t: contexts(adapters, t, dynamic[t], case["depth"]) for t in towers}
    pooled, tapped = visual(
        image, state, **seen, contexts=prompts.get("visual", []), taps=case["taps"]
    )
    text = []
    for half in ids:
        ours = prompts.get("text", [])
        features = [unit(sentence(one, state, case["t_heads"], ours)) for one in half]
        text.append(unit(np.mean(features, 0)))
    text = np.stack(text, 1)
    patches = [
        unit(linear(tokens[1:], adapters, f"patch_token_layer.head.{n}"))
        for n, tokens in enumerate(tapped)
    ]
    logits = [100 * one @ text for one in patches]
    feature = unit(linear(pooled, adapters, "cls_token_layer.head.0"))
    if case["clusters"]:
        order = np.argsort(-softmax(np.mean(logits, 0))[:, 1], kind="stable")
        chosen = order[: 5 * case["clusters"]]
        rows = np.concatenate([one[chosen] for one in patches], 1)
        found = labels(rows, case["clusters"])
        members = [chosen[found == c] for c in range(case["clusters"])]
        centres = [np.mean([one[m].mean(0) for one in patches], 0) for m in members if len(m)]
        feature = unit(0.2 * unit(np.mean(centres, 0)) + 0.8 * feature)
    side = round(len(patches[0]) ** 0.5)
    size = image.shape[1]
    maps = [[bilinear(one[:, c].reshape(side, side), size) for c in (0, 1)] for one in logits]
    probabilities = softmax(np.mean(maps, 0), 0)
    return (probabilities[1] + 1 - probabilities[0]) / 2, softmax(100 * feature @ text)
