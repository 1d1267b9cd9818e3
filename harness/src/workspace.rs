//! Working memory that begins at a cache line.

/// Floats of a cache line.
const LINE: usize = 16;

/// Floats whose first one lies at the beginning of a cache line, so that vectors of maps do not lie
/// across two: a pass over `micro` on AVX2 takes a fifth longer where they do.
#[derive(Debug)]
pub struct Workspace {
    memory: Vec<f32>,
    len: usize,
}

impl Workspace {
    /// `len` zeros.
    pub fn new(len: usize) -> Workspace {
        Workspace {
            memory: vec![0.0; len + LINE],
            len,
        }
    }

    /// How many floats there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The floats.
    pub fn floats(&mut self) -> &mut [f32] {
        // The offset may be unknown (`usize::MAX`) by its contract: then any place does.
        let offset = self.memory.as_ptr().align_offset(4 * LINE).min(LINE);
        &mut self.memory[offset..][..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::Workspace;

    #[test]
    fn begins_at_a_cache_line_and_has_all_its_floats() {
        for len in [0, 1, 15, 16, 17, 100_003] {
            let mut workspace = Workspace::new(len);
            assert_eq!((workspace.len(), workspace.floats().len()), (len, len));
            assert_eq!(workspace.is_empty(), len == 0);
            assert_eq!(workspace.floats().as_ptr() as usize % 64, 0);
        }
    }
}
