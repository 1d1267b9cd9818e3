//! Serves the least-squares problems of the tests to another program, which writes a line to the
//! standard input and reads one from the standard output:
//!
//! * first come lines `NAME|m|x`, one for each problem, and an empty one;
//! * `r K x` asks for the residuals of problem K at x, `j K x` for their Jacobian, row by row.
//!
//! `tests/peers/scipy_lm.py` starts it.

use std::io::{BufRead, Write, stdin, stdout};

use secant::least_squares::{Matrix, Residuals};
use secant_tests::problems::squares;

fn text(numbers: &[f64]) -> String {
    let words: Vec<String> = numbers.iter().map(|x| format!("{x:e}")).collect();
    words.join(" ")
}

fn main() -> std::io::Result<()> {
    let mut problems = squares::all::<f64>();
    let mut out = stdout().lock();
    for (name, problem) in &problems {
        writeln!(out, "{name}|{}|{}", problem.count(), text(&problem.start))?;
    }
    writeln!(out)?;
    out.flush()?;
    for line in stdin().lock().lines() {
        let line = line?;
        let mut words = line.split(' ');
        let (what, which) = (words.next(), words.next());
        let problem = which
            .and_then(|k| k.parse::<usize>().ok())
            .and_then(|k| problems.get_mut(k));
        let (Some(what), Some((_, problem))) = (what, problem) else {
            return Err(std::io::Error::other(format!("not a question: {line}")));
        };
        let x: Vec<f64> = words.map(|x| x.parse().unwrap_or(f64::NAN)).collect();
        let (m, n) = (problem.count(), x.len());
        let mut numbers = vec![0.0; if what == "r" { m } else { m * n }];
        if what == "r" {
            problem.residuals(&x, &mut numbers);
        } else {
            let mut columns = vec![0.0; m * n];
            let mut jacobian = Matrix::new(m, &mut columns);
            problem.jacobian(&x, &mut jacobian);
            for (k, number) in numbers.iter_mut().enumerate() {
                *number = jacobian.get(k / n, k % n);
            }
        }
        writeln!(out, "{}", text(&numbers))?;
        out.flush()?;
    }
    Ok(())
}
