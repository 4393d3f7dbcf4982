//! Random steps of a [`World`], from the same seeds each time.
//!
//! `WHARF_OPERATIONS` says how many steps; the default takes some seconds.

use std::io::Write;

use crate::world::{Kernel, World};

/// Steps in one world, after which the next begins.
const STEPS: usize = 2000;

fn operations() -> usize {
    let asked = std::env::var("WHARF_OPERATIONS");
    asked.map_or(10_000, |asked| asked.parse().expect("a number"))
}

fn run(name: &str, kernel: Kernel) {
    let operations = operations();
    let mut seeds = 1..;
    let mut left = operations;
    while left > 0 {
        let mut world = World::new(seeds.next().expect("endless"), kernel);
        let steps = left.min(STEPS);
        (0..steps).for_each(|_| world.step());
        world.end();
        left -= steps;
    }
    // Past the test harness, which would keep it to itself.
    let mut out = std::io::stderr().lock();
    writeln!(out, "{name}: {operations} operations").expect("a place to say so");
}

#[test]
fn nothing_that_is_exchanged_gives_a_chunk_two_owners() {
    run("exchange", Kernel::Honest);
}

#[test]
fn nothing_that_is_exchanged_helps_a_kernel_that_lies() {
    run("exchange, lying kernel", Kernel::Lying);
}
