//! Whether the arguments of a pass fit the network: once, before any work.

use crate::batch::{Batch, PassError};
use crate::network::Network;
use crate::samples::{Normalisation, Samples, Targets};

impl<const N: usize> Network<'_, N> {
    /// What a pass with labels needs: lengths, and every index and target of the batch.
    pub(super) fn check<const LANES: usize>(
        &self,
        parameters: &[f32],
        batch: &Batch<'_>,
        workspace: (usize, usize),
    ) -> Result<(), PassError> {
        let samples = &batch.samples;
        let count = self.check_samples::<LANES>(parameters, samples, workspace)?;
        let outputs = self.output_len();
        let weights = batch.class_weights.len();
        if weights > 0 && weights != outputs {
            return Err(PassError::ClassWeights {
                expected: outputs,
                found: weights,
            });
        }
        let targets = match samples.targets {
            Targets::None => return Err(PassError::Targets),
            Targets::U8(labels) => labels.len(),
            Targets::U16(labels) => labels.len(),
            Targets::F32(_) if !self.loss().takes_values() => return Err(PassError::Targets),
            Targets::F32(values) if !values.len().is_multiple_of(outputs.max(1)) => {
                return Err(PassError::Targets);
            }
            Targets::F32(values) => values.len() / outputs.max(1),
        };
        if targets != count {
            return Err(PassError::Values {
                sample: self.input().len(),
                found: samples.values.len(),
            });
        }
        for index in batch.indices {
            let label = match samples.targets {
                Targets::U8(labels) => labels.get(*index as usize).map(|c| u16::from(*c)),
                Targets::U16(labels) => labels.get(*index as usize).copied(),
                _ => ((*index as usize) < count).then_some(0),
            };
            match label {
                None => return Err(PassError::Index(*index)),
                Some(label) if usize::from(label) >= outputs => {
                    return Err(PassError::Label {
                        label,
                        classes: outputs,
                    });
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// What a pass without labels needs, but for its indices: returns how many samples there are.
    /// `workspace` is the length needed and the length there is.
    pub(super) fn check_samples<const LANES: usize>(
        &self,
        parameters: &[f32],
        samples: &Samples<'_>,
        workspace: (usize, usize),
    ) -> Result<usize, PassError> {
        const {
            assert!(
                LANES.is_power_of_two() && LANES <= 16,
                "LANES must be 1, 2, 4, 8 or 16"
            )
        };
        if parameters.len() != self.parameter_count() {
            return Err(PassError::Parameters {
                expected: self.parameter_count(),
                found: parameters.len(),
            });
        }
        let (expected, found) = workspace;
        if found < expected {
            return Err(PassError::Workspace { expected, found });
        }
        let (values, sample) = (samples.values.len(), self.input().len());
        if !values.is_multiple_of(sample.max(1)) {
            return Err(PassError::Values {
                sample,
                found: values,
            });
        }
        match samples.normalisation {
            Normalisation::PerChannel(scalings) if scalings.len() != self.input().channels => {
                return Err(PassError::Channels {
                    expected: self.input().channels,
                    found: scalings.len(),
                });
            }
            _ => {}
        }
        Ok(values / sample.max(1))
    }

    /// Whether a gradient has the right length.
    pub(super) fn check_gradient(&self, gradient: &[f32]) -> Result<(), PassError> {
        let (expected, found) = (self.parameter_count(), gradient.len());
        if found == expected {
            Ok(())
        } else {
            Err(PassError::Gradient { expected, found })
        }
    }
}
