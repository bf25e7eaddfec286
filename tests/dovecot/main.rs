//! The program and two real Dovecots.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

#[path = "../support/mod.rs"]
mod support;

mod commands;
mod cost;
mod fixtures;
mod kill;
mod links;
mod mailboxes;
mod messages;
mod operators;
mod real_mail;
mod two_way;
mod validity;
