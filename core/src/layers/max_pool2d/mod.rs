//! Max-pool and the relu behind it: one pass, since both orders give the same values and the same
//! gradient, relu being monotone, and this one activates fewer values.
//!
//! ```text
//! forward          y[c][r][q]  = max over u, v of x[c][r s + u][q t + v], then 0 where that is < 0
//! input gradient   dx[c][i][j] = sum over the windows that (i, j) has won of dy, where y > 0
//! ```
//! with strides `s` and `t`. Of equal pixels the first in row-major order wins; a NaN counts as
//! larger than any number. A stage without a pool has windows of one pixel.

pub(crate) mod lanes;
pub(crate) mod single;

use crate::shape::{LayerError, Shape, Window};

/// Most pixels of a window: the number of its winner must fit into a byte.
const MOST_PIXELS: usize = 256;

/// A max-pool; see [`max_pool2d`](crate::network::max_pool2d).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct MaxPool2d {
    /// Rows and columns of a window.
    pub size: [usize; 2],
    /// Step between windows, down and to the right.
    pub stride: [usize; 2],
}

impl MaxPool2d {
    /// The windows.
    pub(crate) const fn window(&self) -> Window {
        Window {
            size: self.size,
            stride: self.stride,
        }
    }

    pub(crate) const fn output(&self, input: Shape) -> Result<Shape, LayerError> {
        if self.size[0] > MOST_PIXELS
            || self.size[1] > MOST_PIXELS
            || self.size[0] * self.size[1] > MOST_PIXELS
        {
            return Err(LayerError::PoolTooLarge(self.size));
        }
        match self.window().positions([input.rows, input.columns], [0; 2]) {
            Ok([rows, columns]) => Ok(Shape::new(input.channels, rows, columns)),
            Err(error) => Err(error),
        }
    }
}
