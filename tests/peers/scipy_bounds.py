"""Evaluations of scipy's L-BFGS-B, m = 10, on the problems of tests/src/problems/bounded.rs.

Counted until the value is within 1e-6 max(1, |least|) of the least one, which a run to the rounding
error found, at any point that it evaluates. With an L1 penalty on positive and negative parts of x.
Usage: python3 scipy_bounds.py
"""
import numpy as np
from scipy.optimize import minimize

MOST = 20000
INF = np.inf


class Lehmer:
    def __init__(self, seed):
        self.state = seed

    def draw(self):
        self.state = self.state * 48271 % 2147483647
        return 2 * (self.state / 2147483647) - 1

    def vector(self, n):
        return np.array([self.draw() for _ in range(n)])


def hs1(x):
    a, b = 1 - x[0], x[1] - x[0] ** 2
    return a * a + 100 * b * b, np.array([-2 * a - 400 * x[0] * b, 200 * b])


def hs3(x):
    d = x[1] - x[0]
    return x[1] + 1e-5 * d * d, np.array([-2e-5 * d, 1 + 2e-5 * d])


def hs4(x):
    a = x[0] + 1
    return a ** 3 / 3 + x[1], np.array([a * a, 1.0])


def hs5(x):
    c, d = np.cos(x[0] + x[1]), x[0] - x[1]
    value = np.sin(x[0] + x[1]) + d * d - 1.5 * x[0] + 2.5 * x[1] + 1
    return value, np.array([c + 2 * d - 1.5, c - 2 * d + 2.5])


def hs25(x):
    t = 0.01 * np.arange(1, 100)
    d = 25 + (-50 * np.log(t)) ** (2 / 3) - x[1]
    power = d ** x[2]
    e = np.exp(-power / x[0])
    r = e - t
    g = [r * e * power / x[0] ** 2, r * e * x[2] * power / (d * x[0]), -r * e * power * np.log(d) / x[0]]
    return r @ r, 2 * np.sum(g, 1)


def hs38(x):
    a, b, d, e = x[1] - x[0] ** 2, 1 - x[0], x[3] - x[2] ** 2, 1 - x[2]
    f, h = x[1] - 1, x[3] - 1
    value = 100 * a * a + b * b + 90 * d * d + e * e + 10.1 * (f * f + h * h) + 19.8 * f * h
    return value, np.array([-400 * a * x[0] - 2 * b, 200 * a + 20.2 * f + 19.8 * h,
                            -360 * d * x[2] - 2 * e, 180 * d + 20.2 * h + 19.8 * f])


def hs45(x):
    return 2 - np.prod(x) / 120, -np.array([np.prod(np.delete(x, j)) for j in range(5)]) / 120


def hs110(x):
    root = np.prod(x) ** 0.2
    a, b = np.log(x - 2), np.log(10 - x)
    return np.sum(a * a + b * b) - root, 2 * a / (x - 2) - 2 * b / (10 - x) - 0.2 * root / x


def squares(a, b):
    def f(x):
        r = a @ x - b
        return 0.5 * r @ r, a.T @ r
    return f


def nonnegative(seed, spread):
    m, n = 60, 30
    random = Lehmer(seed)
    a = random.vector(m * n).reshape(m, n) * spread ** -(np.arange(n) / (n - 1))
    return squares(a, random.vector(m)), np.ones(n), np.zeros(n), np.full(n, INF)


def quadratic(kappa):
    n = 50
    random = Lehmer(7)
    centre, v = 2 * random.vector(n), random.vector(n)
    e = kappa ** (np.arange(n) / (n - 1))

    def reflect(u):
        return u - 2 * (v @ u) / (v @ v) * v

    def f(x):
        u = reflect(x - centre)
        return 0.5 * e @ (u * u), reflect(e * u)
    return f, np.zeros(n), -np.ones(n), np.ones(n)


def chained(x):
    a, b = 1 - x[:-1], x[1:] - x[:-1] ** 2
    g = np.zeros_like(x)
    g[:-1] -= 2 * a + 400 * b * x[:-1]
    g[1:] += 200 * b
    return a @ a + 100 * b @ b, g


def corner(upper):
    n = 100
    return chained, np.full(n, -2.0), np.full(n, -2.0), np.full(n, upper)


BOUNDED = [
    ("HS 1", hs1, [-2, 1], [-INF, -1.5], [INF, INF]),
    ("HS 2", hs1, [-2, 1], [-INF, 1.5], [INF, INF]),
    ("HS 3", hs3, [10, 1], [-INF, 0], [INF, INF]),
    ("HS 4", hs4, [1.125, 0.125], [1, 0], [INF, INF]),
    ("HS 5", hs5, [0, 0], [-1.5, -3], [4, 3]),
    ("HS 25", hs25, [100, 12.5, 3], [0.1, 0, 0], [100, 25.6, 5]),
    ("HS 38", hs38, [-3, -1, -3, -1], [-10] * 4, [10] * 4),
    ("HS 45", hs45, [2] * 5, [0] * 5, [1, 2, 3, 4, 5]),
    ("HS 110", hs110, [9] * 10, [2.001] * 10, [9.999] * 10),
    ("Nonnegative squares", *nonnegative(3, 1.0)),
    ("Nonnegative squares, 1e3", *nonnegative(5, 1e3)),
    ("Box, kappa 1e2", *quadratic(1e2)),
    ("Box, kappa 1e4", *quadratic(1e4)),
    ("Box, kappa 1e6", *quadratic(1e6)),
    ("Rosenbrock 100, [-2, 2]", *corner(2.0)),
    ("Rosenbrock 100, [-2, 0.8]", *corner(0.8)),
    ("Rosenbrock 100, [-2, 100]", *corner(100.0)),
]


def correlate(a, correlation):
    for j in range(1, a.shape[1]):
        a[:, j] = correlation * a[:, j - 1] + (1 - correlation) * a[:, j]
    return a


def lasso(seed, correlation):
    m, n = 100, 200
    random = Lehmer(seed)
    a = correlate(random.vector(m * n).reshape(m, n), correlation)
    truth = np.array([3 * random.draw() if j % 20 == 0 else 0.0 for j in range(n)])
    noise = np.array([0.1 * random.draw() for _ in range(m)])
    return squares(a, a @ truth + noise), n


def logistic(seed, correlation):
    m, n = 200, 50
    random = Lehmer(seed)
    a = correlate(random.vector(m * n).reshape(m, n), correlation)
    truth = np.array([5 * random.draw() if j % 5 == 0 else 0.0 for j in range(n)])
    noise = np.array([0.3 * random.draw() for _ in range(m)])
    a *= np.where(a @ truth + noise > 0, 1.0, -1.0)[:, None]

    def f(x):
        margin = a @ x
        e = np.exp(-np.abs(margin))
        share = np.where(margin > 0, e / (1 + e), 1 / (1 + e))
        return np.mean(np.log1p(e) + np.maximum(-margin, 0)), -a.T @ share / m
    return f, n


PENALISED = [
    ("Lasso", *lasso(11, 0.0), 1.0),
    ("Lasso, small weight", *lasso(11, 0.0), 0.1),
    ("Lasso, correlated", *lasso(13, 0.8), 0.1),
    ("Logistic", *logistic(17, 0.0), 0.003),
    ("Logistic, correlated", *logistic(19, 0.9), 0.001),
    ("Logistic, large weight", *logistic(17, 0.0), 0.03),
]

OPTIONS = dict(maxcor=10, maxfun=MOST, maxiter=MOST, ftol=0, gtol=0)


def report(name, function, start, bounds):
    values = []

    def counted(x):
        value, gradient = function(x)
        values.append(value)
        return value, gradient

    minimize(counted, start, jac=True, method="L-BFGS-B", bounds=bounds, options=OPTIONS)
    least = min(values)
    near = [value <= least + 1e-6 * max(1, abs(least)) for value in values]
    print(f"{name:27} {len(start):4} {near.index(True) + 1:>6}  {float(least)!r}")


def split(function, n, weight):
    def f(z):
        value, gradient = function(z[:n] - z[n:])
        return value + weight * np.sum(z), np.concatenate([gradient, -gradient]) + weight
    return f, np.zeros(2 * n), [(0, INF)] * (2 * n)


print(f"{'problem':27} {'n':>4} {'scipy':>6}  least")
for name, function, start, lower, upper in BOUNDED:
    start = np.clip(np.array(start, float), lower, upper)
    report(name, function, start, list(zip(lower, upper)))
for name, function, n, weight in PENALISED:
    report(name, *split(function, n, weight))
