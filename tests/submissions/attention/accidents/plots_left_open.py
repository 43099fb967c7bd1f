import matplotlib.pyplot as plt

from right import *

for number in range(3):
    plt.figure()
    plt.plot([number, 1, 2])
plt.show()
plt.ioff()
plt.show(block=True)
