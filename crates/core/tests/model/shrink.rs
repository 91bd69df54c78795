//! A failing run made short: what can be left out without losing a difference is left out.

use crate::operation::{Flavour, Operation};
use crate::run::{Difference, Run};

/// The most runs that shrinking may take.
const RUNS: usize = 2000;

/// Runs the operations; the number of the last one done and the difference, if there was one.
pub fn difference(flavour: Flavour, operations: &[Operation]) -> Option<(usize, Difference)> {
    let mut run = Run::new(flavour);
    for (number, operation) in operations.iter().enumerate() {
        if let Err(difference) = run.step(operation) {
            return Some((number, difference));
        }
    }
    run.compare().err().map(|difference| (operations.len().saturating_sub(1), difference))
}

/// Operations that still end in a difference, with that.
pub fn shrink(flavour: Flavour, mut operations: Vec<Operation>) -> (Vec<Operation>, Difference) {
    let (last, mut found) = difference(flavour, &operations).expect("it failed before");
    operations.truncate(last + 1);
    let (mut size, mut runs) = (operations.len() / 2, 0);
    while size > 0 && runs < RUNS {
        let mut start = 0;
        while start < operations.len() && runs < RUNS {
            let mut fewer = operations.clone();
            fewer.drain(start..(start + size).min(operations.len()));
            runs += 1;
            match difference(flavour, &fewer) {
                Some((last, difference)) => {
                    fewer.truncate(last + 1);
                    (operations, found) = (fewer, difference);
                }
                None => start += size,
            }
        }
        size /= 2;
    }
    let together = merged(&operations);
    match difference(flavour, &together) {
        Some((_, difference)) => (together, difference),
        None => (operations, found),
    }
}

/// Times that follow each other made one.
fn merged(operations: &[Operation]) -> Vec<Operation> {
    let mut together: Vec<Operation> = Vec::new();
    for operation in operations {
        match (together.last_mut(), operation) {
            (Some(Operation::Pass(sum)), Operation::Pass(more)) => *sum += more,
            _ => together.push(operation.clone()),
        }
    }
    together
}
