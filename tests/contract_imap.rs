//! The contract of `Store`, held by an IMAP session with a real Dovecot at the end of a tunnel.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "it needs UIDPLUS, so what holds without cannot be asked of it")]
mod contract;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use interimap::store::Store;
use interimap::store::imap::{Compression, Endpoint, ImapStore, Link, TunnelStderr, connect};
use tempfile::TempDir;

/// A mail user of Dovecot's without a daemon: each session is one process on two pipes.
struct Dovecot {
    home: TempDir,
    command: String,
}

impl Dovecot {
    fn new(format: &str, separator: &str, prefix: &str) -> Dovecot {
        Dovecot::with(format, separator, prefix, "")
    }

    fn with(format: &str, separator: &str, prefix: &str, plugins: &str) -> Dovecot {
        let imap = Path::new("/usr/lib/dovecot/imap");
        assert!(imap.exists(), "these tests need Dovecot's IMAP server: install the package dovecot-imapd");
        let home = tempfile::Builder::new().prefix("interimap-").tempdir().unwrap();
        let root = rustix::process::getuid().is_root();
        let mut config = format!(
            "base_dir = {0}/run\nprotocols = imap\nssl = no\nlog_path = {0}/log\nmail_location = {3}:{0}/mail\n\
             mail_fsync = never\nmail_plugins = {4}\nnamespace inbox {{\n  inbox = yes\n  separator = {1}\n  prefix = {2}\n}}\n",
            home.path().display(),
            separator,
            if prefix.is_empty() { "\"\"" } else { prefix },
            format,
            plugins,
        );
        if root {
            // Dovecot does not read mail as root.
            config.push_str("mail_uid = nobody\nmail_gid = nogroup\nfirst_valid_uid = 1\nfirst_valid_gid = 1\n");
            let given = Command::new("chown").arg("nobody:nogroup").arg(home.path()).status().unwrap();
            assert!(given.success());
        }
        let config_path = home.path().join("dovecot.conf");
        fs::write(&config_path, config).unwrap();
        let command = format!(
            "exec env USER=alice HOME={} {} -c {}",
            home.path().display(),
            imap.display(),
            config_path.display()
        );
        Dovecot { home, command }
    }

    fn endpoint(&self, disabled: &[&str]) -> Endpoint {
        Endpoint {
            link: Link::Tunnel { command: self.command.clone(), stderr: TunnelStderr::Discarded },
            login: None,
            timeout: Duration::from_secs(30),
            compression: Compression::Wanted,
            disable_extensions: disabled.iter().map(|name| (*name).to_owned()).collect(),
            prefix: None,
            trace: None,
        }
    }

    async fn session(&self, disabled: &[&str]) -> ImapStore {
        match connect(&self.endpoint(disabled)).await {
            Ok(store) => store,
            Err(error) => panic!("{error}; {}", fs::read_to_string(self.home.path().join("log")).unwrap_or_default()),
        }
    }
}

#[tokio::test]
async fn dovecot_keeps_the_contract_when_all_is_compressed() {
    let dovecot = Dovecot::with("mdbox", "/", "", "zlib imap_zlib");
    let (mut store, mut other) = (dovecot.session(&[]).await, dovecot.session(&[]).await);
    assert_eq!(store.profile().compression, "DEFLATE");
    contract::holds(&mut store, &mut other).await;
    store.close().await;
}

#[tokio::test]
async fn dovecot_keeps_the_contract() {
    let dovecot = Dovecot::new("mdbox", "/", "");
    let (mut store, mut other) = (dovecot.session(&[]).await, dovecot.session(&[]).await);
    contract::holds(&mut store, &mut other).await;
    store.close().await;
}

#[tokio::test]
async fn dovecot_keeps_the_contract_behind_a_prefix() {
    let dovecot = Dovecot::new("mdbox", ".", "INBOX.");
    let (mut store, mut other) = (dovecot.session(&[]).await, dovecot.session(&[]).await);
    assert_eq!((store.profile().prefix.as_str(), store.profile().delimiter), ("INBOX.", Some('.')));
    contract::holds(&mut store, &mut other).await;
}

#[tokio::test]
async fn dovecot_keeps_the_contract_without_what_is_optional() {
    let dovecot = Dovecot::new("maildir", "/", "");
    let disabled = [
        "LITERAL+",
        "MULTIAPPEND",
        "ESEARCH",
        "NAMESPACE",
        "SPECIAL-USE",
        "ID",
        "UNSELECT",
        "OBJECTID",
        "SASL-IR",
        "MOVE",
    ];
    let (mut store, mut other) = (dovecot.session(&disabled).await, dovecot.session(&[]).await);
    contract::holds(&mut store, &mut other).await;
}
