# Short names for the commands that this project uses (https://just.systems). `just` lists them.

default:
    @just --list

# Fetch Fashion-MNIST into data/fashion-mnist.
fetch:
    data/fetch.sh

# Train a network, for example: just train --optimizer lbfgs --epochs 5
train *arguments:
    cargo run --release -- train {{arguments}}

# Everything that a change must pass, as CI runs it.
ci:
    .ci/run

# All tests.
test *arguments:
    cargo test --workspace --release {{arguments}}

# Train on emulated microcontrollers and compare every step with the host: just firmware m7 m3
firmware *machines:
    tests/firmware/run {{machines}}

# Format and lint.
lint:
    cargo fmt --all
    cargo clippy --workspace --all-targets -- -D warnings

# Build the documentation and open it.
doc:
    cargo doc --workspace --no-deps --open

# Count the instructions of a training step; `SECANT_COUNTS=write just counts` keeps them to compare with.
counts:
    cargo bench -p secant-tests --bench instructions
