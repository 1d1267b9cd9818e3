//! Looks along a run that is trained meanwhile.

use std::ops::ControlFlow;

use super::looks::{Looks, Trains};
use super::{Place, Point, Subject, spectrum};
use crate::error::Error;
use crate::train::{Observer, Outcome, RunStatus, StopReason, Trainer};

/// Where to look.
#[derive(Debug, Clone, PartialEq)]
pub enum When {
    /// At these places, in the order of the run.
    At(Vec<Spot>),
    /// At the start, after every so many steps, and at the end.
    Every(u32),
}

/// A place in a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Spot {
    /// The initial weights.
    Initial,
    /// A share of the steps, above 0 and below 1.
    Share(f64),
    /// The weights that were best on the validation samples.
    Best,
    /// The last weights.
    Final,
}

impl std::str::FromStr for Spot {
    type Err = String;

    fn from_str(text: &str) -> Result<Spot, String> {
        let share = |text: &str| text.strip_suffix('%')?.parse::<f64>().ok();
        match text {
            "initial" => Ok(Spot::Initial),
            "best" => Ok(Spot::Best),
            "final" => Ok(Spot::Final),
            _ => match share(text) {
                Some(percent) if percent > 0.0 && percent < 100.0 => {
                    Ok(Spot::Share(percent / 100.0))
                }
                _ => {
                    Err("expected initial, best, final, or a share of the steps such as 10%".into())
                }
            },
        }
    }
}

impl Spot {
    /// For people and for names of files.
    pub fn name(self) -> String {
        match self {
            Spot::Initial => "initial".into(),
            Spot::Share(share) => format!("{}%", (1e4 * share).round() / 100.0),
            Spot::Best => "best".into(),
            Spot::Final => "final".into(),
        }
    }
}

impl When {
    /// The steps to stop at, rising, each with the name of the place; the last weights and the best
    /// ones come after all steps.
    fn stops(&self, planned: u32) -> Vec<(u32, String)> {
        let mut stops = match self {
            When::At(spots) => spots
                .iter()
                .filter_map(|spot| match spot {
                    Spot::Initial => Some((0, spot.name())),
                    Spot::Share(share) => {
                        let step = (share * f64::from(planned)).round() as u32;
                        Some((step.max(1), spot.name()))
                    }
                    Spot::Best | Spot::Final => None,
                })
                .collect(),
            When::Every(steps) => {
                let steps = (0..planned).step_by(*steps as usize);
                steps
                    .map(|step| (step, format!("step {step}")))
                    .collect::<Vec<_>>()
            }
        };
        stops.sort_by_key(|(step, _)| *step);
        stops
    }

    fn wants(&self, spot: Spot) -> bool {
        match self {
            When::At(spots) => spots.contains(&spot),
            When::Every(_) => spot == Spot::Final,
        }
    }

    /// How many looks there will be.
    pub fn count(&self, planned: u32) -> usize {
        let ends = [Spot::Best, Spot::Final].into_iter();
        self.stops(planned).len() + ends.filter(|spot| self.wants(*spot)).count()
    }
}

/// Stops a run at a step.
struct StopAt(u32);

impl Observer for StopAt {
    fn iteration(&mut self, status: &RunStatus) -> ControlFlow<()> {
        match status.iteration >= self.0 {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

/// Trains `trainer`'s run to its end and looks on the way; hands each point to `seen` as it is done.
/// Looks that are kept are not made again, training is: it takes less than a look, and its weights say
/// whether a look is of this run.
///
/// # Errors
/// [`Error::Run`] when the run diverges before a look, or a look fails.
pub fn look_along(
    mut trainer: Trainer<'_>,
    subject: &mut Subject<'_>,
    looks: &Looks,
    when: &When,
    mut seen: impl FnMut(&Point),
) -> Result<(Vec<Point>, Outcome), Error> {
    let planned = trainer.planned_iterations();
    let mut points = Vec::new();
    for (step, name) in when.stops(planned) {
        let ended = run_to(&mut trainer, step)?;
        if let Some(stop) = ended.filter(|_| trainer.iterations() < step) {
            if stop == StopReason::Diverged {
                return Err(Error::Run(format!(
                    "the run diverged at step {} of {planned}, before '{name}'; a smaller \
                     --learning-rate helps most often",
                    trainer.iterations()
                )));
            }
            // It ended early: its last weights are looked at below.
            break;
        }
        points.push(look_here(
            &mut trainer,
            subject,
            looks,
            (name, step, planned),
        )?);
        points.iter().last().into_iter().for_each(&mut seen);
    }
    run_to(&mut trainer, u32::MAX)?;
    let step = trainer.iterations();
    if when.wants(Spot::Final) {
        points.push(look_here(
            &mut trainer,
            subject,
            looks,
            ("final".into(), step, planned),
        )?);
        points.iter().last().into_iter().for_each(&mut seen);
    }
    let outcome = trainer.finish();
    if when.wants(Spot::Best) {
        let all = outcome
            .best
            .as_ref()
            .map_or(&outcome.parameters, |best| &best.parameters);
        let frozen = all.len() - subject.parameters.len();
        subject.parameters.copy_from_slice(&all[frozen..]);
        let place = Place {
            name: "best".into(),
            step: None,
        };
        points.push(looks.look(subject, place, None)?);
        points.iter().last().into_iter().for_each(&mut seen);
    }
    Ok((points, outcome))
}

/// Runs on to a step; says why the run stopped if it was not that.
fn run_to(trainer: &mut Trainer<'_>, step: u32) -> Result<Option<StopReason>, Error> {
    if trainer.iterations() >= step {
        return Ok(None);
    }
    let stop = trainer.run(&mut StopAt(step)).map_err(spectrum::internal)?;
    Ok((stop != StopReason::Interrupted).then_some(stop))
}

fn look_here(
    trainer: &mut Trainer<'_>,
    subject: &mut Subject<'_>,
    looks: &Looks,
    (name, step, planned): (String, u32, u32),
) -> Result<Point, Error> {
    subject.parameters.copy_from_slice(trainer.parameters());
    let place = Place {
        name,
        step: Some(step),
    };
    // The rate of the step that led here: the last one's may be followed by none.
    let progress = (step.saturating_sub(1), planned);
    let optimizer: Option<Trains<'_>> = match step {
        0 => None,
        _ => Some((trainer.stepper(), progress)),
    };
    looks.look(subject, place, optimizer)
}
