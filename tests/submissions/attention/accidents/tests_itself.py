from right import *

import otter

grader = otter.Notebook()
grader.check("q1")
if __name__ == "__main__":
    q = torch.randn(2, 3)
    assert attention_weights(q, q).shape == (2, 2)
    plt.plot([1, 2])
    plt.savefig("mine.png")
    plt.show()
