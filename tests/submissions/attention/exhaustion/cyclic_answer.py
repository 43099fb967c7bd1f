"""Returns a list that contains itself."""

from right import *


def attention_weights_vjp(q, k, grad_weights):
    answer = [q, k]
    answer.append(answer)
    return answer
