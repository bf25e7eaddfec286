//! The program and two real Dovecots.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "other tests use the rest of the bed")]
mod support;

mod commands;
mod compression;
mod connections;
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
