"""The specification of the six scores in float64 NumPy, loops where they are clear.

Written from the formulas alone: nothing here comes from the package.
"""

import numpy as np

ORDER_BLIND = ["scaled_dot_product", "cosine_similarity", "l1_norm", "l2_norm"]
DIFFERENTIAL = ["differentialSum", "differential"]
SIX = ORDER_BLIND + DIFFERENTIAL


def prev(x):
    """x_{i-1}, with x_{-1} = 0, along the tokens."""
    shifted = np.zeros_like(x)
    shifted[:, :, 1:] = x[:, :, :-1]
    return shifted


def score(q, k, attention_type, scale=None):
    q, k = q.astype("float64"), k.astype("float64")
    i, j = q[:, :, :, None, :], k[:, :, None, :, :]
    i_prev, j_prev = prev(q)[:, :, :, None, :], prev(k)[:, :, None, :, :]
    delta = i_prev * (j - j_prev) + (i - i_prev) * j
    if attention_type == "scaled_dot_product":
        s = (i * j).sum(-1)
        scale = 1 / np.sqrt(q.shape[-1]) if scale is None else scale
    elif attention_type == "cosine_similarity":
        lengths = np.sqrt((i**2).sum(-1)) * np.sqrt((j**2).sum(-1))
        s = (i * j).sum(-1) / np.where(lengths > 0, lengths, 1)
    elif attention_type == "l1_norm":
        s = -np.abs(i - j).sum(-1)
    elif attention_type == "l2_norm":
        s = -np.sqrt(((i - j) ** 2).sum(-1))
    elif attention_type == "differentialSum":
        s = delta.sum(-1)
    elif attention_type == "differential":
        s = delta
    else:
        raise AssertionError(attention_type)
    return s if scale is None else s * scale


def attend(q, k, v, attention_type, scale=None, mask=None):
    s = score(q, k, attention_type, scale)
    weights = np.zeros_like(s)
    b_, h_, t_ = s.shape[:3]
    if mask is None:
        mask = np.ones(s.shape[:4], bool)
    mask = np.broadcast_to(mask, s.shape[:4])
    for b in range(b_):
        for h in range(h_):
            for t in range(t_):
                seen = mask[b, h, t]
                if seen.any():
                    row = s[b, h, t][seen]
                    e = np.exp(row - row.max(0))
                    weights[b, h, t][seen] = e / e.sum(0)
    if weights.ndim == 5:
        return (weights * v[:, :, None]).sum(3), weights
    return weights @ v, weights


def rotate(x, places, base=10_000.0):
    """Pairs of features c and c + d/2 as complex numbers, turned by their places."""
    half = x.shape[-1] // 2
    theta = base ** (-np.arange(half) / half)
    turned = (x[..., :half] + 1j * x[..., half:]) * np.exp(
        1j * np.asarray(places)[:, None] * theta
    )
    return np.concatenate([turned.real, turned.imag], axis=-1)


def multi_head(weights, x, y, heads, attention_type, mask=None, places=None):
    """The layer: project, split into heads, attend, join the heads, project.

    weights: kernel and bias of query, key, value and output. places: None, or the
    places of queries and those of keys, for rotary positions.
    """

    def split(z, n):
        z = z @ weights[2 * n] + weights[2 * n + 1]
        return z.reshape(*z.shape[:2], heads, -1).swapaxes(1, 2)

    q, k, v = split(x, 0), split(y, 1), split(y, 2)
    if places is not None:
        q, k = rotate(q, places[0]), rotate(k, places[1])
    output, _ = attend(q, k, v, attention_type, mask=mask)
    output = output.swapaxes(1, 2).reshape(*x.shape[:2], -1)
    return output @ weights[6] + weights[7]
