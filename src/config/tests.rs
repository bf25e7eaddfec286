//! Configurations, good and bad: what they mean, and what is said about them.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;

use super::*;
use crate::mail::{Access, MailboxName, Pattern};
use crate::plan::{Choice, Creation, DeleteMailboxes, Flow, MaxDelete, NameMap, Rename, Writing};
use crate::store::imap::{Compression, Mechanism, TlsVersion, Verification};
use crate::store::maildir::{Durability, Endpoint as Tree, KeywordStorage, Layout, NameEncoding};

fn environment() -> Environment {
    Environment::new(|name| (name == "HOME").then(|| OsString::from("/home/alice")))
}

fn read(text: &str) -> Result<Config, Vec<Finding>> {
    Config::read(text, Path::new("/c/interimap.toml"), Privacy::Private, &environment())
}

fn account(text: &str) -> Account {
    let mut config = read(text).unwrap_or_else(|findings| panic!("{text}:\n{}", shown(&findings)));
    config.accounts.pop_first().unwrap().1
}

/// The session of a side that is one.
fn session(endpoint: Endpoint) -> imap::Endpoint {
    match endpoint {
        Endpoint::Imap(session) => session,
        Endpoint::Maildir(tree) => panic!("{tree:?}"),
    }
}

fn shown(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("{finding}\n")).collect()
}

/// Two sides that are in order, with lines added to the account and to the remote side.
fn with(account: &str, remote: &str) -> String {
    format!(
        "[account.a]\n{account}\n[account.a.local]\ntype = \"tunnel\"\ncommand = \"x\"\n\
         [account.a.remote]\ntype = \"imaps\"\nhost = \"h\"\nusername = \"u\"\n{remote}\n"
    )
}

/// `complaints.txt` holds one row a configuration: what is written (the whole file, or lines of an account or of a
/// side that is otherwise in order), `---`, and every word of the answer.
#[test]
fn what_is_wrong_with_a_configuration_is_shown_with_its_line() {
    let mut rows = 0;
    for row in include_str!("complaints.txt").split("=== ").skip(1) {
        let (kind, row) = row.split_once('\n').unwrap();
        let (written, expected) = row.split_once("---\n").unwrap();
        let written = written.trim_end_matches('\n');
        let text = match kind {
            "file" => written.to_owned(),
            "account" => with(written, ""),
            "side" => with("", written),
            kind => panic!("no such kind of row: {kind}"),
        };
        let findings = read(&text).expect_err(written);
        assert_eq!(shown(&findings).trim_end(), expected.trim_end(), "{written}");
        assert!(!shown(&findings).contains("geheim"), "{written}");
        rows += 1;
    }
    assert!(rows > 40, "only {rows} rows were found");
}

#[test]
fn a_small_configuration_means_everything_in_both_directions() {
    let account = account(&with("", ""));
    assert_eq!(account.name, "a");
    assert_eq!(account.policy, Policy::two_way());
    assert_eq!(account.database, Path::new("/home/alice/.local/share/interimap/a.db"));
    assert_eq!(account.addresses.local, "tunnel:x");
    assert_eq!(account.addresses.remote, "u@h");
    let imap::Endpoint { link, login, timeout, compression, disable_extensions, prefix, trace } =
        session(account.endpoints.remote);
    assert_eq!(compression, Compression::Wanted);
    let protection = Protection::Tls(TlsOptions::default());
    assert_eq!(link, Link::Tcp { host: "h".to_owned(), port: 993, protection });
    assert_eq!(login.unwrap().mechanisms, [Mechanism::Plain, Mechanism::Login]);
    assert_eq!((timeout, disable_extensions.len(), prefix, trace.is_none()), (Duration::from_secs(60), 0, None, true));
    assert!(session(account.endpoints.local).login.is_none());
}

#[test]
fn every_key_of_an_account_has_its_meaning() {
    let text = with(
        r#"mailboxes = ["*", "!Junk"]
           subscribed-only = true
           rename = [{ remote = "[Gmail]/Sent Mail", local = "Sent" }, { remote = "Lists/*", local = "l/*" }]
           pull = ["new", "flags"]
           push = []
           create = "local"
           delete-mailboxes = "never"
           max-delete = "100 messages"
           subscriptions = false
           connections = 64
           database = "sub/other.db""#,
        "read-only = true",
    );
    let account = account(&text);
    assert_eq!(account.connections, Connections::MOST);
    let policy = account.policy;
    assert_eq!(policy.selection.patterns, [(Pattern::new("*"), Choice::Yes), (Pattern::new("Junk"), Choice::No)],);
    assert_eq!(policy.selection.subscribed_only, Choice::Yes);
    let rules = [("[Gmail]/Sent Mail", "Sent"), ("Lists/*", "l/*")];
    let rules = rules.map(|(remote, local)| Rename::new(remote, local).unwrap()).to_vec();
    assert_eq!(policy.names, NameMap::new(rules).unwrap());
    let sent = policy.names.across(Side::Local, &MailboxName::new("Sent").unwrap()).unwrap();
    assert_eq!(sent.as_str(), "[Gmail]/Sent Mail");
    assert_eq!(policy.flow.remote, BTreeSet::from([Flow::New, Flow::Flags]), "pull is what leaves the remote side");
    assert_eq!(policy.flow.local, BTreeSet::new());
    assert_eq!(policy.creation, Both { local: Creation::Allowed, remote: Creation::Refused });
    assert_eq!(policy.delete_mailboxes, DeleteMailboxes::Never);
    assert_eq!(policy.max_delete, Some(MaxDelete::Messages(100)));
    assert_eq!(policy.subscriptions, Choice::No);
    assert_eq!(policy.writing, Both { local: Writing::Allowed, remote: Writing::Refused });
    assert_eq!(account.database, Path::new("/home/alice/.local/share/interimap/sub/other.db"));
}

#[test]
fn every_key_of_a_side_has_its_meaning() {
    let pin = "ab".repeat(32);
    let text = format!(
        r#"[account.a.local]
           type = "tunnel"
           command = "ssh user@host doveadm exec imap"
           null-stderr = true
           prefix = "INBOX."
           timeout = "5m"
           disable-extensions = ["qresync", "COMPRESS=DEFLATE"]
           compress = false
           [account.a.remote]
           type = "imap"
           host = "[::1]"
           port = 1143
           username = "alice@example.org"
           password-command = "pass show x"
           auth = ["login"]
           starttls = true
           tls = {{ ca-file = "ca.pem", fingerprint = ["sha256:{pin}"], min-version = "1.3", hostname = "Mail.example.org", verify = false }}"#
    );
    let account = account(&text);
    let local = session(account.endpoints.local);
    let command = "ssh user@host doveadm exec imap".to_owned();
    assert_eq!(local.link, Link::Tunnel { command, stderr: TunnelStderr::Discarded });
    assert_eq!((local.prefix.as_deref(), local.timeout), (Some("INBOX."), Duration::from_secs(300)));
    assert_eq!(local.disable_extensions, ["QRESYNC", "COMPRESS=DEFLATE"]);
    let options = TlsOptions {
        ca_file: Some(PathBuf::from("/c/ca.pem")),
        fingerprints: vec![[0xab; 32]],
        min_version: TlsVersion::V1_3,
        hostname: Some("mail.example.org".to_owned()),
        verification: Verification::Off,
    };
    let remote = session(account.endpoints.remote);
    assert_eq!(
        remote.link,
        Link::Tcp { host: "::1".to_owned(), port: 1143, protection: Protection::StartTls(options) }
    );
    let login = remote.login.unwrap();
    assert_eq!((login.username.as_str(), login.mechanisms), ("alice@example.org", vec![Mechanism::Login]));
    assert_eq!(account.addresses.remote, "alice%40example.org@[::1]:1143");
}

/// Left to us, what is far is compressed. What a tunnel does with octets is unknown.
#[test]
fn compression_is_left_to_the_distance_or_said() {
    let remote = |host: &str, line: &str| {
        let text = with("", line).replace("host = \"h\"", &format!("host = \"{host}\""));
        session(account(&text).endpoints.remote).compression
    };
    for (host, auto) in [
        ("mail.example.org", Compression::Wanted),
        ("192.168.1.1", Compression::Wanted),
        ("::ffff:192.168.1.1", Compression::Wanted),
        ("localhost", Compression::Unwanted),
        ("127.1.2.3", Compression::Unwanted),
        ("::1", Compression::Unwanted),
    ] {
        assert_eq!(remote(host, ""), auto, "{host}");
        assert_eq!(remote(host, "compress = \"auto\""), auto, "{host}");
        assert_eq!(remote(host, "compress = true"), Compression::Wanted, "{host}");
        assert_eq!(remote(host, "compress = false"), Compression::Unwanted, "{host}");
    }
    for (line, expected) in [
        ("", Compression::Unwanted),
        ("compress = \"auto\"", Compression::Unwanted),
        ("compress = true", Compression::Wanted),
        ("compress = false", Compression::Unwanted),
    ] {
        let side = |side: &str| format!("[account.a.{side}]\ntype = \"tunnel\"\ncommand = \"{side}\"\n{line}\n");
        let account = account(&(side("local") + &side("remote")));
        assert_eq!(session(account.endpoints.local).compression, expected, "{line}");
    }
}

/// What `path = "~/Mail"` alone means.
fn plain_tree() -> Tree {
    Tree {
        path: PathBuf::from("/home/alice/Mail"),
        layout: Layout::Fs,
        inbox: None,
        names: NameEncoding::Utf8,
        keywords: KeywordStorage::Index,
        durability: Durability::Synced,
        access: Access::ReadWrite,
    }
}

#[test]
fn every_key_of_a_maildir_has_its_meaning() {
    let plain = plain_tree();
    let dovecot = Tree { layout: Layout::MaildirPlusPlus, names: NameEncoding::Utf7, ..plain_tree() };
    for (lines, expected) in [
        ("path = \"~/Mail\"", plain.clone()),
        ("path = \"~/Mail/\"\nlayout = \"fs\"\nnames = \"utf-8\"\nkeywords = \"index\"\nfsync = true", plain.clone()),
        ("path = \"mail/work\"", Tree { path: PathBuf::from("/c/mail/work"), ..plain.clone() }),
        (
            "path = \"$XDG_DATA_HOME/mail\"",
            Tree { path: PathBuf::from("/home/alice/.local/share/mail"), ..plain.clone() },
        ),
        (
            "path = \"~/Mail\"\ninbox = \"~/Mail/inbox/\"",
            Tree { inbox: Some(PathBuf::from("/home/alice/Mail/inbox")), ..plain.clone() },
        ),
        ("path = \"~/Mail\"\nnames = \"utf-7\"", Tree { names: NameEncoding::Utf7, ..plain.clone() }),
        ("path = \"~/Mail\"\nkeywords = \"dovecot\"", Tree { keywords: KeywordStorage::Dovecot, ..plain.clone() }),
        ("path = \"~/Mail\"\nread-only = true", Tree { access: Access::ReadOnly, ..plain.clone() }),
        ("path = \"~/Mail\"\nfsync = false", Tree { durability: Durability::Unsynced, ..plain }),
        ("path = \"~/Mail\"\nlayout = \"maildir++\"", dovecot.clone()),
        ("path = \"~/Mail\"\nlayout = \"maildir++\"\ninbox = \"~/Mail/\"", dovecot.clone()),
        ("path = \"~/Mail\"\nlayout = \"maildir++\"\nnames = \"utf-8\"", Tree { names: NameEncoding::Utf8, ..dovecot }),
    ] {
        // Either side may be a Maildir.
        for (side, other) in [("local", "remote"), ("remote", "local")] {
            let account = account(&format!(
                "[account.a.{side}]\ntype = \"maildir\"\n{lines}\n\
                 [account.a.{other}]\ntype = \"tunnel\"\ncommand = \"x\"\n"
            ));
            let side = if side == "local" { Side::Local } else { Side::Remote };
            let Endpoint::Maildir(tree) = &account.endpoints[side] else { panic!("{lines}") };
            assert_eq!(tree, &expected, "{lines}");
            assert_eq!(account.addresses[side], format!("maildir:{}", expected.path.display()));
            let writing = if expected.access == Access::ReadOnly { Writing::Refused } else { Writing::Allowed };
            assert_eq!(account.policy.writing[side], writing);
        }
    }
}

/// Whoever adds a key has to say whether a Maildir has it.
#[test]
fn every_key_of_a_side_goes_with_a_maildir_or_is_refused() {
    let of_all = ["type", "read-only"];
    for key in KEYS.iter().filter(|key| key.place == TableKind::Side && !of_all.contains(&key.name)) {
        let value = match key.name {
            "port" => "7",
            "starttls" | "null-stderr" | "compress" | "fsync" => "false",
            "auth" => "[\"plain\"]",
            "tls" => "{}",
            "disable-extensions" => "[]",
            "timeout" => "\"60s\"",
            "layout" => "\"fs\"",
            "names" => "\"utf-8\"",
            "keywords" => "\"index\"",
            _ => "\"/x\"",
        };
        let line = format!("{} = {value}\n", key.name);
        let path = if key.name == "path" { "" } else { "path = \"/m\"\n" };
        let of_a_tree = format!(
            "[account.a.local]\ntype = \"maildir\"\n{path}{line}[account.a.remote]\ntype = \"tunnel\"\ncommand = \"x\"\n"
        );
        let of_a_tunnel =
            "[account.a.local]\ntype = \"maildir\"\npath = \"/m\"\n[account.a.remote]\ntype = \"tunnel\"\n".to_owned()
                + if key.name == "command" { "" } else { "command = \"y\"\n" }
                + &line;
        let of_a_server = with("", &line);
        let refused = |text: &str, kind: &str| match read(text) {
            Ok(_) => false,
            Err(findings) => {
                let (findings, word) = (shown(&findings), format!("\"{}\"", key.name));
                let later = findings.starts_with(&format!("{word} is not there yet\n"));
                let foreign = findings.starts_with(&format!("{word} does not go with type = \"{kind}\"\n"));
                later || foreign
            }
        };
        let own = tree::KEYS.contains(&key.name);
        assert_eq!(refused(&of_a_tree, "maildir"), !own, "{}", key.name);
        if own {
            assert!(refused(&of_a_tunnel, "tunnel"), "{}", key.name);
            assert!(refused(&of_a_server, "imaps"), "{}", key.name);
        }
    }
}

#[test]
fn what_is_doubtful_is_a_warning() {
    let side = |lines: &str| {
        format!(
            "[account.a.local]\ntype = \"tunnel\"\ncommand = \"x\"\n[account.a.remote]\nusername = \"u\"\n{lines}\n"
        )
    };
    for (lines, expected) in [
        (
            "type = \"imap\"\nhost = \"mail.example.org\"\nstarttls = false",
            "the password goes to \"mail.example.org\" in the clear, where everybody on the way can read it
 --> /c/interimap.toml:8:1
  |
8 | starttls = false
  | ^^^^^^^^
help: leave starttls = false out, or write type = \"imaps\"\n",
        ),
        (
            "type = \"imaps\"\nhost = \"mail.example.org\"\ntls = { verify = false }",
            "nothing proves that it is \"mail.example.org\" that gets the password
 --> /c/interimap.toml:8:1
  |
8 | tls = { verify = false }
  | ^^^
help: leave verify = false out, or add a fingerprint\n",
        ),
        ("type = \"imap\"\nhost = \"localhost\"\nstarttls = false", ""),
        ("type = \"imap\"\nhost = \"127.0.0.1\"\nstarttls = false", ""),
        ("type = \"imaps\"\nhost = \"::1\"\ntls = { verify = false }", ""),
    ] {
        let config = read(&side(lines)).unwrap();
        assert_eq!(shown(&config.warnings), expected, "{lines}");
        let remote = session(config.accounts["a"].endpoints.remote.clone());
        let Link::Tcp { protection, .. } = remote.link else { panic!("{lines}") };
        assert_eq!(protection == Protection::Plain, lines.contains("starttls = false"), "{lines}");
    }
}

#[test]
fn accounts_never_share_a_database() {
    let account = |name: &str| with("database = \"/x/one.db\"", "").replace("account.a", &format!("account.{name}"));
    let findings = read(&format!("{}{}", account("one"), account("two"))).unwrap_err();
    assert!(shown(&findings).starts_with("this account and \"one\" would share a database\n"), "{}", shown(&findings));
}

#[test]
fn a_file_that_holds_a_password_is_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("interimap.toml");
    for (mode, line, allowed) in [
        (0o600, "password = \"geheim\"", true),
        (0o400, "password = \"geheim\"", true),
        (0o644, "password = \"geheim\"", false),
        (0o620, "password = \"geheim\"", false),
        (0o644, "password-command = \"pass show x\"", true),
    ] {
        fs::write(&path, with("", line)).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        match (Config::load(&path, &environment()), allowed) {
            (Ok(config), true) if line.contains("geheim") => {
                assert!(!format!("{config:?}").contains("geheim"));
                let login = session(config.accounts["a"].endpoints.remote.clone()).login.unwrap();
                assert_eq!(login.password.password().unwrap().as_str(), "geheim");
            }
            (Ok(_), true) => {}
            (Err(ConfigError::Wrong(findings)), false) => assert_eq!(
                shown(&findings),
                format!(
                    "this file holds a password and can be read or changed by others (its mode is {mode:04o})\n  \
                     --> {path}:10:1\n   |\n10 | password = ********\n   | ^^^^^^^^\nhelp: run: chmod 600 {path}\n",
                    path = path.display()
                )
            ),
            (read, _) => panic!("{mode:o} {line}: {read:?}"),
        }
        // A file that only its owner may read cannot be written again by everybody.
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_file_that_cannot_be_read_is_no_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("interimap.toml");
    assert_eq!(Config::load(&path, &environment()).unwrap_err(), ConfigError::Missing(path.clone()));
    fs::write(&path, [0xff]).unwrap();
    let error = Config::load(&path, &environment()).unwrap_err();
    assert_eq!(error, ConfigError::Unreadable(path.clone(), "it is not valid UTF-8".to_owned()));
    fs::write(&path, vec![b'#'; 1024 * 1024 + 1]).unwrap();
    let error = Config::load(&path, &environment()).unwrap_err();
    assert_eq!(error, ConfigError::Unreadable(path, "it is larger than 1048576 octets".to_owned()));
}

fn of_addresses(remote: &str, local: &str) -> Result<Account, ConfigError> {
    let addresses = Both { remote, local }.map(|text| Address::parse(text, &environment()).unwrap());
    let config = Config::of_addresses(addresses, Some("echo geheim".to_owned()), &environment())?;
    Ok(config.accounts.into_values().next().unwrap())
}

#[test]
fn two_addresses_are_an_account() {
    let of = |remote: &str| of_addresses(remote, "tunnel:doveadm exec imap").unwrap();
    let account = of("imaps://alice@mail.example.org");
    assert_eq!(account.name, "alice@mail.example.org");
    assert_eq!(account.database.file_name().unwrap(), "e89a773f0477c9c8.db", "the next release finds it again");
    assert_eq!(account.database, of("imaps://alice@MAIL.example.org:993/").database);
    assert_ne!(account.database, of("imaps://bob@mail.example.org").database);
    assert!(account.database.starts_with("/home/alice/.local/share/interimap/addresses"));
    assert_eq!(account.policy, Policy::two_way());
    assert_eq!(session(account.endpoints.remote).login.unwrap().password.password().unwrap().as_str(), "geheim");
    assert!(session(account.endpoints.local).login.is_none());
}

#[test]
fn a_maildir_may_be_an_address() {
    let of_server = "imaps://alice@mail.example.org";
    for (remote, local, name) in [
        (of_server, "maildir:~/Mail", "alice@mail.example.org"),
        ("maildir:~/Mail", of_server, "alice@mail.example.org"),
        ("maildir:~/Mail", "tunnel:x", "tunnel"),
        ("maildir:~/Mail", "maildir:~/Other", "maildir"),
    ] {
        let account = of_addresses(remote, local).unwrap();
        assert_eq!(account.name, name);
        let mut trees = 0;
        for (endpoint, address) in
            [(account.endpoints.local, account.addresses.local), (account.endpoints.remote, account.addresses.remote)]
        {
            match endpoint {
                Endpoint::Maildir(tree) => {
                    assert_eq!(tree, Tree { path: tree.path.clone(), ..plain_tree() });
                    assert_eq!(address, format!("maildir:{}", tree.path.display()));
                    trees += 1;
                }
                // The side that can need a password gets the command, whichever it is.
                Endpoint::Imap(session) => {
                    let login = session.login.map(|login| login.password.password().unwrap().to_string());
                    assert_eq!(login.as_deref(), address.starts_with("alice").then_some("geheim"), "{remote} {local}");
                }
            }
        }
        assert!(trees > 0, "{remote} {local}");
    }
    let ConfigError::Wrong(findings) = of_addresses("maildir:~/Mail/", "maildir:~//Mail").unwrap_err() else {
        panic!("another error");
    };
    let expected =
        "both sides are the same Maildir\nhelp: give each side a directory of its own, neither inside the other\n";
    assert_eq!(shown(&findings), expected);
}

/// Lines that are nearly those of a configuration.
fn nearly_toml() -> impl Strategy<Value = String> {
    let keys: Vec<&str> = KEYS.iter().map(|key| key.name).chain(["account", "a", "\"a b\"", "zebra"]).collect();
    let values = prop::sample::select(vec![
        "1",
        "-1",
        "0x10",
        "1.5",
        "true",
        "\"\"",
        "\"imaps\"",
        "\"60s\"",
        "\"50%\"",
        "\"~x/y\"",
        "\"maildir\"",
        "\"/x\"",
        "[]",
        "[1, \"a\"]",
        "{}",
        "{ a = 1 }",
        "[{ remote = \"a*\", local = \"b*\" }]",
        "1979-05-27",
        "\"\"\"a\nb\"\"\"",
        "\"unended",
        "\u{fc}",
    ]);
    let headers = prop::sample::select(vec![
        "[account.a]",
        "[account.a.local]",
        "[account.a.remote]",
        "[account.a.remote.tls]",
        "[[account.a.rename]]",
        "[account]",
        "[x",
    ]);
    let line = prop_oneof![
        1 => headers.prop_map(str::to_owned),
        4 => (prop::sample::select(keys), values).prop_map(|(key, value)| format!("{key} = {value}")),
        1 => "\\PC{0,12}",
    ];
    prop::collection::vec(line, 0..20).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn every_text_is_a_configuration_or_is_complained_about(text in nearly_toml()) {
        match read(&text) {
            Ok(config) => prop_assert!(!config.accounts.is_empty()),
            Err(findings) => prop_assert!(findings.iter().any(|finding| finding.severity == Severity::Error)),
        }
    }

    #[test]
    fn a_maildir_is_read_as_it_is_written(path in "[/.~$a ü:%]{1,12}") {
        if let Ok(address) = Address::parse(&format!("maildir:{path}"), &environment()) {
            let Address::Maildir { path } = &address else { panic!("{address:?}") };
            prop_assert!(path.is_absolute());
            prop_assert_eq!(Address::parse(&address.to_string(), &environment()), Ok(address));
        }
    }

    #[test]
    fn an_address_is_read_as_it_is_written(username in "\\PC{1,20}", host in "[a-z]{1,9}(\\.[a-z]{2,5}){0,2}", port in 1..=u16::MAX) {
        let address = Address::Server { scheme: Scheme::Imaps, username, host, port };
        prop_assert_eq!(Address::parse(&address.to_string(), &environment()), Ok(address));
    }
}
