//! The manual pages and the example say what the program does: no more, no less.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use interimap::config::{Config, Endpoint, Environment, KEYS, Standing, TableKind};

const EXAMPLE: &str = include_str!("../interimap.toml.example");
const PAGE_OF_THE_FILE: &str = include_str!("../man/interimap.toml.5");

#[test]
fn the_manual_page_is_the_one_the_program_prints() {
    let written = include_str!("../man/interimap.1");
    assert_eq!(written, interimap::cli::manual(), "run: cargo run man > man/interimap.1");
}

#[test]
fn the_manual_page_is_plain_text_for_roff() {
    for (name, page) in [("interimap.1", include_str!("../man/interimap.1")), ("interimap.toml.5", PAGE_OF_THE_FILE)] {
        assert!(page.is_ascii(), "{name} holds what old readers of manual pages cannot show");
        for macro_name in page.lines().filter_map(|line| line.strip_prefix('.')?.split(' ').next()) {
            let known = [
                "br", "TH", "SH", "SS", "TP", "PP", "IP", "B", "BR", "BI", "I", "IR", "RS", "RE", "EX", "EE", "ie",
                "el",
            ];
            assert!(known.contains(&macro_name), "{name}: .{macro_name}");
        }
    }
}

#[test]
fn the_version_stands_in_both_manual_pages() {
    let version = concat!("\"interimap ", env!("CARGO_PKG_VERSION"), "\"");
    assert!(include_str!("../man/interimap.1").contains(version));
    assert!(PAGE_OF_THE_FILE.contains(version));
}

/// The bold words of the first line below each `.TP`, section by section.
fn described() -> BTreeSet<(TableKind, String)> {
    let mut described = BTreeSet::new();
    let mut kind = None;
    let mut lines = PAGE_OF_THE_FILE.lines();
    while let Some(line) = lines.next() {
        match line {
            ".SH \"KEYS OF AN ACCOUNT\"" => kind = Some(TableKind::Account),
            ".SH \"KEYS OF A SIDE\"" => kind = Some(TableKind::Side),
            ".SH \"KEYS OF TLS\"" => kind = Some(TableKind::Tls),
            // The rules of "rename" stand indented among the keys of an account.
            ".RS" if kind == Some(TableKind::Account) => kind = Some(TableKind::Rename),
            ".RE" => kind = Some(TableKind::Account),
            line if line.starts_with(".SH") => kind = None,
            ".TP" => {
                let heading = lines.next().unwrap();
                let Some(kind) = kind else { continue };
                let words = heading.strip_prefix(".BR ").or_else(|| heading.strip_prefix(".B ")).expect(heading);
                // Every other word is bold; those between are in quotes.
                let bold = words.split('"').step_by(2).map(str::trim).filter(|word| !word.is_empty());
                described.extend(bold.map(|word| (kind, word.replace('\\', ""))));
            }
            _ => {}
        }
    }
    described
}

#[test]
fn the_manual_page_of_the_file_has_every_key_and_no_other() {
    let known: BTreeSet<(TableKind, String)> = KEYS.iter().map(|key| (key.place, key.name.to_owned())).collect();
    assert_eq!(described(), known);
}

fn read(text: &str) -> Config {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("interimap.toml");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let environment = Environment::new(|name| (name == "HOME").then(|| OsString::from("/home/alice")));
    Config::load(&path, &environment).unwrap_or_else(|error| panic!("{error:#?}\n{text}"))
}

/// A line that could be written as it is: it begins with `#` and a key or a table, without a blank between.
fn is_option(line: &str) -> bool {
    line.strip_prefix('#').is_some_and(|rest| rest.starts_with(|sign: char| sign.is_ascii_lowercase() || sign == '['))
}

fn is_not_there_yet(line: &str) -> bool {
    line.ends_with("# not there yet")
}

#[test]
fn the_example_is_a_configuration() {
    let config = read(EXAMPLE);
    assert_eq!(config.accounts.keys().collect::<Vec<_>>(), ["work"]);
    assert_eq!(config.warnings, []);
}

#[test]
fn the_example_is_a_configuration_with_every_option_that_works() {
    let uncommented = |line: &str| match is_option(line) && !is_not_there_yet(line) {
        true => line[1..].to_owned() + "\n",
        false => line.to_owned() + "\n",
    };
    let config = read(&EXAMPLE.lines().map(uncommented).collect::<String>());
    assert_eq!(config.accounts.keys().collect::<Vec<_>>(), ["archive", "home", "work"]);
    assert_eq!(config.warnings, []);
}

#[test]
fn what_the_example_says_of_a_maildirs_defaults_is_so() {
    let lines: Vec<&str> = EXAMPLE.lines().skip_while(|line| !line.starts_with("#[account.home]")).collect();
    let without = |keys: &[&str]| {
        let options = lines.iter().filter(|line| is_option(line)).map(|line| &line[1..]);
        let kept = options.filter(|line| !keys.iter().any(|key| line.starts_with(&format!("{key} = "))));
        // The defaults of the other layout are told in words.
        let text: String =
            kept.take_while(|line| *line != "[account.archive]").map(|line| format!("{line}\n")).collect();
        read(&text).accounts["home"].endpoints.local.clone()
    };
    // What is said of INBOX is where it is looked for, not what is written.
    let (bare, full) = (without(&["layout", "inbox", "names", "keywords", "fsync"]), without(&["inbox"]));
    assert!(matches!(bare, Endpoint::Maildir(_)));
    assert_eq!(format!("{bare:?}"), format!("{full:?}"));
}

#[test]
fn what_the_example_says_of_defaults_is_so() {
    // Only these lines show something else than the default.
    let special = [
        "mailboxes",
        "rename",
        "tls",
        "disable-extensions",
        "prefix",
        "[account.home",
        "type",
        "host",
        "username",
        "password",
    ];
    let uncommented = |line: &str| {
        let option = is_option(line) && !is_not_there_yet(line);
        match option && !special.iter().any(|key| line[1..].starts_with(key)) {
            true => line[1..].to_owned() + "\n",
            false => line.to_owned() + "\n",
        }
    };
    let lines: Vec<&str> = EXAMPLE.lines().take_while(|line| !line.starts_with("#[account.home]")).collect();
    let (bare, full) = (read(EXAMPLE), read(&lines.into_iter().map(uncommented).collect::<String>()));
    let (bare, full) = (&bare.accounts["work"], &full.accounts["work"]);
    assert_eq!(bare.policy, full.policy);
    assert_eq!(bare.database, full.database);
    assert_eq!(format!("{:?}", bare.endpoints), format!("{:?}", full.endpoints));
}

#[test]
fn the_example_shows_every_key() {
    for key in KEYS.iter().filter(|key| !matches!(key.place, TableKind::Rename)) {
        let shows = |line: &str| {
            let line = line.trim_start_matches('#');
            let table = [format!("[account.work.{}]", key.name), format!("tls.{} = ", key.name)];
            let direct =
                line.starts_with(&format!("{} = ", key.name)) || table.iter().any(|form| line.starts_with(form));
            direct
                || key.place == TableKind::Tls
                    && line.starts_with("tls = ")
                    && line.contains(&format!(" {} = ", key.name))
        };
        let lines: Vec<&str> = EXAMPLE.lines().filter(|line| shows(line)).collect();
        assert!(!lines.is_empty(), "{key:?} is not in the example");
        let later = key.standing == Standing::Later;
        assert!(lines.iter().all(|line| is_not_there_yet(line) == later), "{key:?}: {lines:?}");
    }
}
