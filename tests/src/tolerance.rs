//! The one table of tolerances. A test takes its bound from here and says what it is relative to;
//! none brings its own.
//!
//! Where the contract promises bits (instruction sets, threads, targets, resumed runs), there is no
//! tolerance: those tests compare bits.

/// Half a unit in the last place of an `f32` near 1: the relative error of one rounding.
pub const ROUNDING: f64 = 1.0 / 16_777_216.0;

/// Output of a network against the `f64` oracle, relative to
/// [`Oracle::magnitude`](crate::oracle::Oracle::magnitude): so many roundings on top of one for
/// each layer's longest sum.
///
/// Reason: a fused sum of n terms has a relative error of at most n roundings (Higham, *Accuracy
/// and Stability of Numerical Algorithms*, 3.1), and a layer passes the error of the one before on.
/// This is a proof and not an experience, so a failure is a bug. The extra roundings are for the
/// input's normalisation, dropout's factor and its product.
pub const FORWARD_EXTRA_ROUNDINGS: f64 = 4.0;

/// By how much more an output may err where convolutions are computed by Winograd's F(2 x 2, 3 x 3),
/// relative to the sample's largest magnitude.
///
/// Reason: along an axis, with inputs and weights of size 1, the terms of `A' (G g o B' d)` add up to
/// 8 where those of the convolution add up to 3; along both axes that is (8/3)^2.
pub const WINOGRAD: f64 = 64.0 / 9.0;

/// Gradient of the mean loss of a few samples against central differences of the oracle, relative
/// to the largest derivative of any logit by the same layer's weights or biases, and to 1 plus the
/// largest output if the loss is the mean squared error; [`DIFFERENCES`] comes on top.
///
/// Reason: the gradient is a sum over the logits of (softmax - target), which has an absolute error
/// of a rounding or two of numbers near 1, or of (output - target), which has one of numbers of
/// that size, times the logit's derivative, a chain of sums with a few dozen roundings that add up
/// like a random walk. Wrong terms, signs or factors show at 1e-3 and above.
pub const GRADIENT: f64 = 1e-6;

/// Absolute error of the finite differences themselves.
pub const DIFFERENCES: f64 = 1e-9;

/// Product of a curvature matrix with a vector against the oracle's: the length of their difference,
/// relative to that of the product, plus [`PRODUCT_ABSOLUTE`].
///
/// Reason: as for [`GRADIENT`], with twice as many sums in a chain, and a product that may be small
/// beside its terms. Over lanes a tangent `tW x + W tx` is one chain of twice as many terms, which
/// begins with the larger part: up to 1.2e-6 was seen. Wrong terms, signs or factors show at 1e-3
/// and above.
pub const PRODUCT: f64 = 1.5e-6;

/// The same where nearly all of the product's terms cancel, relative to the vector's length.
pub const PRODUCT_ABSOLUTE: f64 = 1e-6;

/// `u' C v` against `v' C u` for a curvature matrix `C`, relative to the length of `u` times that of
/// `C v`.
pub const SYMMETRY: f64 = 1e-6;

/// Loss of a sample against the oracle, relative to 1 + loss.
///
/// Reason: the logits' own error, of some 1e-6 for the networks tested, enters as it is; `expf` and
/// `logf` are good to 1 unit in the last place.
pub const LOSS: f64 = 4e-6;

/// Weights after n steps of Adam against the definition: n roundings, each relative to this size of
/// the weights plus the learning rate times the moments' memory, `1 / (1 - b1) + 1 / (1 - b2)`
/// steps.
///
/// Reason: each step rounds the weight once; the update is a learning rate times a quotient near 1,
/// whose moments carry the roundings of the steps that they remember. Weights in the test stay
/// under 2, their roundings mostly cancel.
pub const ADAM_WEIGHT: f64 = 2.0;

/// `math::tanh` against `f64`, in units in the last place of the result.
///
/// Reason: on the left the last of the sums rounds by half a unit and the term before it is small;
/// on the right three roundings of about half a unit each meet near 5/8. Measured over all floats:
/// 1.46.
pub const TANH_UNITS: f64 = 1.5;

/// `math::sigmoid` against `f64`, in units in the last place of the result.
///
/// Reason: that of the exponential counts up to twice where the quotient has the lower exponent.
/// Measured over all floats: 1.497.
pub const SIGMOID_UNITS: f64 = 1.5;

/// `math::exponential::exp` against `f64`, in units in the last place of the result.
///
/// Reason: half a unit of the last sum, and two quarters of the terms before. Measured over all
/// floats: 1.024.
pub const EXP_UNITS: f64 = 1.05;

/// Extreme eigenvalues by Lanczos against those that a matrix was made with, relative to the largest.
///
/// Reason: products here are exact to a few roundings of an `f64`; 60 steps reach the ends of the
/// spectra tested to far more digits. What is asked of it, by the issue, is 1e-5.
pub const LANCZOS: f64 = 1e-10;

/// Moments of a density by stochastic Lanczos quadrature against the exact ones, relative.
///
/// Reason: the standard error of the probes; the seeds are fixed, so the outcome is, too.
pub const DENSITY_MOMENTS: f64 = 0.01;

/// Extreme eigenvalues of a network's Hessian, products in single precision, against PyTorch's in
/// double precision, relative to the largest.
///
/// Reason: a product errs by some roundings of the largest eigenvalue, and an eigenvalue by less
/// than its product.
pub const GOLDEN_EIGENVALUES: f64 = 1e-5;
