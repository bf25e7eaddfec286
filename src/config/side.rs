//! `[account.NAME.local]` and `[account.NAME.remote]`: a table becomes an endpoint.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use zeroize::Zeroizing;

use crate::mail::Side;
use crate::plan::Writing;
use crate::store::imap::{
    self, Compression, Link, Login, Mechanism, PasswordSource, Protection, TlsOptions, TlsVersion, TunnelStderr,
    Verification,
};

use super::Endpoint;
use super::address::{self, Address, Scheme};
use super::keys::Place;
use super::password::{Password, Privacy, Terminal, Written, quoted};
use super::paths::Environment;
use super::reader::Reader;
use super::tree;
use super::units;

/// What holds for every table of a file.
pub(super) struct Surroundings<'a> {
    /// The file.
    pub(super) file: PathBuf,
    /// Where relative paths begin.
    pub(super) base: PathBuf,
    /// Who may read the file.
    pub(super) privacy: Privacy,
    /// Where other files are.
    pub(super) environment: &'a Environment,
    /// Where passwords are asked for.
    pub(super) terminal: Arc<Terminal>,
}

/// What a side's table says.
pub(super) struct Configured {
    pub(super) endpoint: Endpoint,
    pub(super) address: Address,
    pub(super) writing: Writing,
}

/// How long a peer may stay silent where the configuration says nothing.
pub(super) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
/// How short and how long `timeout` may be.
const TIMEOUTS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Server(Scheme),
    Tunnel,
    Maildir,
    /// `ssh` is not there yet.
    Later,
}

const KINDS: &[(&str, Kind)] = &[
    ("imaps", Kind::Server(Scheme::Imaps)),
    ("imap", Kind::Server(Scheme::Imap)),
    ("tunnel", Kind::Tunnel),
    ("maildir", Kind::Maildir),
    ("ssh", Kind::Later),
];

/// Mechanisms by their names; those without one of ours are not there yet.
const MECHANISMS: &[(&str, Option<Mechanism>)] = &[
    ("plain", Some(Mechanism::Plain)),
    ("login", Some(Mechanism::Login)),
    ("scram-sha-1", None),
    ("scram-sha-1-plus", None),
    ("scram-sha-256", None),
    ("scram-sha-256-plus", None),
    ("scram-sha-512", None),
    ("scram-sha-512-plus", None),
    ("cram-md5", None),
    ("external", None),
    ("gssapi", None),
    ("oauthbearer", None),
    ("xoauth2", None),
];

/// What `compress` says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Compress {
    Auto,
    Always,
    Never,
}

impl Compress {
    /// Left to us, what is far is compressed: to a server on this machine the octets cost less than the work, and what the
    /// command of a tunnel does with them is unknown (`ssh -C` compresses too).
    pub(super) fn over(self, link: &Link) -> Compression {
        let is_far = || matches!(link, Link::Tcp { host, .. } if !address::is_loopback(host));
        match self {
            Compress::Always => Compression::Wanted,
            Compress::Auto if is_far() => Compression::Wanted,
            Compress::Auto | Compress::Never => Compression::Unwanted,
        }
    }
}

/// Every key of the table, read but not yet brought together.
struct Raw<'t> {
    kind: Option<Spanned<Kind>>,
    host: Option<String>,
    port: Option<u16>,
    username: Option<String>,
    written: Written,
    mechanisms: Option<Vec<Mechanism>>,
    starttls: Option<Spanned<bool>>,
    tls: TlsOptions,
    command: Option<&'t str>,
    stderr: TunnelStderr,
    timeout: Duration,
    compress: Compress,
    disable_extensions: Vec<String>,
    prefix: Option<String>,
    writing: Writing,
    tree: tree::Written,
}

/// Reads a side's table. `None` if something in it is wrong, which has been noted.
pub(super) fn read(reader: &mut Reader<'_, '_>, side: Side, around: &Surroundings<'_>) -> Option<Configured> {
    let raw = read_keys(reader, around);
    let Some(kind) = &raw.kind else {
        if !reader.holds("type") {
            reader.missing("type", "write type = \"imaps\", type = \"imap\", type = \"tunnel\" or type = \"maildir\"");
        }
        return None;
    };
    match *kind.get_ref() {
        Kind::Server(scheme) => server(reader, raw, scheme, side, around),
        Kind::Tunnel => tunnel(reader, raw, side, around),
        Kind::Maildir => maildir(reader, raw),
        Kind::Later => {
            let help = "the types that are there: \"imaps\", \"imap\", \"tunnel\", \"maildir\"";
            reader.findings.error(kind.span(), "this type is not there yet", help);
            None
        }
    }
}

fn server(
    reader: &mut Reader<'_, '_>,
    raw: Raw<'_>,
    scheme: Scheme,
    side: Side,
    around: &Surroundings<'_>,
) -> Option<Configured> {
    let word = scheme.as_str();
    refuse_keys_of_a_maildir(reader, word);
    for key in ["command", "null-stderr"] {
        refuse(reader, key, &format!("type = \"{word}\""), "leave it out, or write type = \"tunnel\"");
    }
    if scheme == Scheme::Imaps {
        refuse(reader, "starttls", "type = \"imaps\", which is protected from the first octet", "leave it out");
    }
    for (key, help) in [("host", "write host = \"imap.example.org\""), ("username", "write username = \"alice\"")] {
        if !reader.holds(key) {
            reader.missing(key, help);
        }
    }
    let plain = scheme == Scheme::Imap && raw.starttls.as_ref().is_some_and(|starttls| !starttls.get_ref());
    if plain {
        refuse(reader, "tls", "starttls = false", "leave one of the two out");
    }
    let (host, username) = (raw.host.clone()?, raw.username.clone()?);
    let at = reader.key_span("starttls").unwrap_or_else(|| reader.header());
    if plain && !address::is_loopback(&host) {
        let message = format!("the password goes to \"{host}\" in the clear, where everybody on the way can read it");
        reader.findings.warning(at, message, "leave starttls = false out, or write type = \"imaps\"");
    }
    let unchecked = raw.tls.verification == Verification::Off && raw.tls.fingerprints.is_empty();
    if unchecked && !plain && !address::is_loopback(&host) {
        let at = reader.key_span("tls").unwrap_or_else(|| reader.header());
        let message = format!("nothing proves that it is \"{host}\" that gets the password");
        reader.findings.warning(at, message, "leave verify = false out, or add a fingerprint");
    }
    let protection = match scheme {
        Scheme::Imaps => Protection::Tls(raw.tls.clone()),
        Scheme::Imap if plain => Protection::Plain,
        Scheme::Imap => Protection::StartTls(raw.tls.clone()),
    };
    let port = raw.port.unwrap_or(scheme.default_port());
    let link = Link::Tcp { host: host.clone(), port, protection };
    let place = format!("at {host}");
    let address = Address::Server { scheme, username, host, port };
    Some(session(raw, link, address, &place, side, around))
}

fn tunnel(reader: &mut Reader<'_, '_>, raw: Raw<'_>, side: Side, around: &Surroundings<'_>) -> Option<Configured> {
    refuse_keys_of_a_maildir(reader, "tunnel");
    for key in ["host", "port", "starttls", "tls"] {
        let help = "a tunnel leads where its command leads: leave it out, or write type = \"imaps\"";
        refuse(reader, key, "type = \"tunnel\"", help);
    }
    if !reader.holds("username") {
        for key in ["password-command", "password-file", "password", "auth"] {
            let help = "add username, or leave it out if the session is already authenticated";
            refuse(reader, key, "a tunnel without \"username\"", help);
        }
    }
    if !reader.holds("command") {
        reader.missing("command", "write command = \"ssh user@host doveadm exec imap\"");
    }
    let command = raw.command?.to_owned();
    let link = Link::Tunnel { command: command.clone(), stderr: raw.stderr };
    Some(session(raw, link, Address::Tunnel { command }, "behind the tunnel", side, around))
}

fn maildir(reader: &mut Reader<'_, '_>, raw: Raw<'_>) -> Option<Configured> {
    let tree = tree::endpoint(reader, raw.tree, raw.writing)?;
    let address = Address::Maildir { path: tree.path.clone() };
    Some(Configured { endpoint: Endpoint::Maildir(tree), address, writing: raw.writing })
}

fn session(
    raw: Raw<'_>,
    link: Link,
    address: Address,
    place: &str,
    side: Side,
    around: &Surroundings<'_>,
) -> Configured {
    let login =
        raw.username.map(|username| login(username, raw.written, raw.mechanisms, place, side, &around.terminal));
    let compression = raw.compress.over(&link);
    let endpoint = Endpoint::Imap(imap::Endpoint {
        link,
        login,
        timeout: raw.timeout,
        compression,
        disable_extensions: raw.disable_extensions,
        prefix: raw.prefix,
        trace: None,
    });
    Configured { endpoint, address, writing: raw.writing }
}

/// Who logs in, by the mechanisms that are named or by all that are there. The place is for the prompt: `at HOST`.
pub(super) fn login(
    username: String,
    written: Written,
    mechanisms: Option<Vec<Mechanism>>,
    place: &str,
    side: Side,
    terminal: &Arc<Terminal>,
) -> Login {
    let of = format!("\"{username}\" {place} (the {side} side)");
    let password: Arc<dyn PasswordSource> = Arc::new(Password { side, of, written, terminal: terminal.clone() });
    // PLAIN carries names and passwords beyond ASCII, the LOGIN command does not (RFC 9051 §6.2.3).
    let mechanisms = mechanisms.unwrap_or_else(|| vec![Mechanism::Plain, Mechanism::Login]);
    Login { username, password, mechanisms }
}

fn read_keys<'t>(reader: &mut Reader<'t, '_>, around: &Surroundings<'_>) -> Raw<'t> {
    let timeout = read_timeout(reader).unwrap_or(DEFAULT_TIMEOUT);
    Raw {
        kind: reader.word("type", KINDS),
        host: read_host(reader),
        port: reader.number("port", 1..=u16::MAX).map(Spanned::into_inner),
        username: reader.line("username", "alice").map(|name| name.into_inner().to_owned()),
        written: read_password(reader, timeout, around),
        mechanisms: read_mechanisms(reader),
        starttls: reader.choice("starttls"),
        tls: read_tls(reader, around),
        command: reader.line("command", "doveadm exec imap").map(Spanned::into_inner),
        stderr: match reader.choice("null-stderr").map(Spanned::into_inner) {
            Some(true) => TunnelStderr::Discarded,
            _ => TunnelStderr::Logged,
        },
        timeout,
        compress: read_compress(reader),
        disable_extensions: read_extensions(reader),
        prefix: read_prefix(reader),
        writing: match reader.choice("read-only").map(Spanned::into_inner) {
            Some(true) => Writing::Refused,
            _ => Writing::Allowed,
        },
        tree: tree::read_keys(reader, around),
    }
}

fn refuse_keys_of_a_maildir(reader: &mut Reader<'_, '_>, kind: &str) {
    for key in tree::KEYS {
        let help = "leave it out, or write type = \"maildir\"";
        refuse(reader, key, &format!("type = \"{kind}\""), help);
    }
}

/// Notes that a key does not go with another one.
pub(super) fn refuse(reader: &mut Reader<'_, '_>, key: &str, with: &str, help: &str) {
    if let Some(at) = reader.key_span(key) {
        reader.findings.error(at, format!("\"{key}\" does not go with {with}"), help);
    }
}

fn read_host(reader: &mut Reader<'_, '_>) -> Option<String> {
    let text = reader.line("host", "imap.example.org")?;
    let host = address::host(text.get_ref());
    if host.is_none() {
        let help = match text.get_ref().rsplit_once(':') {
            Some((host, port)) if port.parse::<u16>().is_ok() && address::host(host).is_some() => {
                format!("write host = \"{host}\" and port = {port}")
            }
            _ => "write a name, or an address; one of IPv6 may stand in brackets".to_owned(),
        };
        reader.findings.error(text.span(), "\"host\" is neither a name nor an address", help);
    }
    host
}

fn read_password(reader: &mut Reader<'_, '_>, timeout: Duration, around: &Surroundings<'_>) -> Written {
    const SOURCES: [&str; 3] = ["password-command", "password-file", "password"];
    let given: Vec<&str> = SOURCES.into_iter().filter(|key| reader.holds(key)).collect();
    if let [first, others @ ..] = given.as_slice() {
        for other in others {
            refuse(reader, other, &format!("\"{first}\""), "one source of the password is enough");
        }
    }
    if let Some(at) = reader.key_span("password").filter(|_| around.privacy != Privacy::Private) {
        let message = format!("this file holds a password and {}", around.privacy);
        let help = match around.privacy {
            Privacy::Foreign(_) => "use password-command or password-file instead".to_owned(),
            _ => format!("run: chmod 600 {}", quoted(&around.file)),
        };
        reader.findings.error(at, message, help);
    }
    let command = reader.line("password-command", "pass show mail/work");
    let file = read_path(reader, "password-file", "~/.config/interimap/password", around);
    let password = reader.text("password", "…").map(Spanned::into_inner);
    match (command, file, password) {
        (Some(command), ..) => Written::Command(command.into_inner().to_owned(), timeout),
        (None, Some(path), _) => Written::File(path),
        (None, None, Some(password)) => Written::Password(Zeroizing::new(password.to_owned())),
        (None, None, None) => Written::Nothing,
    }
}

fn read_mechanisms(reader: &mut Reader<'_, '_>) -> Option<Vec<Mechanism>> {
    let named = reader.words("auth", MECHANISMS)?;
    let there: Vec<Mechanism> = named.get_ref().iter().copied().flatten().collect();
    if named.get_ref().is_empty() {
        reader.findings.error(named.span(), "\"auth\" names no mechanism", "leave it out for the strongest one");
    } else if there.len() < named.get_ref().len() {
        let help = "the mechanisms that are there: \"plain\", \"login\"";
        reader.findings.error(named.span(), "one of these mechanisms is not there yet", help);
    }
    Some(there)
}

fn read_tls(reader: &mut Reader<'_, '_>, around: &Surroundings<'_>) -> TlsOptions {
    let mut options = TlsOptions::default();
    let Some(mut tls) = reader.table("tls", Place::Tls, "write tls = { verify = true }") else { return options };
    options.ca_file = read_path(&mut tls, "ca-file", "/etc/ssl/certs/ca.pem", around);
    const VERSIONS: &[(&str, TlsVersion)] =
        &[("1.2", TlsVersion::V1_2), ("1.3", TlsVersion::V1_3), ("1.1", TlsVersion::V1_1), ("1.0", TlsVersion::V1_0)];
    if let Some(version) = tls.word("min-version", VERSIONS) {
        options.min_version = version.into_inner();
    }
    if let Some(name) = tls.line("hostname", "imap.example.org") {
        options.hostname = address::host(name.get_ref());
        if options.hostname.is_none() {
            tls.findings.error(name.span(), "\"hostname\" is neither a name nor an address", "write a name");
        }
    }
    if tls.choice("verify").map(Spanned::into_inner) == Some(false) {
        options.verification = Verification::Off;
    }
    let pins = tls.texts("fingerprint", "sha256:…").map(Spanned::into_inner).unwrap_or_default();
    for pin in pins {
        match fingerprint(pin.get_ref()) {
            Some(digest) => options.fingerprints.push(digest),
            None => {
                let help = "write \"sha256:\" and 64 hexadecimal digits, with or without colons between them";
                tls.findings.error(pin.span(), "this is no fingerprint of a public key", help);
            }
        }
    }
    options
}

/// `sha256:` and 32 octets in hexadecimal digits, with or without colons.
fn fingerprint(text: &str) -> Option<[u8; 32]> {
    let digits = text.strip_prefix("sha256:")?;
    let digits: Vec<u32> =
        digits.chars().filter(|sign| *sign != ':').map(|sign| sign.to_digit(16)).collect::<Option<_>>()?;
    let octets: Vec<u8> = digits.chunks_exact(2).filter_map(|pair| u8::try_from(pair[0] * 16 + pair[1]).ok()).collect();
    if digits.len() == 64 { octets.try_into().ok() } else { None }
}

fn read_compress(reader: &mut Reader<'_, '_>) -> Compress {
    let Some(value) = reader.value("compress") else { return Compress::Auto };
    match (value.get_ref().as_bool(), value.get_ref().as_str()) {
        (Some(true), _) => Compress::Always,
        (Some(false), _) => Compress::Never,
        (None, Some("auto")) => Compress::Auto,
        (None, _) => {
            let help = "leave it out, or write compress = false";
            reader.findings.error(value.span(), "\"compress\" has to be \"auto\", true or false", help);
            Compress::Auto
        }
    }
}

fn read_timeout(reader: &mut Reader<'_, '_>) -> Option<Duration> {
    let text = reader.with_unit("timeout", "60s")?;
    match units::duration(text.get_ref()) {
        Ok(timeout) if TIMEOUTS.contains(&timeout) => return Some(timeout),
        Ok(_) => {
            reader.findings.error(text.span(), "\"timeout\" is out of range", "write a time from \"1s\" to \"1h\"");
        }
        Err(help) => reader.findings.error(text.span(), "\"timeout\" is no time", help),
    }
    None
}

fn read_extensions(reader: &mut Reader<'_, '_>) -> Vec<String> {
    let names = reader.texts("disable-extensions", "QRESYNC").map(Spanned::into_inner).unwrap_or_default();
    let mut extensions = Vec::with_capacity(names.len());
    for name in names {
        let written = name.get_ref();
        // RFC 9051 §9, `capability`: an atom.
        match !written.is_empty() && written.bytes().all(|b| b.is_ascii_graphic() && !b"(){%*\"\\]".contains(&b)) {
            true => extensions.push(written.to_ascii_uppercase()),
            false => {
                let help = "write it as the server does: \"COMPRESS=DEFLATE\"";
                reader.findings.error(name.span(), "this is no name of an extension", help);
            }
        }
    }
    extensions
}

fn read_prefix(reader: &mut Reader<'_, '_>) -> Option<String> {
    let prefix = reader.text("prefix", "INBOX.")?;
    if prefix.get_ref().chars().any(char::is_control) {
        reader.findings.error(prefix.span(), "\"prefix\" holds a control character", "write prefix = \"INBOX.\"");
    }
    Some(prefix.into_inner().to_owned())
}

/// A path, with `~` and variables at its beginning expanded; a relative one begins beside the file.
pub(super) fn read_path(
    reader: &mut Reader<'_, '_>,
    key: &str,
    example: &str,
    around: &Surroundings<'_>,
) -> Option<PathBuf> {
    let text = reader.line(key, example)?;
    match around.environment.expand(text.get_ref(), &around.base) {
        Ok(path) => Some(path),
        Err(why) => {
            reader.findings.error(text.span(), format!("\"{key}\" means no path: {why}"), "write the whole path");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_read_with_and_without_colons() {
        let hex = "00".repeat(31) + "fF";
        let colons = format!("sha256:{}", ["00"; 31].join(":") + ":fF");
        let mut digest = [0; 32];
        digest[31] = 255;
        for (text, read) in [
            (format!("sha256:{hex}"), Some(digest)),
            (colons, Some(digest)),
            (hex.clone(), None),
            (format!("sha1:{hex}"), None),
            (format!("sha256:{}", &hex[1..]), None),
            (format!("sha256:{hex}00"), None),
            ("sha256:".to_owned() + &"gg".repeat(32), None),
        ] {
            assert_eq!(fingerprint(&text), read, "{text}");
        }
    }
}
