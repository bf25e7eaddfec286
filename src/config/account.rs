//! `[account.NAME]`: a table becomes a policy, two endpoints and a place for the state.

use std::collections::BTreeSet;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::DeTable;

use crate::mail::{Both, Pattern, Side};
use crate::plan::{Choice, Creation, DeleteMailboxes, Flow, MaxDelete, NameMap, Policy, Rename, Selection, Writing};
use crate::store::imap::Connections;

use super::finding::Findings;
use super::keys::Place;
use super::reader::Reader;
use super::side::{self, Configured, Surroundings};
use super::units;
use super::{APART, Account, overlap};

/// The longest name of an account, in characters.
const LONGEST_NAME: usize = 64;

/// Whether an account may be called that: the name is part of a file name, and of a line in a shell.
fn is_account_name(name: &str) -> bool {
    let sign = |sign: char| sign.is_ascii_alphanumeric() || "._@+-".contains(sign);
    (1..=LONGEST_NAME).contains(&name.len()) && !name.starts_with(['.', '-']) && name.chars().all(sign)
}

/// Reads an account's table. `None` if something in it is wrong, which has been noted.
pub(super) fn read<'t>(
    name: &Spanned<&str>,
    table: &Spanned<&'t DeTable<'t>>,
    around: &Surroundings<'_>,
    state_directory: Option<PathBuf>,
    findings: &mut Findings<'t>,
) -> Option<Account> {
    if !is_account_name(name.get_ref()) {
        let help = "use letters, digits and any of . _ @ + -, 64 at most, neither . nor - at the beginning";
        findings.error(name.span(), "an account cannot be called that", help);
    }
    let title = format!("account.{}", name.get_ref());
    let mut reader = Reader::open(Place::Account, title, table.span(), table.get_ref(), findings);
    let mut policy = read_policy(&mut reader);
    let connections = read_connections(&mut reader);
    let database = read_database(&mut reader, name.get_ref(), around, state_directory);
    let sides = Both::from_fn(|side| read_side(&mut reader, side, around));
    let sides = Both { local: sides.local?, remote: sides.remote? };
    policy.writing = sides.as_ref().map(|side| side.writing);
    if policy.writing == (Both { local: Writing::Refused, remote: Writing::Refused }) {
        let help = "let one of the sides be changed";
        reader.findings.error(reader.header(), "both sides are read-only, so nothing can be done", help);
    }
    let addresses = sides.as_ref().map(|side| side.address.identity());
    let endpoints = sides.map(|side| side.endpoint);
    if let Some(message) = overlap(&endpoints) {
        reader.findings.error(reader.header(), message, APART);
    }
    Some(Account { name: (*name.get_ref()).to_owned(), policy, addresses, endpoints, connections, database: database? })
}

fn read_side(reader: &mut Reader<'_, '_>, side: Side, around: &Surroundings<'_>) -> Option<Configured> {
    let key = side.as_str();
    if !reader.holds(key) {
        reader.missing(key, format!("add a table [{}.{key}]", reader.name()));
        return None;
    }
    let example = format!("write [{}.{key}] and the keys of the side below it", reader.name());
    let mut table = reader.table(key, Place::Side, &example)?;
    side::read(&mut table, side, around)
}

fn read_policy(reader: &mut Reader<'_, '_>) -> Policy {
    let default = Policy::two_way();
    let policy = Policy {
        selection: read_selection(reader),
        names: read_names(reader),
        flow: Both {
            remote: read_flow(reader, "pull").unwrap_or(default.flow.remote),
            local: read_flow(reader, "push").unwrap_or(default.flow.local),
        },
        writing: default.writing,
        creation: read_creation(reader).unwrap_or(default.creation),
        delete_mailboxes: {
            const WORDS: &[(&str, DeleteMailboxes)] = &[
                ("guarded", DeleteMailboxes::Guarded),
                ("always", DeleteMailboxes::Always),
                ("never", DeleteMailboxes::Never),
            ];
            reader.word("delete-mailboxes", WORDS).map_or(default.delete_mailboxes, Spanned::into_inner)
        },
        max_delete: Some(read_max_delete(reader).unwrap_or_default()),
        subscriptions: read_choice(reader, "subscriptions").unwrap_or(default.subscriptions),
    };
    if policy.flow.local.is_empty() && policy.flow.remote.is_empty() {
        let help = "name at least one of \"new\", \"flags\", \"gone\" in one of the two";
        reader.findings.error(reader.header(), "neither \"pull\" nor \"push\" lets anything through", help);
    }
    policy
}

fn read_selection(reader: &mut Reader<'_, '_>) -> Selection {
    let subscribed_only = read_choice(reader, "subscribed-only").unwrap_or(Choice::No);
    let Some(texts) = reader.texts("mailboxes", "*") else {
        return Selection { subscribed_only, ..Selection::everything() };
    };
    let mut patterns = Vec::with_capacity(texts.get_ref().len());
    for text in texts.get_ref() {
        let (pattern, choice) = match text.get_ref().strip_prefix('!') {
            Some(pattern) => (pattern, Choice::No),
            None => (*text.get_ref(), Choice::Yes),
        };
        match pattern.is_empty() || pattern.chars().any(char::is_control) {
            true => {
                let help = "write a name in which * stands for anything and % for anything but /";
                reader.findings.error(text.span(), "this is no pattern of mailbox names", help);
            }
            false => patterns.push((Pattern::new(pattern), choice)),
        }
    }
    let all_read = patterns.len() == texts.get_ref().len();
    if all_read && !patterns.iter().any(|(_, choice)| *choice == Choice::Yes) {
        let help = "put \"*\" before what is excluded; the last pattern that matches wins";
        reader.findings.error(texts.span(), "\"mailboxes\" selects nothing", help);
    }
    Selection { patterns, subscribed_only, only: Vec::new() }
}

fn read_names(reader: &mut Reader<'_, '_>) -> NameMap {
    const EXAMPLE: &str = "{ remote = \"[Gmail]/Sent Mail\", local = \"Sent\" }";
    let Some(tables) = reader.tables("rename", EXAMPLE) else { return NameMap::default() };
    let mut rules = Vec::with_capacity(tables.get_ref().len());
    for table in tables.get_ref() {
        let mut rule = Reader::open(Place::Rename, "rename".to_owned(), table.span(), table.get_ref(), reader.findings);
        for key in ["remote", "local"] {
            if !rule.holds(key) {
                rule.missing(key, format!("write {EXAMPLE}"));
            }
        }
        let (remote, local) = (rule.line("remote", "Lists/*"), rule.line("local", "l/*"));
        let (Some(remote), Some(local)) = (remote, local) else { continue };
        match Rename::new(remote.get_ref(), local.get_ref()) {
            Ok(rename) => rules.push(rename),
            Err(why) => {
                rule.findings.error(table.span(), format!("this rule cannot be: {why}"), format!("write {EXAMPLE}"))
            }
        }
    }
    NameMap::new(rules).unwrap_or_else(|why| {
        let help = "every name can stand in one rule of a side only";
        reader.findings.error(tables.span(), format!("these rules cannot be: {why}"), help);
        NameMap::default()
    })
}

fn read_flow(reader: &mut Reader<'_, '_>, key: &str) -> Option<BTreeSet<Flow>> {
    const WORDS: &[(&str, Flow)] = &[("new", Flow::New), ("flags", Flow::Flags), ("gone", Flow::Gone)];
    Some(reader.words(key, WORDS)?.into_inner().into_iter().collect())
}

fn read_creation(reader: &mut Reader<'_, '_>) -> Option<Both<Creation>> {
    use Creation::{Allowed, Refused};
    const WORDS: &[(&str, Both<Creation>)] = &[
        ("both", Both { local: Allowed, remote: Allowed }),
        ("local", Both { local: Allowed, remote: Refused }),
        ("remote", Both { local: Refused, remote: Allowed }),
        ("none", Both { local: Refused, remote: Refused }),
    ];
    reader.word("create", WORDS).map(Spanned::into_inner)
}

fn read_max_delete(reader: &mut Reader<'_, '_>) -> Option<MaxDelete> {
    let text = reader.with_unit("max-delete", "50%")?;
    units::max_delete(text.get_ref())
        .map_err(|help| {
            reader.findings.error(text.span(), "\"max-delete\" is neither a share nor a number of messages", help)
        })
        .ok()
}

fn read_choice(reader: &mut Reader<'_, '_>, key: &str) -> Option<Choice> {
    let choice = reader.choice(key)?;
    Some(if choice.into_inner() { Choice::Yes } else { Choice::No })
}

fn read_connections(reader: &mut Reader<'_, '_>) -> Connections {
    let number = reader.number("connections", 1..=Connections::MOST.get().into()).map(Spanned::into_inner);
    let number = number.and_then(|number| u8::try_from(number).ok());
    number.and_then(Connections::new).unwrap_or(Connections::USUAL)
}

/// Where the state is: a relative path begins in the directory of all states.
fn read_database(
    reader: &mut Reader<'_, '_>,
    name: &str,
    around: &Surroundings<'_>,
    state_directory: Option<PathBuf>,
) -> Option<PathBuf> {
    if !reader.holds("database") {
        return Some(state_directory?.join(format!("{name}.db")));
    }
    let text = reader.line("database", "~/.local/share/interimap/mail.db")?;
    let base = state_directory.unwrap_or_else(|| around.base.clone());
    match around.environment.expand(text.get_ref(), &base) {
        Ok(path) => Some(path),
        Err(why) => {
            reader.findings.error(text.span(), format!("\"database\" means no path: {why}"), "write the whole path");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_names_are_safe_in_file_names() {
        for (name, allowed) in [
            ("work", true),
            ("alice@example.org", true),
            ("a.b_c+d-e", true),
            ("", false),
            (".", false),
            ("..", false),
            ("-n", false),
            ("a/b", false),
            ("a b", false),
            ("ü", false),
            (&"x".repeat(64), true),
            (&"x".repeat(65), false),
        ] {
            assert_eq!(is_account_name(name), allowed, "{name}");
        }
    }
}
