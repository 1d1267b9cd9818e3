"""Evaluations that scipy's L-BFGS-B needs, m = 10, on problems of the conformance tests.

Converged means |g| <= 1e-5 max(1, |x|) at any point that it evaluates. Usage: python3 scipy_lbfgsb.py
"""
import numpy as np
from scipy.optimize import minimize

MOST = 20000


class Done(Exception):
    pass


def tile(pattern, n):
    return np.tile(np.array(pattern, float), n // len(pattern))


def rosenbrock(x):
    a, b = 1 - x[0], x[1] - x[0] ** 2
    return a * a + 100 * b * b, np.array([-2 * a - 400 * b * x[0], 200 * b])


def cube(x):
    a, b = x[0] - 1, x[1] - x[0] ** 3
    return a * a + 100 * b * b, np.array([2 * a - 600 * b * x[0] ** 2, 200 * b])


def sineval(x):
    b = x[1] - np.sin(x[0])
    return 1e4 * b * b + x[0] ** 2 / 4, np.array([-2e4 * b * np.cos(x[0]) + x[0] / 2, 2e4 * b])


def squares(residuals):
    def f(x):
        r, J = residuals(x)
        return float(r @ r), 2 * J.T @ r
    return f


def beale(x):
    y = np.array([1.5, 2.25, 2.625])
    k = np.arange(1, 4)
    p = x[1] ** k
    return y - x[0] * (1 - p), np.stack([-(1 - p), x[0] * k * x[1] ** (k - 1)], 1)


def brown(x):
    r = np.array([x[0] - 1e6, x[1] - 2e-6, x[0] * x[1] - 2])
    return r, np.array([[1, 0], [0, 1], [x[1], x[0]]])


def box(x):
    t = 0.1 * np.arange(1, 11)
    a, b, c = np.exp(-t * x[0]), np.exp(-t * x[1]), np.exp(-t) - np.exp(-10 * t)
    return a - b - x[2] * c, np.stack([-t * a, t * b, -c], 1)


def powell_singular(x):
    a, b = x[0::4] + 10 * x[1::4], x[2::4] - x[3::4]
    d, e = x[1::4] - 2 * x[2::4], x[0::4] - x[3::4]
    g = np.empty_like(x)
    g[0::4] = 2 * a + 40 * e ** 3
    g[1::4] = 20 * a + 4 * d ** 3
    g[2::4] = 10 * b - 8 * d ** 3
    g[3::4] = -10 * b - 40 * e ** 3
    return np.sum(a * a + 5 * b * b + d ** 4 + 10 * e ** 4), g


def wood(x):
    a, b = x[1::4] - x[0::4] ** 2, 1 - x[0::4]
    d, e = x[3::4] - x[2::4] ** 2, 1 - x[2::4]
    f, h = x[1::4] + x[3::4] - 2, x[1::4] - x[3::4]
    g = np.empty_like(x)
    g[0::4] = -400 * a * x[0::4] - 2 * b
    g[1::4] = 200 * a + 20 * f + 0.2 * h
    g[2::4] = -360 * d * x[2::4] - 2 * e
    g[3::4] = 180 * d + 20 * f - 0.2 * h
    return np.sum(100 * a * a + b * b + 90 * d * d + e * e + 10 * f * f + 0.1 * h * h), g


def variably_dimensioned(x):
    i = np.arange(1, len(x) + 1)
    d = x - 1
    s = i @ d
    return d @ d + s ** 2 + s ** 4, 2 * d + i * (2 * s + 4 * s ** 3)


def dixon3dq(x):
    d = x[1:-1] - x[2:]
    g = np.zeros_like(x)
    g[0], g[-1] = 2 * (x[0] - 1), 2 * (x[-1] - 1)
    g[1:-1] += 2 * d
    g[2:] -= 2 * d
    return (x[0] - 1) ** 2 + (x[-1] - 1) ** 2 + d @ d, g


def engval1(x):
    t = x[:-1] ** 2 + x[1:] ** 2
    g = np.zeros_like(x)
    g[:-1] += 4 * t * x[:-1] - 4
    g[1:] += 4 * t * x[1:]
    return np.sum(t * t - 4 * x[:-1] + 3), g


def tridia(x):
    i = np.arange(2, len(x) + 1)
    d = 2 * x[1:] - x[:-1]
    g = np.zeros_like(x)
    g[0] = 2 * (x[0] - 1)
    g[1:] += 4 * i * d
    g[:-1] -= 2 * i * d
    return (x[0] - 1) ** 2 + np.sum(i * d * d), g


def paired(x):
    a, b = 1 - x[0::2], x[1::2] - x[0::2] ** 2
    g = np.empty_like(x)
    g[0::2] = -2 * a - 400 * b * x[0::2]
    g[1::2] = 200 * b
    return np.sum(a * a + 100 * b * b), g


PROBLEMS = [
    ("Rosenbrock", rosenbrock, [-1.2, 1]),
    ("Beale", squares(beale), [1, 1]),
    ("Brown badly scaled", squares(brown), [1, 1]),
    ("Box three-dimensional", squares(box), [0, 10, 20]),
    ("Powell singular", powell_singular, tile([3, -1, 0, 1], 5000)),
    ("Wood", wood, tile([-3, -1], 4000)),
    ("Variably dimensioned", variably_dimensioned, 1 - np.arange(1, 201) / 200),
    ("CUBE", cube, [-1.2, 1]),
    ("SINEVAL", sineval, [4.712389, -1]),
    ("DIXON3DQ", dixon3dq, -np.ones(10000)),
    ("ENGVAL1", engval1, 2 * np.ones(5000)),
    ("Rosenbrock, paired", paired, tile([-1.2, 1], 1000)),
    ("TRIDIA", tridia, np.ones(1000)),
]


def main():
    print(f"{'problem':27} {'n':>6} {'scipy':>8}")
    for name, function, start in PROBLEMS:
        count = 0
        converged = None

        def counted(x):
            nonlocal count, converged
            count += 1
            value, gradient = function(x)
            if np.linalg.norm(gradient) <= 1e-5 * max(1, np.linalg.norm(x)):
                converged = count
                raise Done
            return value, gradient

        options = dict(maxcor=10, maxfun=MOST, maxiter=MOST, ftol=0, gtol=0)
        try:
            minimize(counted, np.array(start, float), jac=True, method="L-BFGS-B", options=options)
        except Done:
            pass
        print(f"{name:27} {len(start):6} {converged or 'fails':>8}")


main()
