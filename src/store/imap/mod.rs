//! An IMAP session as a store: `transport` carries octets, `frame` cuts them into responses, `parse` reads those,
//! `session` opens the conversation, `observe` and its neighbours hold it.

mod endpoint;
pub mod frame;
pub mod mutf7;
pub mod parse;
pub mod response;

pub use endpoint::{
    Endpoint, Link, Login, Mechanism, PasswordSource, Protection, Speaker, TlsOptions, TlsVersion, TunnelStderr,
    Verification, WireTrace,
};
