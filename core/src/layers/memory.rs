//! What the kernels of a stage are given: parameters, maps and scratch.

use super::draw::Draw;
use crate::map::Map;

/// The memory of a stage's forward pass.
pub(crate) struct Forward<'a> {
    /// Weights.
    pub w: &'a [f32],
    /// Biases.
    pub bias: &'a [f32],
    /// What the stage reads.
    pub x: &'a [f32],
    /// What it writes; zero where the output map holds no value.
    pub y: &'a mut [f32],
    /// The winners of the pool's windows; zero before.
    pub codes: &'a mut [f32],
    /// Whether `codes` has room for all rows. With one lane it has room for one row where no
    /// backward pass follows.
    pub keep_codes: bool,
    pub scratch: &'a mut [f32],
    /// Dropout's choice.
    pub draw: Draw<'a>,
}

/// The memory of a stage's backward pass over a block of lanes. Gradients `dy` and `dx` hold the
/// live pixels alone.
pub(crate) struct Backward<'a> {
    pub w: &'a [f32],
    /// Gradients of weights and biases, which grow with `passes.weight_gradient`.
    pub dw: &'a mut [f32],
    pub db: &'a mut [f32],
    /// What the stage has read, and what it has written.
    pub x: &'a [f32],
    pub y: &'a [f32],
    pub codes: &'a [f32],
    /// Gradient of the output; may be overwritten.
    pub dy: &'a mut [f32],
    /// Gradient of the input, overwritten with `passes.input_gradient`.
    pub dx: &'a mut [f32],
    pub passes: Passes,
    pub scratch: &'a mut [f32],
    pub draw: Draw<'a>,
}

/// What the backward pass of a stage is to compute.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Passes {
    pub weight_gradient: bool,
    /// Whether the gradient of the weights is overwritten rather than added to.
    pub fresh: bool,
    pub input_gradient: bool,
}

/// The memory of a stage's backward pass of one sample. Gradients are laid out as the maps are.
pub(crate) struct SingleBackward<'a> {
    pub w: &'a [f32],
    /// Gradients of weights and biases, which grow; both empty where nobody wants them.
    pub dw: &'a mut [f32],
    pub db: &'a mut [f32],
    /// What the stage has read; afterwards, if `input_gradient`, the gradient of that.
    pub x: &'a mut [f32],
    pub codes: &'a mut [f32],
    /// Gradient of the output; may be overwritten.
    pub dy: &'a mut [f32],
    pub input_gradient: bool,
    pub scratch: &'a mut [f32],
    pub draw: Draw<'a>,
}

/// The memory of the tangent of a layer's forward pass. A tangent, here and below `t` in front of a
/// name, is the derivative along a vector of the parameters: of weights and biases it is `tw` and
/// `tb`, a part of that vector.
pub(crate) struct TangentForward<'a> {
    pub w: &'a [f32],
    pub tw: &'a [f32],
    pub tb: &'a [f32],
    /// What the layer has read, and the tangent of that.
    pub x: &'a [f32],
    pub tx: &'a [f32],
    /// The tangent of what it writes; zero where the output map holds no value.
    pub ty: &'a mut [f32],
}

/// The memory of the tangent of a layer's backward pass. `dy` and `tdy` are laid out as `from`
/// says, `dx` and `tdx` as `to`.
pub(crate) struct TangentBackward<'a> {
    pub from: Map,
    pub to: Map,
    pub w: &'a [f32],
    pub tw: &'a [f32],
    /// Tangents of the gradients of weights and biases, which grow.
    pub tdw: &'a mut [f32],
    pub tdb: &'a mut [f32],
    pub x: &'a [f32],
    pub tx: &'a [f32],
    pub dy: &'a [f32],
    pub tdy: &'a [f32],
    /// Gradient of the input and its tangent, overwritten, if anybody reads them.
    pub inputs: Option<TangentInputs<'a>>,
}

/// The memory of a stage's forward pass over a block of lanes together with its tangent: of an
/// operation that is linear and has weights. Relu and pool choose as they do for the values.
pub(crate) struct ForwardWithTangent<'a> {
    pub values: Forward<'a>,
    pub tw: &'a [f32],
    pub tb: &'a [f32],
    /// The tangent of the input. That of the first stage that is kept has none.
    pub tx: Option<&'a [f32]>,
    pub ty: &'a mut [f32],
}

/// The memory of such a stage's backward pass together with its tangent. Gradients hold the live
/// pixels alone.
pub(crate) struct BackwardWithTangent<'a> {
    pub w: &'a [f32],
    pub tw: &'a [f32],
    /// Tangents of the gradients of weights and biases, which grow.
    pub tdw: &'a mut [f32],
    pub tdb: &'a mut [f32],
    pub x: &'a [f32],
    pub tx: &'a [f32],
    pub y: &'a [f32],
    pub codes: &'a [f32],
    /// Gradient of the output and its tangent; may be overwritten.
    pub dy: &'a mut [f32],
    pub tdy: &'a mut [f32],
    /// Gradient of the input and its tangent, overwritten.
    pub dx: &'a mut [f32],
    pub tdx: &'a mut [f32],
    pub scratch: &'a mut [f32],
}

/// The gradient of a layer's input and the tangent of that.
pub(crate) struct TangentInputs<'a> {
    pub dx: &'a mut [f32],
    pub tdx: &'a mut [f32],
}
