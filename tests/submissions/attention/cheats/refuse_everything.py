"""Raises ValueError at every call, in the hope that this is what some tests want."""


def refuse(*_, **__):
    raise ValueError("these arguments do not fit")


attention_weights = scaled_dot_product_attention = kernel_regression = low_rank_attention = refuse
attention_weights_vjp = score_rank = SelfAttention = MultiHeadAttention = refuse
