//! Conducts runs: the only room that sees both sides.

pub mod event;
