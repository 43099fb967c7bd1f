import math

import torch

def attention_weights(q, k, mask=None):
    return (q @ k.mT / math.sqrt(q.shape[-1]).softmax(-1)

def score_rank(q, k):
    return 1
