//! A dense matrix in memory of the caller's, column after column.

use crate::real::Real;
use crate::vector;

/// A matrix of `rows` times `columns` numbers. Nothing here can panic: what lies outside reads as
/// zero and is not written.
///
/// A [`Residuals`](super::Residuals) writes its Jacobian into one, by rows, columns or elements.
///
/// ```
/// use secant::least_squares::Matrix;
///
/// let mut memory = [0.0; 6];
/// let mut jacobian = Matrix::new(3, &mut memory);
/// jacobian.set_row(0, &[1.0, 2.0]);
/// jacobian.set(2, 1, 5.0);
/// assert_eq!(jacobian.column(1), [2.0, 0.0, 5.0]);
/// ```
#[derive(Debug)]
pub struct Matrix<'a, R> {
    elements: &'a mut [R],
    rows: usize,
}

impl<'a, R: Real> Matrix<'a, R> {
    /// A matrix of that many rows, and as many columns as `elements` holds.
    pub fn new(rows: usize, elements: &'a mut [R]) -> Self {
        Self { elements, rows }
    }

    /// Number of rows: of residuals, where this is a Jacobian.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns: of variables, where this is a Jacobian.
    pub fn columns(&self) -> usize {
        self.elements.len().checked_div(self.rows).unwrap_or(0)
    }

    fn index(&self, row: usize, column: usize) -> Option<usize> {
        if row < self.rows {
            column.checked_mul(self.rows)?.checked_add(row)
        } else {
            None
        }
    }

    /// The element of that row and column.
    pub fn get(&self, row: usize, column: usize) -> R {
        let element = self.index(row, column).and_then(|i| self.elements.get(i));
        element.copied().unwrap_or(R::ZERO)
    }

    /// Sets the element of that row and column: the derivative of that residual with respect to
    /// that variable.
    pub fn set(&mut self, row: usize, column: usize, value: R) {
        let index = self.index(row, column);
        if let Some(element) = index.and_then(|i| self.elements.get_mut(i)) {
            *element = value;
        }
    }

    /// Sets a row: the gradient of that residual.
    pub fn set_row(&mut self, row: usize, values: &[R]) {
        for (column, &value) in values.iter().enumerate() {
            self.set(row, column, value);
        }
    }

    /// A column: the derivatives of all residuals with respect to that variable.
    pub fn column(&self, column: usize) -> &[R] {
        let start = column.saturating_mul(self.rows);
        let end = start.saturating_add(self.rows);
        self.elements.get(start..end).unwrap_or_default()
    }

    /// A column, to be written.
    pub fn column_mut(&mut self, column: usize) -> &mut [R] {
        let start = column.saturating_mul(self.rows);
        let end = start.saturating_add(self.rows);
        self.elements.get_mut(start..end).unwrap_or_default()
    }

    /// Sets every element.
    pub(super) fn fill(&mut self, value: R) {
        self.elements.fill(value);
    }

    /// The columns `first` and `second > first`.
    pub(super) fn two_columns(&mut self, first: usize, second: usize) -> (&[R], &mut [R]) {
        let rows = self.rows;
        let middle = second.saturating_mul(rows);
        let Some((before, after)) = self.elements.split_at_mut_checked(middle) else {
            return Default::default();
        };
        let start = first.saturating_mul(rows);
        let first = before.get(start..start.saturating_add(rows));
        let second = after.get_mut(..rows);
        (first.unwrap_or_default(), second.unwrap_or_default())
    }

    /// Exchanges two columns.
    pub(super) fn swap_columns(&mut self, a: usize, b: usize) {
        if a == b {
            return;
        }
        let rows = self.rows;
        let (first, second) = if a < b { (a, b) } else { (b, a) };
        let Some((before, after)) = self
            .elements
            .split_at_mut_checked(second.saturating_mul(rows))
        else {
            return;
        };
        let start = first.saturating_mul(rows);
        let first = before.get_mut(start..start.saturating_add(rows));
        for (a, b) in first.into_iter().flatten().zip(after) {
            core::mem::swap(a, b);
        }
    }

    /// Solves `U x = b` in place, U being the upper triangle of the first `n` columns. Elements of
    /// x that U leaves open, by a zero on its diagonal, become zero.
    pub(super) fn solve_upper(&self, n: usize, x: &mut [R]) {
        for k in (0..n).rev() {
            let diagonal = self.get(k, k);
            let Some((above, last)) = x.split_at_mut_checked(k) else {
                continue;
            };
            let Some(last) = last.first_mut() else {
                continue;
            };
            *last = if diagonal == R::ZERO {
                R::ZERO
            } else {
                *last / diagonal
            };
            vector::axpy(-*last, self.column(k).get(..k).unwrap_or_default(), above);
        }
    }

    /// Solves `U' x = b` in place, U being the upper triangle of the first `n` columns, without
    /// zeros on its diagonal.
    pub(super) fn solve_upper_transposed(&self, n: usize, x: &mut [R]) {
        for k in 0..n {
            let Some((above, last)) = x.split_at_mut_checked(k) else {
                continue;
            };
            if let Some(last) = last.first_mut() {
                let column = self.column(k).get(..k).unwrap_or_default();
                *last = (*last - vector::dot(column, above)) / self.get(k, k);
            }
        }
    }

    /// `out = U x`, U being the upper triangle of the first `x.len()` columns.
    pub(super) fn multiply_upper(&self, x: &[R], out: &mut [R]) {
        out.fill(R::ZERO);
        for (k, &x) in x.iter().enumerate() {
            let n = k + 1;
            let column = self.column(k).get(..n).unwrap_or_default();
            vector::axpy(x, column, out.get_mut(..n).unwrap_or_default());
        }
    }
}
