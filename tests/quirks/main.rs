//! Dialogues with servers as they are: each does what was seen of it, under the names that the table in
//! `src/store/imap/quirks.rs` has for it, and the session gets its work done all the same.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod courier;
mod cyrus;
mod gmail;
mod icloud;
mod microsoft;
mod others;
mod props;
mod providers;
#[path = "../support/script.rs"]
mod script;
mod yahoo;
