//! The program and two real Dovecots.

#[path = "../support/mod.rs"]
mod support;

mod fixtures;
mod two_way;
