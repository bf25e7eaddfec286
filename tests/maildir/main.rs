//! The program over trees of Maildirs that others work on.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "other tests use the rest of the bed")]
mod support;

mod adopt;
mod beside;
mod faults;
mod fixtures;
mod hazards;
mod hostile;
mod index;
mod kill;
mod programs;
mod two_way;
