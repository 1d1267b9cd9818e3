//! Drives the `secant` library on a desktop.
