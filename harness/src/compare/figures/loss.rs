//! The training loss between two evaluations.
//!
//! A run's history holds the mean loss `m` of the epoch's batches so far, each before its step. It
//! starts anew with each epoch, so drawn as it is it would fall off a cliff there. Of two entries
//! of one epoch, with `n` samples so far, comes what was measured between them:
//!
//! ```text
//! mean over the stretch = (m_2 n_2 - m_1 n_1) / (n_2 - n_1)
//! ```
//!
//! An entry stands at the end of each epoch, so no stretch crosses one.

use serde_json::Value;

/// The steps between two evaluations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stretch {
    /// Gradient epochs at its middle.
    pub gradient_epochs: f64,
    /// Training seconds at its middle.
    pub train_seconds: f64,
    /// Mean loss of its samples; none where that is not finite.
    pub loss: Option<f64>,
}

/// The stretches of a run from its record, which `secant train --json` documents; none from what
/// is not a record.
pub fn stretches(record: &Value) -> Vec<Stretch> {
    let all = record["dataset"]["train"].as_u64().unwrap_or(0).max(1);
    let batch = &record["optimizer"]["batch"];
    let batch = batch.as_u64().unwrap_or(all).clamp(1, all);
    let steps = all.div_ceil(batch);
    let history = record["history"].as_array();
    let mut stretches = Vec::new();
    // Epoch, samples of it, their summed loss, gradient epochs, seconds: at the entry before.
    let mut before = (0, 0.0, 0.0, 0.0, 0.0);
    for entry in history.into_iter().flatten() {
        let number = |key: &str| entry[key].as_f64().unwrap_or(f64::NAN);
        let epoch = entry["epoch"].as_u64().unwrap_or(0);
        let iteration = entry["iteration"].as_u64().unwrap_or(0);
        let step = iteration.saturating_sub(epoch.saturating_sub(1).saturating_mul(steps));
        let samples = step.saturating_mul(batch).min(all) as f64;
        let sum = number("train_loss") * samples;
        let (gradient_epochs, seconds) = (number("gradient_epochs"), number("train_seconds"));
        let (earlier, earlier_sum) = match before.0 == epoch {
            true => (before.1, before.2),
            false => (0.0, 0.0),
        };
        if samples > earlier {
            let loss = (sum - earlier_sum) / (samples - earlier);
            stretches.push(Stretch {
                gradient_epochs: 0.5 * (before.3 + gradient_epochs),
                train_seconds: 0.5 * (before.4 + seconds),
                loss: loss.is_finite().then_some(loss),
            });
        }
        before = (epoch, samples, sum, gradient_epochs, seconds);
    }
    stretches
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn stretches_are_the_means_of_their_own_steps() {
        // Ten samples in batches of four: steps of 4, 4 and 2 samples.
        let losses = [[9.0, 8.0, 7.0], [6.0, 5.0, 4.0]];
        let sizes = [4.0, 4.0, 2.0];
        let mut history = Vec::new();
        for (e, losses) in losses.iter().enumerate() {
            let (mut sum, mut samples) = (0.0, 0.0);
            for (s, loss) in losses.iter().enumerate() {
                sum += loss * sizes[s];
                samples += sizes[s];
                let end = e as f64 + samples / 10.0;
                history.push(json!({
                    "epoch": e + 1, "iteration": 3 * e + s + 1, "train_loss": sum / samples,
                    "gradient_epochs": end, "train_seconds": 10.0 * end,
                }));
            }
        }
        let record = |history: &[Value], batch: Value| json!({"dataset": {"train": 10}, "optimizer": {"batch": batch}, "history": history});
        let drawn = stretches(&record(&history, json!(4)));
        let middles = [0.2, 0.6, 0.9, 1.2, 1.6, 1.9];
        for ((stretch, loss), middle) in drawn.iter().zip(losses.concat()).zip(middles) {
            assert!((stretch.loss.unwrap() - loss).abs() < 1e-12, "{drawn:?}");
            assert!((stretch.gradient_epochs - middle).abs() < 1e-12);
            assert!((stretch.train_seconds - 10.0 * middle).abs() < 1e-12);
        }
        assert_eq!(drawn.len(), 6);

        // Only the ends of the epochs: their means.
        let ends = [history[2].clone(), history[5].clone()];
        let drawn = stretches(&record(&ends, json!(4)));
        assert_eq!(
            drawn.iter().map(|s| s.loss).collect::<Vec<_>>(),
            [Some(8.2), Some(5.2)]
        );
        // The whole of the samples in one step.
        let mut full = ends.clone();
        full[0]["iteration"] = json!(1);
        full[1]["iteration"] = json!(2);
        let drawn = stretches(&record(&full, json!("full")));
        assert_eq!(
            drawn.iter().map(|s| s.loss).collect::<Vec<_>>(),
            [Some(8.2), Some(5.2)]
        );
    }

    #[test]
    fn what_is_not_finite_is_no_value_and_what_is_no_record_nothing() {
        let record = json!({"dataset": {"train": 10}, "optimizer": {"batch": 5}, "history": [
            {"epoch": 1, "iteration": 1, "train_loss": null, "gradient_epochs": 0.5,
             "train_seconds": 1.0}]});
        assert_eq!(stretches(&record)[0].loss, None);
        assert!(stretches(&json!({"history": []})).is_empty());
        assert!(stretches(&Value::Null).is_empty());
        let odd = json!({"history": [{"epoch": u64::MAX, "iteration": u64::MAX}, 7, null]});
        assert!(stretches(&odd).iter().all(|stretch| stretch.loss.is_none()));
    }
}
