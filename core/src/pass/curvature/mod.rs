//! Products of a batch's curvature matrices with a vector, without the matrices: forward over
//! reverse.
//!
//! A tangent, here `t` in front of a name, is the derivative along a vector `v` of the parameters.
//! The gradient's tangent is `H v`. It is found by differentiating both passes line by line (B.
//! Pearlmutter, *Fast Exact Multiplication by the Hessian*, Neural Computation 6, 1994): for a
//! layer `y = W x + b`, with `tW` and `tb` its part of `v`,
//!
//! ```text
//! forward   ty  = W tx + tW x + tb
//! loss      tdy = (second derivative of the loss by the outputs) ty
//! backward  tdx = W' tdy + tW' dy      tdW = tdy x' + dy tx'      tdb = tdy
//! ```
//! All of these are the passes of the layer itself, with another input, other weights or another
//! gradient. One sample goes through them one after the other. Over lanes a layer's `tangent.rs`
//! calls its kernels so that a map is packed or transformed once for all of its products, and that
//! a tangent is added up where the other part of it lies. Relu and max-pool choose as the forward
//! pass has chosen, dropout as well. What is not linear (activations, normalisation) has tangents of
//! its own in its file.
//!
//! The generalised Gauss-Newton matrix is `G = sum over samples of J' L J`, with the Jacobian `J`
//! of the outputs by the parameters and the second derivative `L` of the loss by the outputs (N.
//! Schraudolph, *Fast Curvature Matrix-Vector Products for Second-Order Gradient Descent*, Neural
//! Computation 14, 2002): the same forward pass, and the ordinary backward pass from `tdy` on. No
//! loss here has an `L` with a negative eigenvalue, so neither has `G`.
//!
//! `H` is the matrix of second derivatives where there are any. Between the kinks of relu, max-pool
//! and Huber's loss that is almost everywhere; at a kink it is that of the side that the passes
//! take. What the slope jumps by at kinks is no part of it, but it is of a difference of two
//! gradients: with many samples there are kinks in every step, however short.

mod lanes;
mod single;

use crate::batch::{Batch, Metrics, PassError};
use crate::network::Network;
use lanes::CurvaturePass;

/// Which matrix a vector is multiplied with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Curvature {
    /// The second derivatives of the loss by the parameters: symmetric, of any sign.
    Hessian,
    /// The generalised Gauss-Newton matrix `J' L J`, with the Jacobian `J` of the outputs and the
    /// second derivative `L` of the loss by the outputs: symmetric, without a negative eigenvalue.
    GaussNewton,
}

impl<const N: usize> Network<'_, N> {
    /// **Adds** the product of a curvature matrix with `vector` to `product`: of the matrix of
    /// `weight` times the sum of the samples' losses, whose gradient
    /// [`accumulate_gradient`](Network::accumulate_gradient) adds. Both have one float a
    /// parameter; those of frozen layers are not among them. Takes a workspace of
    /// [`curvature_workspace_len`](Network::curvature_workspace_len).
    ///
    /// The product is exact but for rounding: nothing is a difference. With a
    /// [dropout key](Batch::dropout) it is that of the network without the values dropped.
    ///
    /// The samples go through in blocks of `LANES` (1, 2, 4, 8 or 16), in order; the bits depend on
    /// the same as those of a gradient. Cost: of the Hessian 8/3 gradients, of the Gauss-Newton
    /// matrix 5/3, and less for the first layers, whose input has no tangent.
    ///
    /// ```
    /// use secant::network::{Network, Shape, linear};
    /// use secant::{Batch, Curvature, Loss, Normalisation, Samples, Targets, Values};
    ///
    /// // (w x + b - 1)^2 at x = 3: the Hessian is 2 [9 3; 3 1].
    /// const NET: Network<1> =
    ///     Network::new(Shape::vector(1), [linear(1)]).with_loss(Loss::MeanSquaredError);
    /// let samples = Samples {
    ///     values: Values::F32(&[3.0]),
    ///     targets: Targets::F32(&[1.0]),
    ///     normalisation: Normalisation::NONE,
    /// };
    /// let batch = Batch::new(samples, &[0]);
    /// let mut workspace = [0.0; NET.curvature_workspace_len(1)];
    /// let mut product = [0.0; 2];
    /// NET.curvature_product::<1>(
    ///     Curvature::Hessian,
    ///     &[0.5, 0.0],
    ///     &[1.0, -1.0],
    ///     batch,
    ///     &mut product,
    ///     &mut workspace,
    /// )?;
    /// assert_eq!(product, [12.0, 4.0]);
    /// # Ok::<(), secant::PassError>(())
    /// ```
    ///
    /// # Errors
    /// [`PassError`] when lengths, an index or a target do not fit; nothing has been written then.
    pub fn curvature_product<const LANES: usize>(
        &self,
        curvature: Curvature,
        parameters: &[f32],
        vector: &[f32],
        batch: Batch<'_>,
        product: &mut [f32],
        workspace: &mut [f32],
    ) -> Result<Metrics, PassError> {
        let needed = (self.curvature_workspace_len(LANES), workspace.len());
        self.check::<LANES>(parameters, &batch, needed)?;
        let expected = self.parameter_count();
        for found in [vector.len(), product.len()] {
            if found != expected {
                return Err(PassError::Product { expected, found });
            }
        }
        if LANES == 1 {
            let (expected, found) = needed;
            return self
                .product_of_singles(curvature, parameters, vector, &batch, product, workspace)
                .ok_or(PassError::Workspace { expected, found });
        }
        let (plan, loss) = (self.plan(), self.loss());
        let mut pass = CurvaturePass::<LANES>::new(plan, loss, parameters, vector, workspace);
        let mut metrics = Metrics::NONE;
        for indices in batch.indices.chunks(LANES) {
            let block = Batch { indices, ..batch };
            metrics += pass.block(curvature, &block, product);
        }
        Ok(metrics)
    }
}
