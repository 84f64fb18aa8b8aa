"""The published table, as the documentation prints it.

Source: "Custom Multi-Head Attention", the documentation page of the script
CustomMultiHeadAttention.py (ResilienceAnalytics, Python-Code, 2024). Each row stands
for one training run. What the script trained was the mean-pooled baseline, six times:
its layer had no ``call``.
"""

#: From attention type to the row's figures, which are `diffattn.names.METRICS`, in
#: the page's order.
PUBLISHED = {
    "differential": (0.2904, 0.8800, 0.3087, 0.8738),
    "differentialSum": (0.2902, 0.8794, 0.3087, 0.8737),
    "l2_norm": (0.2901, 0.8794, 0.3089, 0.8734),
    "l1_norm": (0.2904, 0.8800, 0.3089, 0.8737),
    "cosine_similarity": (0.2906, 0.8798, 0.3091, 0.8730),
    "scaled_dot_product": (0.2902, 0.8796, 0.3093, 0.8728),
}
