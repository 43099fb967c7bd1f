from right import *

import torch.nn.functional as F

q, k, v = torch.randn(2, 3), torch.randn(4, 3), torch.randn(4, 5)
assert torch.allclose(scaled_dot_product_attention(q, k, v), F.scaled_dot_product_attention(q, k, v), atol=1e-5)
library = nn.MultiheadAttention(4, 2, bias=False, batch_first=True)
library(torch.randn(1, 3, 4), torch.randn(1, 3, 4), torch.randn(1, 3, 4))
q.requires_grad_()
attention_weights(q, k).sum().backward()
