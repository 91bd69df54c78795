//! The engine alone: nanoseconds, instructions and allocations per packet, bytes per connection.
//!
//! `cargo bench -p ipvs-core --bench engine -- [--json] [--quick] [--only NAME] [--no-instructions]`. Instructions are
//! counted by valgrind's callgrind, if it is installed, in a run of their own.
#![allow(clippy::unwrap_used, reason = "a benchmark may fail that way")]
#![allow(missing_docs, reason = "a benchmark has no users")]

mod allocator;
mod instructions;
mod measure;
mod scenario;
mod traffic;

use measure::Measurement;
use scenario::Scenario;

#[global_allocator]
static ALLOCATOR: allocator::Counting = allocator::Counting::new();

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let only =
        arguments.iter().position(|argument| argument == "--only").and_then(|at| arguments.get(at + 1));
    let scenarios =
        Scenario::all().into_iter().filter(|s| only.is_none_or(|only| s.name().contains(only.as_str())));
    if has(instructions::CHILD) {
        scenarios.for_each(instructions::child);
        return;
    }
    let rounds = if has("--quick") { 3 } else { 9 };
    let mut results = Vec::new();
    if !has("--json") {
        println!("{}", Measurement::TITLE);
    }
    for scenario in scenarios {
        let mut result = measure::measure(scenario, rounds);
        if !has("--no-instructions") {
            result.instructions = instructions::count(scenario);
        }
        if !has("--json") {
            println!("{result}");
        }
        results.push(result);
    }
    if has("--json") {
        let values: Vec<_> = results.iter().map(Measurement::json).collect();
        println!("{}", serde_json::to_string_pretty(&values).unwrap());
    }
    let broken: Vec<_> = results.iter().filter(|result| result.breaks_a_promise()).collect();
    for result in &broken {
        eprintln!(
            "{}: more than 0 allocations per packet, or more than 96 bytes per connection",
            result.scenario.name()
        );
    }
    std::process::exit(i32::from(!broken.is_empty()));
}
