"""Evaluations of scipy's L-BFGS-B on the problems of tests/src/problems/unseen.rs, by number of pairs.

Counted until |g| <= 1e-5 max(1, |x|) at any point that it evaluates; 0 where it ends before.
Usage: python3 scipy_unseen.py
"""
import subprocess
import sys
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

MOST = 30000
PAIRS = (5, 6, 8, 10)

server = subprocess.Popen(
    ["cargo", "run", "--release", "--quiet", "-p", "secant-tests", "--example", "problem_server"],
    cwd=Path(__file__).resolve().parents[2], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
problems = []
while line := server.stdout.readline().rstrip("\n"):
    name, start = line.split("|")
    problems.append((name, np.array([float(x) for x in start.split()])))
if not problems:
    sys.exit("problem_server did not start: see cargo's message above")


class Reached(Exception):
    pass


def run(k, start, pairs):
    count = 0

    def counted(x):
        nonlocal count
        count += 1
        print(k, *map(repr, map(float, x)), file=server.stdin, flush=True)
        value, *gradient = map(float, server.stdout.readline().split())
        if np.linalg.norm(gradient) <= 1e-5 * max(1, np.linalg.norm(x)):
            raise Reached
        return value, np.array(gradient)

    options = dict(maxcor=pairs, maxfun=MOST, maxiter=MOST, ftol=0, gtol=0)
    try:
        minimize(counted, start, jac=True, method="L-BFGS-B", options=options)
    except Reached:
        return count
    return 0


print(f"{'problem':27} {'n':>4}", *(f"{pairs:>5}" for pairs in PAIRS))
for k, (name, start) in enumerate(problems):
    print(f"{name:27} {len(start):4}", *(f"{run(k, start, pairs):>5}" for pairs in PAIRS))
