//! interimap keeps mail in line, both ways, between any two of an IMAP server, an IMAP session behind a tunnel, and a
//! Maildir. The rooms in the order of their layers; ARCHITECTURE.md says what each may know.

#![forbid(unsafe_code)]

// The model is tested inside the library with the stores that the integration tests use from outside.
#[cfg(test)]
extern crate self as interimap;

pub mod cli;
pub mod config;
pub mod database;
pub mod engine;
pub mod mail;
pub mod plan;
pub mod report;
pub mod state;
pub mod store;
