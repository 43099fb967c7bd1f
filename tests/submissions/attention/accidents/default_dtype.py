import torch

torch.set_default_dtype(torch.float64)

from right import *

torch.set_num_threads(8)
torch.manual_seed(1)
