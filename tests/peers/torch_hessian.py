"""The Hessian's extreme eigenvalues of a network of 519 parameters, by PyTorch's automatic differentiation in double
precision: the golden values of tests/tests/hessian.rs.

The network is `conv4k3 tanh linear7 tanh linear3` on twenty images of 6 x 6 bytes; weights, images and labels follow
from formulas. The Gauss-Newton matrix is J' S J, with J the outputs' derivatives and S the loss's second derivatives by
the outputs. Usage: python3 torch_hessian.py (needs `torch`).
"""
import math

import torch
import torch.nn.functional as F

SIZES = [(4, 1, 3, 3), (4,), (7, 64), (7,), (3, 7), (3,)]
COUNT = sum(math.prod(size) for size in SIZES)
weights = torch.tensor([0.4 * math.sin(1.7 * i + 0.3) for i in range(COUNT)], dtype=torch.float32).double()
pixels = torch.tensor([(i * i * 31 + i * 17) % 256 for i in range(20 * 36)], dtype=torch.float64)
images, labels = (pixels / 255).reshape(20, 1, 6, 6), torch.tensor([i * i % 3 for i in range(20)])


def outputs(weights):
    parts, at = [], 0
    for size in SIZES:
        parts.append(weights[at : at + math.prod(size)].reshape(size))
        at += math.prod(size)
    hidden = torch.tanh(F.conv2d(images, parts[0], parts[1])).flatten(1)
    return F.linear(torch.tanh(F.linear(hidden, parts[2], parts[3])), parts[4], parts[5])


hessian = torch.autograd.functional.hessian(lambda w: F.cross_entropy(outputs(w), labels), weights)
jacobian = torch.autograd.functional.jacobian(outputs, weights)
p = torch.softmax(outputs(weights), 1)
inner = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
gauss_newton = torch.einsum("sin,sij,sjm->nm", jacobian, inner, jacobian) / 20
print("loss", F.cross_entropy(outputs(weights), labels).item())
for name, matrix in [("hessian", hessian), ("gauss-newton", gauss_newton)]:
    values = torch.linalg.eigvalsh(matrix)
    print(name, "smallest", values[:2].tolist(), "largest", values[-2:].tolist())
    print(name, "trace", values.sum().item(), "moments", [(values**k).mean().item() for k in (1, 2, 3, 4)])
