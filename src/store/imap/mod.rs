//! An IMAP session as a store: `transport` and `wire` carry octets, `frame` cuts them into responses, `parse` reads those,
//! `connection` asks and hears, `session` opens the conversation, `observe` and its neighbours hold it, a file a verb.

mod append;
mod capability;
mod census;
mod connection;
mod crew;
mod endpoint;
mod expunge;
mod fetch;
mod fingerprint;
pub mod frame;
mod list;
mod mailbox;
mod name;
mod observe;
pub mod parse;
mod quirks;
mod refusal;
mod relocate;
pub mod response;
mod select;
mod session;
mod store;
mod store_flags;
mod supply;
mod tour;
mod transport;
mod tunnel;
mod wire;

pub use crew::Crew;
pub use endpoint::{
    Compression, Connections, Endpoint, Link, Login, Mechanism, PasswordSource, Protection, Speaker, TlsOptions,
    TlsVersion, TunnelStderr, Verification, WireTrace,
};
pub use session::{connect, connect_over};
pub use store::ImapStore;
