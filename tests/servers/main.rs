//! The program between servers of every kind.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

#[path = "../contract/mod.rs"]
mod store_contract;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "other tests use the rest of the bed")]
mod support;

mod contract;
mod fixtures;
mod kill;
mod matrix;
mod scenarios;
