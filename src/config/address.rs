//! Where a side is, in one line: `imaps://alice@mail.example.org:993`, `tunnel:COMMAND`, `maildir:/home/alice/Mail`. Never
//! with a password.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};

use super::paths::Environment;
use super::tree;

/// Where a side is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A server.
    Server {
        /// How the connection is protected.
        scheme: Scheme,
        /// Who logs in.
        username: String,
        /// A name or an address, without brackets.
        host: String,
        /// 1 … 65535.
        port: u16,
    },
    /// A command whose stdin and stdout speak IMAP.
    Tunnel {
        /// The command for `sh -c`.
        command: String,
    },
    /// A tree of Maildirs.
    Maildir {
        /// From the root on, without a slash at the end; links in it are not resolved.
        path: PathBuf,
    },
}

/// How a connection to a server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// STARTTLS, or nothing at all where the configuration says so.
    Imap,
    /// TLS from the first octet.
    Imaps,
}

impl Scheme {
    /// The word in front of `://` and behind `type =`.
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Imap => "imap",
            Scheme::Imaps => "imaps",
        }
    }

    /// The port where none is given.
    pub fn default_port(self) -> u16 {
        match self {
            Scheme::Imap => 143,
            Scheme::Imaps => 993,
        }
    }
}

/// Why a text is no [`Address`]. No variant holds what may be a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// None of the schemes.
    #[error("it begins with neither \"imaps://\" nor \"imap://\" nor \"tunnel:\" nor \"maildir:\"")]
    Scheme,
    /// A password in it: every process of the machine can read the arguments of every other one.
    #[error(
        "it holds a password, which everybody on this machine can read there; leave it out and use --password-command, \
         the environment variable INTERIMAP_REMOTE_PASSWORD or INTERIMAP_LOCAL_PASSWORD, or wait to be asked"
    )]
    Password,
    /// No user name.
    #[error("it has no user name; write SCHEME://USER@HOST")]
    NoUser,
    /// A host that can be none.
    #[error("its host is neither a name nor an address; an IPv6 address stands in brackets")]
    Host,
    /// A port that can be none.
    #[error("its port is not a number from 1 to 65535")]
    Port,
    /// Something behind the host.
    #[error("it goes on behind the host; write SCHEME://USER@HOST[:PORT]")]
    Path,
    /// `%` without two hexadecimal digits, or what no user name can hold.
    #[error("\"%\" in it is not followed by two hexadecimal digits that mean a printable character")]
    Percent,
    /// A control character.
    #[error("it holds a control character")]
    ControlCharacter,
    /// No command.
    #[error("it has no command; write tunnel:COMMAND")]
    NoCommand,
    /// No path.
    #[error("it has no path; write maildir:PATH")]
    NoPath,
    /// A path that cannot be, for this reason.
    #[error("it means no path: {0}")]
    Expansion(String),
}

impl Address {
    /// Reads an address as `--remote` and `--local` take it. The shell leaves `~` alone behind `maildir:`, so it is expanded
    /// here; a relative path begins in the current directory.
    pub fn parse(text: &str, environment: &Environment) -> Result<Address, AddressError> {
        if text.chars().any(char::is_control) {
            return Err(AddressError::ControlCharacter);
        }
        let (scheme, rest) = text.split_once(':').ok_or(AddressError::Scheme)?;
        match (scheme.to_ascii_lowercase().as_str(), rest.strip_prefix("//")) {
            ("imaps", Some(rest)) => server(Scheme::Imaps, rest),
            ("imap", Some(rest)) => server(Scheme::Imap, rest),
            ("tunnel", _) if rest.trim().is_empty() => Err(AddressError::NoCommand),
            ("tunnel", _) => Ok(Address::Tunnel { command: rest.to_owned() }),
            ("maildir", _) if rest.trim().is_empty() => Err(AddressError::NoPath),
            ("maildir", _) => {
                let path = environment.expand(rest, Path::new("")).and_then(|path| tree::absolute(&path));
                Ok(Address::Maildir { path: path.map_err(AddressError::Expansion)? })
            }
            _ => Err(AddressError::Scheme),
        }
    }

    /// What a state is bound to. The same server is the same one however the connection to it is protected, so that a
    /// change from `imap` to `imaps` leaves the state where it is. A Maildir is the same one wherever a link leads from its
    /// path, so that a tree can move to another disk, and be told while that is not mounted.
    pub fn identity(&self) -> String {
        match self {
            Address::Server { scheme, port, .. } if *port == scheme.default_port() => {
                let full = self.to_string();
                let place = full.split_once("://").map_or(full.as_str(), |(_, place)| place);
                place.rsplit_once(':').map_or(place, |(place, _)| place).to_owned()
            }
            Address::Server { .. } => {
                let full = self.to_string();
                full.split_once("://").map_or(full.as_str(), |(_, place)| place).to_owned()
            }
            Address::Tunnel { .. } | Address::Maildir { .. } => self.to_string(),
        }
    }
}

/// `USER@HOST[:PORT][/]`
fn server(scheme: Scheme, rest: &str) -> Result<Address, AddressError> {
    let (user, place) = rest.rsplit_once('@').ok_or(AddressError::NoUser)?;
    if user.contains(':') {
        return Err(AddressError::Password);
    }
    let username = decoded(user)?;
    if username.is_empty() {
        return Err(AddressError::NoUser);
    }
    let place = place.strip_suffix('/').unwrap_or(place);
    if place.contains(['/', '?', '#', ';']) || user.contains(['/', '?', '#', ';']) {
        return Err(AddressError::Path);
    }
    let (name, port) = match place.rfind(']') {
        Some(end) => place.split_at(end + 1),
        None => place.split_at(place.find(':').unwrap_or(place.len())),
    };
    let port = match port.strip_prefix(':') {
        Some(digits) if digits.bytes().all(|digit| digit.is_ascii_digit()) => {
            digits.parse().ok().filter(|port| *port > 0).ok_or(AddressError::Port)?
        }
        None if port.is_empty() => scheme.default_port(),
        _ => return Err(AddressError::Port),
    };
    let host = host(name).filter(|host| name.starts_with('[') || !host.contains(':')).ok_or(AddressError::Host)?;
    Ok(Address::Server { scheme, username, host, port })
}

/// A host as it is looked up: a name in lower case, or an IP address without its brackets. `None` for what is neither.
pub(super) fn host(text: &str) -> Option<String> {
    /// The longest name of the domain name system.
    const LONGEST: usize = 253;
    if let Some(inner) = text.strip_prefix('[') {
        return inner.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(|address| address.to_string());
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_string());
    }
    // Beyond ASCII, letters are left to the resolver.
    let sign = |sign: char| sign.is_alphanumeric() || "-_.".contains(sign);
    let label = |label: &str| !label.is_empty() && label.len() <= 63 && !label.starts_with('-');
    let name = text.strip_suffix('.').unwrap_or(text);
    let valid = name.len() <= LONGEST && name.chars().all(sign) && name.split('.').all(label);
    valid.then(|| name.to_lowercase())
}

/// Whether what is said to that host never leaves this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    let named = host == "localhost" || host.ends_with(".localhost");
    named || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn decoded(text: &str) -> Result<String, AddressError> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        let digit = |octet: Option<u8>| octet.and_then(|octet| char::from(octet).to_digit(16));
        match octet {
            b'%' => match (digit(rest.next()), digit(rest.next())) {
                (Some(high), Some(low)) => {
                    octets.push(u8::try_from(high * 16 + low).map_err(|_| AddressError::Percent)?)
                }
                _ => return Err(AddressError::Percent),
            },
            octet => octets.push(octet),
        }
    }
    let text = String::from_utf8(octets).map_err(|_| AddressError::Percent)?;
    if text.chars().any(char::is_control) { Err(AddressError::Percent) } else { Ok(text) }
}

/// The one spelling of an address: what `parse` reads, with the port written out.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Server { scheme, username, host, port } => {
                write!(f, "{}://", scheme.as_str())?;
                for octet in username.bytes() {
                    match octet.is_ascii_alphanumeric() || b"-._~+!$&'()*,=".contains(&octet) || !octet.is_ascii() {
                        true if octet.is_ascii() => write!(f, "{}", char::from(octet))?,
                        _ => write!(f, "%{octet:02X}")?,
                    }
                }
                match host.contains(':') {
                    true => write!(f, "@[{host}]:{port}"),
                    false => write!(f, "@{host}:{port}"),
                }
            }
            Address::Tunnel { command } => write!(f, "tunnel:{command}"),
            Address::Maildir { path } => write!(f, "maildir:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn parse(text: &str) -> Result<Address, AddressError> {
        let environment = Environment::new(|name| (name == "HOME").then(|| OsString::from("/home/alice")));
        Address::parse(text, &environment)
    }

    #[test]
    fn addresses_have_one_spelling() {
        for (text, canonical) in [
            ("imaps://alice@mail.example.org", "imaps://alice@mail.example.org:993"),
            ("IMAPS://alice@Mail.Example.ORG:1993/", "imaps://alice@mail.example.org:1993"),
            ("imap://alice@localhost", "imap://alice@localhost:143"),
            ("imaps://alice%40example.org@mail.example.org", "imaps://alice%40example.org@mail.example.org:993"),
            ("imaps://alice@example.org@mail.example.org", "imaps://alice%40example.org@mail.example.org:993"),
            ("imaps://j%C3%BCrgen@mail.example.org", "imaps://j%C3%BCrgen@mail.example.org:993"),
            ("imaps://jürgen@mail.example.org", "imaps://j%C3%BCrgen@mail.example.org:993"),
            ("imap://a@[::1]:1143", "imap://a@[::1]:1143"),
            ("imap://a@[0:0::1]", "imap://a@[::1]:143"),
            ("imap://a@127.0.0.1:1", "imap://a@127.0.0.1:1"),
            ("tunnel:ssh user@host doveadm exec imap", "tunnel:ssh user@host doveadm exec imap"),
            ("tunnel:echo 100%zz://", "tunnel:echo 100%zz://"),
            ("maildir:/var/mail/alice/", "maildir:/var/mail/alice"),
            ("maildir:///var//mail/./alice", "maildir:/var/mail/alice"),
            ("Maildir:~/Mail/work", "maildir:/home/alice/Mail/work"),
            ("maildir:~", "maildir:/home/alice"),
            ("maildir:$XDG_DATA_HOME/mail", "maildir:/home/alice/.local/share/mail"),
            ("maildir:/a b/ü%41:", "maildir:/a b/ü%41:"),
        ] {
            let address = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(address.to_string(), canonical, "{text}");
            assert_eq!(parse(canonical).as_ref(), Ok(&address), "{text}");
        }
    }

    #[test]
    fn another_protection_of_the_same_server_is_no_other_account() {
        for (text, identity) in [
            ("imaps://alice@h", "alice@h"),
            ("imap://alice@h", "alice@h"),
            ("imap://alice@h:993", "alice@h:993"),
            ("imaps://alice@[::1]", "alice@[::1]"),
            ("tunnel:a b", "tunnel:a b"),
            ("maildir:~/Mail/", "maildir:/home/alice/Mail"),
        ] {
            assert_eq!(parse(text).unwrap().identity(), identity, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for (text, why) in [
            ("", AddressError::Scheme),
            ("mail.example.org", AddressError::Scheme),
            ("https://a@b", AddressError::Scheme),
            ("imaps:a@b", AddressError::Scheme),
            ("maildir", AddressError::Scheme),
            ("maildir:", AddressError::NoPath),
            ("maildir: ", AddressError::NoPath),
            ("maildir:~bob/Mail", AddressError::Expansion("only ~/… is known, not ~bob/…".to_owned())),
            ("maildir:/a\nb", AddressError::ControlCharacter),
            ("imaps://alice:secret@host", AddressError::Password),
            ("imaps://alice:@host", AddressError::Password),
            ("imaps://host", AddressError::NoUser),
            ("imaps://@host", AddressError::NoUser),
            ("imaps://a@", AddressError::Host),
            ("imaps://a@-b", AddressError::Host),
            ("imaps://a@h ost", AddressError::Host),
            ("imaps://a@::1", AddressError::Port),
            ("imaps://a@[::1", AddressError::Port),
            ("imaps://a@[x]", AddressError::Host),
            ("imaps://a@host:", AddressError::Port),
            ("imaps://a@host:0", AddressError::Port),
            ("imaps://a@host:65536", AddressError::Port),
            ("imaps://a@host:+1", AddressError::Port),
            ("imaps://a@host/INBOX", AddressError::Path),
            ("imaps://a;AUTH=PLAIN@host", AddressError::Path),
            ("imaps://a%00@host", AddressError::Percent),
            ("imaps://a%0d%0ab@host", AddressError::Percent),
            ("imaps://a%4@host", AddressError::Percent),
            ("imaps://a%zz@host", AddressError::Percent),
            ("imaps://a%ff@host", AddressError::Percent),
            ("imaps://a\r\nb@host", AddressError::ControlCharacter),
            ("tunnel: ", AddressError::NoCommand),
        ] {
            assert_eq!(parse(text), Err(why), "{text}");
        }
    }

    #[test]
    fn a_relative_maildir_begins_in_the_current_directory() {
        let path = std::env::current_dir().unwrap().join("Mail");
        assert_eq!(parse("maildir:Mail/"), Ok(Address::Maildir { path }));
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for (host, loopback) in [
            ("localhost", true),
            ("127.1.2.3", true),
            ("::1", true),
            ("localhost.example.org", false),
            ("10.0.0.1", false),
        ] {
            assert_eq!(is_loopback(host), loopback, "{host}");
        }
    }
}
