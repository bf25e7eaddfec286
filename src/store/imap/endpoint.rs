//! Where an IMAP session is to be had, and how: what the configuration says and `session` carries out.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

/// Where and how to open a session.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// What carries the octets.
    pub link: Link,
    /// Who logs in; `None` where the session has to be authenticated already (a tunnel's PREAUTH).
    pub login: Option<Login>,
    /// How long the peer may stay silent while we wait for it.
    pub timeout: Duration,
    /// Whether the octets are to be deflated.
    pub compression: Compression,
    /// Capabilities to be treated as if the server did not offer them, in upper case.
    pub disable_extensions: Vec<String>,
    /// What stands before every mailbox name; `None` to ask NAMESPACE.
    pub prefix: Option<String>,
    /// Where the conversation is written down, if anywhere.
    pub trace: Option<Arc<dyn WireTrace>>,
}

/// How many connections to a server there may be at a time: 1 … 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Connections(u8);

impl Connections {
    /// A single one.
    pub const ONE: Connections = Connections(1);
    /// As many as there may be where nobody says otherwise.
    pub const USUAL: Connections = Connections(4);
    /// More than any server allows one user.
    pub const MOST: Connections = Connections(64);

    /// So many, if that is a number of connections.
    pub fn new(connections: u8) -> Option<Connections> {
        (1..=Connections::MOST.0).contains(&connections).then_some(Connections(connections))
    }

    /// The number.
    pub fn get(self) -> u8 {
        self.0
    }
}

/// What carries the octets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// A connection over TCP.
    Tcp {
        /// A name or an address.
        host: String,
        /// 1 … 65535.
        port: u16,
        /// How it is protected.
        protection: Protection,
    },
    /// A command, run by `sh -c`, whose stdin and stdout speak IMAP.
    Tunnel {
        /// The command.
        command: String,
        /// What becomes of its stderr.
        stderr: TunnelStderr,
    },
}

/// How a connection over TCP is protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protection {
    /// TLS from the first octet (`type = "imaps"`).
    Tls(TlsOptions),
    /// STARTTLS, required (`type = "imap"`).
    StartTls(TlsOptions),
    /// None (`starttls = false`).
    Plain,
}

/// Whether the octets are deflated on their way (COMPRESS=DEFLATE, RFC 4978).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Wherever the server offers it.
    Wanted,
    /// Never.
    Unwanted,
}

/// What becomes of a tunnel's stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelStderr {
    /// Its lines are logged.
    Logged,
    /// It is thrown away (`null-stderr = true`).
    Discarded,
}

/// How a certificate is judged: the table `tls`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// Trust these authorities (PEM) instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// SHA-256 digests of the public keys (SubjectPublicKeyInfo) of which the server's must be one; none: any key.
    pub fingerprints: Vec<[u8; 32]>,
    /// The oldest protocol.
    pub min_version: TlsVersion,
    /// The name that the certificate must bear, where it is not the host's.
    pub hostname: Option<String>,
    /// Whether the chain and the name are checked.
    pub verification: Verification,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.0; refused by most systems' OpenSSL whatever we say.
    V1_0,
    /// TLS 1.1
    V1_1,
    /// TLS 1.2
    #[default]
    V1_2,
    /// TLS 1.3
    V1_3,
}

/// Whether certificates are checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verification {
    /// The chain and the host's name.
    #[default]
    Full,
    /// Neither (`verify = false`); fingerprints, if any, still count.
    Off,
}

/// Who logs in and by which mechanisms.
#[derive(Clone)]
pub struct Login {
    /// The user name.
    pub username: String,
    /// Asked when the server wants it, never before.
    pub password: Arc<dyn PasswordSource>,
    /// In order of preference; the first one that the server offers is used.
    pub mechanisms: Vec<Mechanism>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("username", &self.username).finish_non_exhaustive()
    }
}

/// How to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// AUTHENTICATE PLAIN (RFC 4616)
    Plain,
    /// The LOGIN command.
    Login,
}

/// Where a password comes from. May block: it is asked on a thread of its own.
pub trait PasswordSource: Send + Sync {
    /// The password, or a sentence that says why there is none.
    fn password(&self) -> Result<Zeroizing<String>, String>;
}

/// Where the conversation is written down (`--trace-wire`). Secrets and message text never reach it.
pub trait WireTrace: Send + Sync + fmt::Debug {
    /// One line without its line end: `S: * OK …` as `(Speaker::Server, "* OK …")`.
    fn line(&self, speaker: Speaker, text: &str);
}

/// Who said a line of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// We.
    Client,
    /// They.
    Server,
}
