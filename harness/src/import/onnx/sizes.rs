//! Sizes of values in a graph: what `Reshape`, `Flatten` and their like make of samples, and the
//! nodes that only compute such sizes.
//!
//! The first size of a value is the number of samples, which need not be known; nothing here may mix
//! samples.

use super::{Chain, attribute, ints};
use crate::formats::onnx_messages::Node;

/// A size that was computed; `None` is the number of samples.
pub(super) type Number = Option<i64>;

impl<'a> Chain<'a> {
    /// Whether a node computes sizes alone: then they are noted.
    ///
    /// # Errors
    /// What it asks for cannot be known.
    pub(super) fn computes_sizes(&mut self, node: &'a Node) -> Result<bool, String> {
        let Some(first) = node.inputs.first() else {
            return Ok(false);
        };
        let result = match node.operator.as_str() {
            "Shape" => {
                let dims = self.seen.get(first.as_str());
                let dims = dims.ok_or("asks for sizes that are not known here")?;
                let all = std::iter::once(None).chain(dims.iter().map(|n| Some(*n as i64)));
                let all: Vec<Number> = all.collect();
                let bound = |name, usual| attribute(node, name).map_or(usual, |a| a.int);
                let end = bound("end", all.len() as i64);
                slice(&all, bound("start", 0), end)
            }
            _ if !self.sizes.contains_key(first.as_str()) && !self.all_sizes(node) => {
                return Ok(false);
            }
            "Gather" => {
                let [from, index] = self.two_inputs(node)?;
                let pick = |i: &Number| {
                    let i = (*i)?;
                    let n = from.len() as i64;
                    let i = if i < 0 { i.checked_add(n)? } else { i };
                    from.get(usize::try_from(i).ok()?).copied()
                };
                let picked: Option<Vec<Number>> = index.iter().map(pick).collect();
                picked.ok_or("takes a size that is not there")?
            }
            "Slice" => {
                let mut parts = node.inputs.iter().map(|name| self.numbers(name));
                let [from, start, end] = [parts.next(), parts.next(), parts.next()];
                let one = |part: Option<Option<Vec<Number>>>| part??.first().copied()?;
                let steps = node.inputs.get(4).and_then(|name| self.numbers(name));
                let by_one = steps.is_none_or(|steps| steps == [Some(1)]);
                match (from.flatten(), one(start), one(end)) {
                    (Some(from), Some(start), Some(end)) if by_one => slice(&from, start, end),
                    _ => return Err("takes a range of sizes that is not known here".to_owned()),
                }
            }
            "Concat" => {
                let parts = node.inputs.iter().map(|name| self.numbers(name));
                let parts: Option<Vec<_>> = parts.collect();
                parts.ok_or("joins what is no size")?.concat()
            }
            "Mul" => {
                let [a, b] = self.two_inputs(node)?;
                match (&a[..], &b[..]) {
                    ([Some(a)], [Some(b)]) => vec![Some(a.checked_mul(*b).ok_or("overflows")?)],
                    _ => return Err("multiplies sizes that are not known here".to_owned()),
                }
            }
            "Unsqueeze" | "Squeeze" | "Identity" | "Cast" => {
                self.numbers(first).ok_or("expected sizes")?
            }
            _ => return Err("computes sizes in a way that is not known here".to_owned()),
        };
        if result.len() > 8 {
            return Err("makes more sizes than a value has".to_owned());
        }
        if let Some(output) = node.outputs.first() {
            self.sizes.insert(output, result);
        }
        Ok(true)
    }

    /// Whether all that a node takes are sizes, and one of them was computed.
    fn all_sizes(&self, node: &Node) -> bool {
        let computed = |name: &String| self.sizes.contains_key(name.as_str());
        let all = |name: &String| self.numbers(name).is_some();
        node.inputs.iter().any(computed) && node.inputs.iter().all(all)
    }

    /// Sizes that were computed, or that stand in the file.
    pub(super) fn numbers(&self, name: &str) -> Option<Vec<Number>> {
        match self.sizes.get(name) {
            Some(sizes) => Some(sizes.clone()),
            None => {
                let integers = self.tensors.integers(name)?;
                Some(integers.into_iter().map(Some).collect())
            }
        }
    }

    fn two_inputs(&self, node: &Node) -> Result<[Vec<Number>; 2], String> {
        let input = |i: usize| node.inputs.get(i).and_then(|name| self.numbers(name));
        match [input(0), input(1)] {
            [Some(a), Some(b)] => Ok([a, b]),
            _ => Err("expected sizes".to_owned()),
        }
    }

    /// Sizes that a node takes as its input 1, or as its attribute `name`.
    fn axes(&self, node: &Node, name: &str) -> Option<Vec<i64>> {
        match node.inputs.get(1).filter(|input| !input.is_empty()) {
            Some(input) => self.numbers(input)?.into_iter().collect(),
            None => Some(attribute(node, name)?.ints.clone()),
        }
    }

    /// Sizes of the map as it is: channels, rows and columns.
    pub(super) fn map(&self) -> [usize; 3] {
        [self.shape.channels, self.shape.rows, self.shape.columns]
    }

    /// A reshape: to rows, back to the map, or to groups for a normalisation.
    pub(super) fn reshape(&mut self, node: &Node) -> Result<(), String> {
        let target = node.inputs.get(1).and_then(|name| self.numbers(name));
        let target = match attribute(node, "shape") {
            Some(shape) => shape.ints.iter().map(|n| Some(*n)).collect(),
            None => target.ok_or("expected sizes that are known")?,
        };
        let words = || {
            let word = |n: &Number| n.map_or("samples".to_owned(), |n| n.to_string());
            let words: Vec<String> = target.iter().map(word).collect();
            format!(
                "expected a row for each sample, its map, or groups for a normalisation; found the \
                 sizes {}",
                words.join(" x ")
            )
        };
        let total = self.dims.iter().product::<usize>();
        let keeps = attribute(node, "allowzero").is_none_or(|flag| flag.int == 0);
        let Some((samples, rest)) = target.split_first() else {
            return Err(words());
        };
        let open = |n: &Number| *n == Some(-1);
        // The number of samples, as it was computed, copied, fixed in the file, or what is left.
        let of_samples = match samples {
            None => true,
            Some(0) => keeps,
            Some(n) => *n == -1 || Some(*n) == self.samples,
        };
        let mut dims = Vec::new();
        for (i, size) in rest.iter().enumerate() {
            dims.push(match size {
                Some(0) if keeps => *self.dims.get(i).ok_or_else(words)?,
                Some(-1) => 1,
                Some(n) => usize::try_from(*n).map_err(|_| words())?,
                None => return Err(words()),
            });
        }
        let known = dims.iter().try_fold(1_usize, |all, n| all.checked_mul(*n));
        let known = known.filter(|known| *known > 0).ok_or_else(words)?;
        let opens = target.iter().filter(|n| open(n)).count();
        match rest.iter().position(open) {
            Some(place) if total.is_multiple_of(known) => dims[place] = total / known,
            None if known == total => {}
            _ => return Err(words()),
        }
        if !of_samples || opens > 1 {
            return Err(words());
        }
        let [channels, rows, columns] = self.map();
        self.groups = None;
        match dims[..] {
            [_] => {}
            [a, b, c] if [a, b, c] == self.map() => {}
            [a, b] if [a, b] == [channels, rows * columns] => {}
            [groups, _] if channels.is_multiple_of(groups) => self.groups = Some(groups),
            _ => return Err(words()),
        }
        self.dims = dims;
        Ok(())
    }

    /// `Unsqueeze` and `Squeeze`: sizes of 1 put in or taken away behind the samples.
    pub(super) fn squeeze(&mut self, node: &Node) -> Result<(), String> {
        let axes = self.axes(node, "axes");
        let axes = axes.ok_or("expected axes that are known")?;
        let inserts = node.operator == "Unsqueeze";
        let rank = 1 + self.dims.len() as i64 + if inserts { axes.len() as i64 } else { 0 };
        let axes = axes
            .iter()
            .map(|a| if *a < 0 { a.saturating_add(rank) } else { *a });
        let mut axes: Vec<i64> = axes.collect();
        axes.sort_unstable();
        if !inserts {
            axes.reverse();
        }
        for axis in axes {
            let place = usize::try_from(axis - 1).ok();
            let place = place.ok_or("expected to leave the samples where they are")?;
            match inserts {
                true if place <= self.dims.len() && self.dims.len() < 8 => {
                    self.dims.insert(place, 1);
                }
                false if self.dims.get(place) == Some(&1) && self.dims.len() > 1 => {
                    self.dims.remove(place);
                }
                _ => return Err("expected sizes of 1 behind the samples".to_owned()),
            }
        }
        Ok(())
    }

    /// Whether a mean is that of each channel.
    pub(super) fn averages_channels(&mut self, node: &Node) -> Result<(), String> {
        let axes = self.axes(node, "axes");
        let axes = axes.ok_or("expected axes that are known")?;
        let rank = 1 + self.dims.len() as i64;
        let axes = axes
            .iter()
            .map(|a| if *a < 0 { a.saturating_add(rank) } else { *a });
        let mut axes: Vec<i64> = axes.collect();
        axes.sort_unstable();
        axes.dedup();
        // All behind the channels; a size of 1 need not be named.
        let channels = self.dims.first() == Some(&self.shape.channels);
        let sizes = self.dims.iter().enumerate().skip(1);
        let mut left = sizes.filter(|(i, n)| !axes.contains(&(*i as i64 + 1)) && **n > 1);
        if axes.is_empty() || axes[0] < 2 || axes[axes.len() - 1] >= rank {
            return Err("expected a mean over rows and columns".to_owned());
        }
        if !channels || left.next().is_some() {
            return Err("expected a mean over all rows and columns".to_owned());
        }
        let keeps = attribute(node, "keepdims").is_none_or(|keep| keep.int != 0);
        let mut dims = self.dims.clone();
        for axis in axes.iter().rev() {
            match keeps {
                true => dims[*axis as usize - 1] = 1,
                false => drop(dims.remove(*axis as usize - 1)),
            }
        }
        self.layer(secant::network::global_avg_pool2d())?;
        self.dims = dims;
        Ok(())
    }

    /// Refuses a window of another number of sizes than rows and columns that the map has.
    pub(super) fn spatial(&self, node: &Node, sizes: usize) -> Result<(), String> {
        let fits = match self.dims.len() {
            3 => self.dims[..] == self.map(),
            2 => self.dims[..] == [self.shape.channels, self.shape.columns] && self.shape.rows == 1,
            _ => false,
        };
        if fits && sizes + 1 == self.dims.len() {
            return Ok(());
        }
        Err(format!(
            "{} of {sizes} sizes on values of {} behind the samples, of a map of {}",
            node.operator,
            super::sizes_of(&self.dims),
            super::sizes_of(&self.map())
        ))
    }

    /// Sizes of windows, as an attribute.
    pub(super) fn window_sizes(node: &Node) -> Vec<usize> {
        ints(node, "kernel_shape").unwrap_or_default()
    }
}

/// A part of sizes; negative bounds count from the end.
fn slice(all: &[Number], start: i64, end: i64) -> Vec<Number> {
    let n = all.len() as i64;
    let bound = |i: i64| if i < 0 { i.saturating_add(n) } else { i }.clamp(0, n) as usize;
    let (start, end) = (bound(start), bound(end));
    all.get(start..end).unwrap_or_default().to_vec()
}
