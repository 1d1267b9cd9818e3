//! Serves the problems of `problems/unseen.rs` to another program, which writes a line to the
//! standard input and reads one from the standard output:
//!
//! * first come lines `NAME|x`, the start, one for each problem, and an empty one;
//! * `K x` asks for the value of problem K at x, and the gradient behind it.
//!
//! `tests/peers/scipy_unseen.py` starts it.

use std::io::{BufRead, Write, stdin, stdout};

use secant::objective::Objective;
use secant_tests::problems::unseen::unseen;

fn text(numbers: &[f64]) -> String {
    let words: Vec<String> = numbers.iter().map(|x| format!("{x:e}")).collect();
    words.join(" ")
}

fn main() -> std::io::Result<()> {
    let mut problems = unseen::<f64>();
    let mut out = stdout().lock();
    for (problem, _) in &problems {
        writeln!(out, "{}|{}", problem.name, text(&problem.start))?;
    }
    writeln!(out)?;
    out.flush()?;
    for line in stdin().lock().lines() {
        let line = line?;
        let mut words = line.split(' ');
        let which = words.next().and_then(|k| k.parse::<usize>().ok());
        let Some((problem, _)) = which.and_then(|k| problems.get_mut(k)) else {
            return Err(std::io::Error::other(format!("not a question: {line}")));
        };
        let x: Vec<f64> = words.map(|x| x.parse().unwrap_or(f64::NAN)).collect();
        let mut gradient = vec![0.0; x.len()];
        let value = problem.value_and_gradient(&x, &mut gradient);
        writeln!(out, "{value:e} {}", text(&gradient))?;
        out.flush()?;
    }
    Ok(())
}
