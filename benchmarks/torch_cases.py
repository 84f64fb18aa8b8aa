"""The same training steps in PyTorch, with its own kernels."""

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.sizes import EMBEDDING, HEADS, VOCABULARY


def scaled_dot_product(q, k, v):
    return functional.scaled_dot_product_attention(q, k, v)


def distance(p):
    """Attention by distance, with `torch.cdist`, which never has B·H·T·S·d."""

    def attention(q, k, v):
        return torch.softmax(-torch.cdist(q, k, p=p), -1) @ v

    return attention


def one_head_a_feature(q, k, v):
    """`differential` as dot-product attention with a head of size 2 a feature."""

    def features(x):
        return x.transpose(2, 3).flatten(1, 2)[..., None]

    def previous(x):
        return functional.pad(x[:, :, :-1], (0, 0, 1, 0))

    q, k, v = features(q), features(k), features(v)
    output = functional.scaled_dot_product_attention(
        torch.cat([q, -previous(q)], -1), torch.cat([k, previous(k)], -1), v, scale=1.0
    )
    batch, features, tokens, _ = output.shape
    return output.reshape(batch, HEADS, features // HEADS, tokens).transpose(2, 3)


ATTENTIONS = {
    "torch scaled_dot_product": scaled_dot_product,
    "torch cdist p=1": distance(1.0),
    "torch cdist p=2": distance(2.0),
    "torch one head a feature": one_head_a_feature,
}


class Classifier(nn.Module):
    def __init__(self, attention, embed_dim):
        super().__init__()
        self.attention = attention
        self.embedding = nn.Embedding(VOCABULARY + 1, EMBEDDING)
        self.projections = nn.ModuleList(
            nn.Linear(EMBEDDING, embed_dim) for _ in range(3)
        )
        self.output = nn.Linear(embed_dim, embed_dim)
        self.dropout = nn.Dropout(0.2)
        self.logit = nn.Linear(embed_dim, 1)

    def forward(self, tokens):
        x = self.embedding(tokens)
        q, k, v = (
            projection(x).unflatten(-1, (HEADS, -1)).transpose(1, 2)
            for projection in self.projections
        )
        x = self.attention(q, k, v).transpose(1, 2).flatten(2)
        return self.logit(self.dropout(self.output(x).mean(1)))


def make_step(name, batch, tokens, embed_dim, spread):
    """A function that trains on the same batch once."""
    torch.manual_seed(0)
    model = Classifier(ATTENTIONS[name], embed_dim)
    if spread is not None:
        nn.init.normal_(model.embedding.weight, std=spread)
    optimizer = torch.optim.Adam(model.parameters(), 0.001, eps=1e-7)
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.integers(0, VOCABULARY, (batch, tokens)))
    y = torch.from_numpy(rng.integers(0, 2, (batch, 1)).astype("float32"))

    def step():
        optimizer.zero_grad()
        loss = functional.binary_cross_entropy_with_logits(model(x), y)
        loss.backward()
        optimizer.step()
        assert math.isfinite(loss.item())

    return step
