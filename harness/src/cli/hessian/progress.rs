//! How far the search for eigenvalues is.

use std::cell::RefCell;
use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::report::note;

/// Progress on standard error: a bar on a terminal, else a line for each look.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    last: RefCell<String>,
}

impl Progress {
    pub(super) fn new(products: u64) -> Progress {
        let bar = io::stderr().is_terminal().then(|| {
            let target = ProgressDrawTarget::stderr_with_hz(5);
            let bar = ProgressBar::with_draw_target(Some(products), target);
            let style =
                "{msg}  {bar:24.cyan/dim}  {pos}/{len} products  {elapsed} gone, {eta} left";
            if let Ok(style) = ProgressStyle::with_template(style) {
                bar.set_style(style.progress_chars("━╸─"));
            }
            bar
        });
        if bar.is_none() {
            note(&format!(
                "About {products} products with the Hessian are to be computed."
            ));
        }
        Progress {
            bar,
            last: RefCell::default(),
        }
    }

    pub(super) fn place(&self, name: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(name.to_owned()),
            None if *self.last.borrow() != name => note(&format!("looking: {name}")),
            None => {}
        }
        self.last.replace(name.to_owned());
    }

    pub(super) fn count(&self) {
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
