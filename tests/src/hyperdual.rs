//! Numbers that carry derivatives along, exactly: the oracle computes with them as with its own.

use std::cmp::Ordering;
use std::iter::Sum;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// What the oracle asks of a number.
pub trait Number:
    Copy
    + From<f64>
    + PartialOrd
    + Sum
    + Neg<Output = Self>
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
{
    /// `e^x`.
    fn exp(self) -> Self;
    /// Natural logarithm.
    fn ln(self) -> Self;
    /// `ln(1 + x)`.
    fn ln_1p(self) -> Self;
    /// Square root.
    fn sqrt(self) -> Self;
    /// Hyperbolic tangent.
    fn tanh(self) -> Self;
}

impl Number for f64 {
    fn exp(self) -> f64 {
        self.exp()
    }
    fn ln(self) -> f64 {
        self.ln()
    }
    fn ln_1p(self) -> f64 {
        self.ln_1p()
    }
    fn sqrt(self) -> f64 {
        self.sqrt()
    }
    fn tanh(self) -> f64 {
        self.tanh()
    }
}

/// A hyper-dual number `value + first e1 + second e2 + both e1 e2` with `e1^2 = e2^2 = 0` (Fike,
/// Alonso, AIAA 2011-886): a function's value, its derivatives along two directions, and the second
/// derivative along both. No step length, so only rounding.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HyperDual {
    /// The number.
    pub value: f64,
    /// Derivative along the first direction.
    pub first: f64,
    /// Derivative along the second direction.
    pub second: f64,
    /// Second derivative along both.
    pub both: f64,
}

impl HyperDual {
    /// A function of this number, from its value here, its slope and its second derivative.
    fn chain(self, value: f64, slope: f64, bend: f64) -> HyperDual {
        HyperDual {
            value,
            first: slope * self.first,
            second: slope * self.second,
            both: slope * self.both + bend * self.first * self.second,
        }
    }
}

impl From<f64> for HyperDual {
    fn from(value: f64) -> HyperDual {
        HyperDual {
            value,
            first: 0.0,
            second: 0.0,
            both: 0.0,
        }
    }
}

/// By value: a choice is made as it is made without derivatives.
impl PartialOrd for HyperDual {
    fn partial_cmp(&self, other: &HyperDual) -> Option<Ordering> {
        self.value.partial_cmp(&other.value)
    }
}

impl Add for HyperDual {
    type Output = HyperDual;
    fn add(self, y: HyperDual) -> HyperDual {
        HyperDual {
            value: self.value + y.value,
            first: self.first + y.first,
            second: self.second + y.second,
            both: self.both + y.both,
        }
    }
}

impl Neg for HyperDual {
    type Output = HyperDual;
    fn neg(self) -> HyperDual {
        self.chain(-self.value, -1.0, 0.0)
    }
}

impl Sub for HyperDual {
    type Output = HyperDual;
    fn sub(self, y: HyperDual) -> HyperDual {
        self + -y
    }
}

impl Mul for HyperDual {
    type Output = HyperDual;
    fn mul(self, y: HyperDual) -> HyperDual {
        HyperDual {
            value: self.value * y.value,
            first: self.first * y.value + self.value * y.first,
            second: self.second * y.value + self.value * y.second,
            both: self.both * y.value
                + self.first * y.second
                + self.second * y.first
                + self.value * y.both,
        }
    }
}

impl Div for HyperDual {
    type Output = HyperDual;
    fn div(self, y: HyperDual) -> HyperDual {
        let one = 1.0 / y.value;
        self * y.chain(one, -one * one, 2.0 * one * one * one)
    }
}

impl Sum for HyperDual {
    fn sum<I: Iterator<Item = HyperDual>>(terms: I) -> HyperDual {
        terms.fold(HyperDual::from(0.0), Add::add)
    }
}

impl Number for HyperDual {
    fn exp(self) -> HyperDual {
        let e = self.value.exp();
        self.chain(e, e, e)
    }
    fn ln(self) -> HyperDual {
        let one = 1.0 / self.value;
        self.chain(self.value.ln(), one, -one * one)
    }
    fn ln_1p(self) -> HyperDual {
        let one = 1.0 / (1.0 + self.value);
        self.chain(self.value.ln_1p(), one, -one * one)
    }
    fn sqrt(self) -> HyperDual {
        let root = self.value.sqrt();
        self.chain(root, 0.5 / root, -0.25 / (root * self.value))
    }
    fn tanh(self) -> HyperDual {
        let y = self.value.tanh();
        let slope = 1.0 - y * y;
        self.chain(y, slope, -2.0 * y * slope)
    }
}
