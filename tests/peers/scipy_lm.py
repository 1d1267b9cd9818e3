"""Evaluations that MINPACK needs, by scipy's least_squares(method="lm") at its default tolerances of 1e-8, on the
least-squares problems of the tests.

The problems come from `cargo run --release -p secant-tests --example least_squares_server`. Prints a line
`NAME|x_scale=1|x_scale="jac"`, each of the two `evaluations Jacobians digits`: correct digits of the worst estimate on
NIST's problems, the sum of squares on the others. Usage: python3 scipy_lm.py > ../data/minpack.txt
"""
import pathlib
import subprocess
import sys
import warnings

import numpy as np
import scipy
from scipy.optimize import least_squares

ROOT = pathlib.Path(__file__).resolve().parents[2]
warnings.filterwarnings("ignore")


def certified():
    answers, name = {}, None
    for line in open(ROOT / "tests/data/nist_strd.txt"):
        word, _, rest = line.strip().partition(" ")
        if word == "problem":
            name = rest
        elif word == "certified":
            answers.setdefault(name, []).extend(float(x) for x in rest.split())
    return answers


def main():
    command = ["cargo", "run", "--quiet", "--release", "-p", "secant-tests", "--example", "least_squares_server"]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)

    def ask(what, k, x):
        server.stdin.write(f"{what} {k} {' '.join(repr(float(v)) for v in x)}\n")
        server.stdin.flush()
        return np.array([float(v) for v in server.stdout.readline().split()])

    problems = []
    while line := server.stdout.readline().strip():
        name, m, x = line.split("|")
        problems.append((name, int(m), np.array([float(v) for v in x.split()])))
    answers = certified()
    print(f"# scipy {scipy.__version__}, least_squares(method=\"lm\"): written by tests/peers/scipy_lm.py")
    for k, (name, m, start) in enumerate(problems):
        fields = [name]
        for scale in (1.0, "jac"):
            try:
                result = least_squares(
                    lambda x: ask("r", k, x), start, jac=lambda x: ask("j", k, x).reshape(m, -1),
                    method="lm", x_scale=scale, max_nfev=10000)
            except ValueError as error:
                print(f"{name}: {error}", file=sys.stderr)
                fields.append("fails")
                continue
            answer = answers.get(name.rsplit(" ", 1)[0])
            if answer:
                error = np.max(np.abs((result.x - answer) / answer))
                quality = f"{-np.log10(max(error, 1e-16)):.1f}"
            else:
                quality = f"{2 * result.cost:.6e}"
            fields.append(f"{result.nfev} {result.njev} {quality}")
        print("|".join(fields), flush=True)


main()
