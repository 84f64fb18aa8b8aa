"""The documented sizes that all cases share."""

BATCH, TOKENS, EMBED_DIM = 32, 250, 512
VOCABULARY, EMBEDDING, HEADS = 10_000, 16, 8
