//! The configuration: TOML, or two addresses, become accounts. Reads one file; connects to nothing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use toml::Spanned;
use toml::de::DeTable;
use zeroize::Zeroizing;

use crate::mail::{Both, Side};
use crate::plan::Policy;
use crate::report::printable;
use crate::store::imap::{self, Connections, Link, Protection, TlsOptions, TunnelStderr};
use crate::store::maildir;

mod account;
mod address;
mod finding;
mod keys;
mod password;
mod paths;
mod reader;
mod side;
mod tree;
mod units;

#[cfg(test)]
mod tests;

pub use address::{Address, AddressError, Scheme};
pub use finding::{Finding, Place, Severity};
pub use keys::{KEYS, Key, Place as TableKind, Standing, nearest};
pub use paths::Environment;

use finding::Findings;
use password::{Privacy, Terminal, Written};
use side::{Compress, Surroundings};

/// No configuration is larger, in octets.
const LARGEST: u64 = 1024 * 1024;

/// What a configuration says.
#[derive(Clone, Debug)]
pub struct Config {
    /// The accounts by name; never none.
    pub accounts: BTreeMap<String, Account>,
    /// What is doubtful about it.
    pub warnings: Vec<Finding>,
}

/// One pair of sides.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its name, safe as a part of a file name, or, where two addresses are all there is, a user and a host.
    pub name: String,
    /// What is wanted of it.
    pub policy: Policy,
    /// Where its sides are.
    pub endpoints: Both<Endpoint>,
    /// How many connections to a server there may be at a time.
    pub connections: Connections,
    /// What the state is bound to: whose mail it is on each side, without secrets, the same at every run.
    pub addresses: Both<String>,
    /// Where its state is.
    pub database: PathBuf,
}

/// Where a side is, and how it is opened.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there are two of them an account")]
pub enum Endpoint {
    /// An IMAP session.
    Imap(imap::Endpoint),
    /// A tree of Maildirs.
    Maildir(maildir::Endpoint),
}

/// Why there is no configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// There is no such file.
    Missing(PathBuf),
    /// It cannot be read, for this reason.
    Unreadable(PathBuf, String),
    /// There is no directory that it could be in.
    Homeless(String),
    /// Something is wrong with it: at least one finding is an error.
    Wrong(Vec<Finding>),
}

impl Config {
    /// Reads the configuration from a file.
    pub fn load(path: &Path, environment: &Environment) -> Result<Config, ConfigError> {
        let unreadable = |error: std::io::Error| match error.kind() {
            ErrorKind::NotFound => ConfigError::Missing(path.to_owned()),
            _ => ConfigError::Unreadable(path.to_owned(), error.to_string()),
        };
        let file = File::open(path).map_err(unreadable)?;
        let privacy = Privacy::of(&file).map_err(unreadable)?;
        // It may hold passwords. The buffer has its full size at once, so that no part of it is left behind.
        let size = file.metadata().map_or(0, |facts| facts.len()).min(LARGEST);
        let mut octets = Zeroizing::new(Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 64));
        file.take(LARGEST + 1).read_to_end(&mut octets).map_err(unreadable)?;
        if octets.len() as u64 > LARGEST {
            return Err(ConfigError::Unreadable(path.to_owned(), format!("it is larger than {LARGEST} octets")));
        }
        let text = std::str::from_utf8(&octets);
        let text = text.map_err(|_| ConfigError::Unreadable(path.to_owned(), "it is not valid UTF-8".to_owned()))?;
        Config::read(text, path, privacy, environment).map_err(ConfigError::Wrong)
    }

    fn read(text: &str, path: &Path, privacy: Privacy, environment: &Environment) -> Result<Config, Vec<Finding>> {
        let mut findings = Findings::new(path.display().to_string(), text);
        let (root, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            // What the parser made of the rest is a guess; complaining about it would mislead.
            for error in errors {
                let at = error.span().unwrap_or(0..0);
                findings.error(at, format!("this is no TOML: {}", error.message()), "");
            }
            return Err(findings.finish().0);
        }
        let around = Surroundings {
            file: path.to_owned(),
            base: path.parent().map(Path::to_owned).unwrap_or_default(),
            privacy,
            environment,
            terminal: Arc::new(Terminal::default()),
        };
        let accounts = read_accounts(root.get_ref(), &around, &mut findings);
        match findings.finish() {
            (warnings, Severity::Warning) => Ok(Config { accounts, warnings }),
            (wrong, Severity::Error) => Err(wrong),
        }
    }

    /// Two addresses, without a file: `interimap sync --remote … --local …`.
    pub fn of_addresses(
        addresses: Both<Address>,
        password_command: Option<String>,
        environment: &Environment,
    ) -> Result<Config, ConfigError> {
        let texts = addresses.as_ref().map(Address::to_string);
        // The same two addresses find the same state again, whatever signs they hold.
        let digest = Sha256::digest(format!("{}\0{}", texts.remote, texts.local));
        let file: String = digest.iter().take(8).map(|octet| format!("{octet:02x}")).collect();
        let state_directory = environment.state_directory().map_err(ConfigError::Homeless)?;
        let database = state_directory.join("addresses").join(format!("{file}.db"));
        let terminal = Arc::new(Terminal::default());
        // The command is for the side that needs a password; where both do, for the remote one.
        let served = match addresses.remote {
            Address::Server { .. } => Side::Remote,
            Address::Tunnel { .. } | Address::Maildir { .. } => Side::Local,
        };
        let endpoints = Both::from_fn(|side| {
            let written = match &password_command {
                Some(command) if side == served => Written::Command(command.clone(), side::DEFAULT_TIMEOUT),
                _ => Written::Nothing,
            };
            endpoint_of(&addresses[side], side, written, &terminal)
        });
        if let Some(message) = overlap(&endpoints) {
            return Err(ConfigError::Wrong(vec![Finding {
                severity: Severity::Error,
                message: message.to_owned(),
                place: None,
                help: Some(APART.to_owned()),
            }]));
        }
        let name = match (&addresses.remote, &addresses.local) {
            (Address::Server { username, host, .. }, _) | (_, Address::Server { username, host, .. }) => {
                printable(&format!("{username}@{host}")).into_owned()
            }
            (Address::Tunnel { .. }, _) | (_, Address::Tunnel { .. }) => "tunnel".to_owned(),
            (Address::Maildir { .. }, Address::Maildir { .. }) => "maildir".to_owned(),
        };
        let account = Account {
            name: name.clone(),
            policy: Policy::two_way(),
            endpoints,
            connections: Connections::USUAL,
            addresses: addresses.as_ref().map(Address::identity),
            database,
        };
        Ok(Config { accounts: BTreeMap::from([(name, account)]), warnings: Vec::new() })
    }
}

/// What to do about two sides that share files.
const APART: &str = "give each side a directory of its own, neither inside the other";

/// What two sides have in common that must not have anything in common.
fn overlap(endpoints: &Both<Endpoint>) -> Option<&'static str> {
    match endpoints {
        Both { local: Endpoint::Maildir(local), remote: Endpoint::Maildir(remote) } => {
            tree::overlap(Both { local, remote })
        }
        _ => None,
    }
}

fn endpoint_of(address: &Address, side: Side, written: Written, terminal: &Arc<Terminal>) -> Endpoint {
    let (link, login) = match address {
        Address::Server { scheme, username, host, port } => {
            let protection = match scheme {
                Scheme::Imaps => Protection::Tls(TlsOptions::default()),
                Scheme::Imap => Protection::StartTls(TlsOptions::default()),
            };
            let login = side::login(username.clone(), written, None, &format!("at {host}"), side, terminal);
            (Link::Tcp { host: host.clone(), port: *port, protection }, Some(login))
        }
        Address::Tunnel { command } => (Link::Tunnel { command: command.clone(), stderr: TunnelStderr::Logged }, None),
        Address::Maildir { path } => return Endpoint::Maildir(tree::tree_at(path.clone())),
    };
    let timeout: Duration = side::DEFAULT_TIMEOUT;
    let compression = Compress::Auto.over(&link);
    let disable_extensions = Vec::new();
    Endpoint::Imap(imap::Endpoint { link, login, timeout, compression, disable_extensions, prefix: None, trace: None })
}

fn read_accounts<'t>(
    root: &'t DeTable<'t>,
    around: &Surroundings<'_>,
    findings: &mut Findings<'t>,
) -> BTreeMap<String, Account> {
    const HELP: &str = "write [account.NAME], [account.NAME.local] and [account.NAME.remote]";
    let mut accounts: BTreeMap<String, Account> = BTreeMap::new();
    let state_directory = around.environment.state_directory();
    if let Err(why) = &state_directory {
        findings.error(0..0, format!("there is no place for the state: {why}"), "set $HOME");
    }
    for (key, value) in root.iter() {
        if key.get_ref() != "account" {
            let help = match nearest(key.get_ref(), ["account"]) {
                Some(near) => format!("the nearest key that exists is \"{near}\""),
                None => HELP.to_owned(),
            };
            findings.error(key.span(), format!("a configuration has no key \"{}\"", key.get_ref()), help);
            continue;
        }
        let Some(tables) = value.get_ref().as_table() else {
            findings.error(value.span(), "\"account\" has to be a table of accounts", HELP);
            continue;
        };
        for (name, value) in tables.iter() {
            let Some(table) = value.get_ref().as_table() else {
                findings.error(value.span(), format!("the account \"{}\" has to be a table", name.get_ref()), HELP);
                continue;
            };
            let spanned = Spanned::new(name.span(), name.get_ref().as_ref());
            let table = Spanned::new(value.span(), table);
            let read = account::read(&spanned, &table, around, state_directory.clone().ok(), findings);
            let Some(account) = read else { continue };
            if let Some(other) = accounts.values().find(|other| other.database == account.database) {
                let message = format!("this account and \"{}\" would share a database", other.name);
                findings.error(name.span(), message, "give each of them a \"database\" of its own, or leave it out");
            }
            accounts.insert(account.name.clone(), account);
        }
    }
    if root.is_empty()
        || root.get("account").is_some_and(|value| value.get_ref().as_table().is_some_and(DeTable::is_empty))
    {
        findings.error(0..0, "there is no account", HELP);
    }
    accounts
}
