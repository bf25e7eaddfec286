//! The servers themselves, before the program comes into it: each does what its kind does, and all understand the witness.

use interimap::mail::{Both, Side};

use crate::support::dovecot::USER;
use crate::support::editor::Editor;
use crate::support::kind::Kind;
use crate::support::mail::Made;
use crate::support::snapshot::Snapshot;

/// Every kind, and some of what it must not announce.
const KINDS: &[(Kind, &[&str])] = &[
    (Kind::Dovecot, &[]),
    (Kind::DovecotWithoutQresync, &["QRESYNC"]),
    (Kind::DovecotWithoutCondstore, &["QRESYNC", "CONDSTORE"]),
    (Kind::DovecotWithoutUidplus, &["UIDPLUS"]),
    (
        Kind::DovecotBare,
        &["QRESYNC", "CONDSTORE", "UIDPLUS", "ENABLE", "LITERAL+", "SASL-IR", "ID", "NAMESPACE", "MOVE"],
    ),
    (Kind::Cyrus, &["NOTIFY"]),
    (Kind::CyrusDots, &["NOTIFY"]),
    (Kind::Courier, &["QRESYNC", "CONDSTORE", "LITERAL+", "SASL-IR", "ID", "MOVE", "LIST-EXTENDED"]),
];

#[test]
fn each_kind_announces_what_it_should() {
    for (kind, absent) in KINDS {
        let server = kind.start();
        let announced = server.announced(USER);
        assert!(announced.contains("IMAP4REV1"), "{kind:?}: {announced:?}\n{}", server.log());
        let wrong: Vec<_> = absent.iter().filter(|capability| announced.contains(**capability)).collect();
        assert!(wrong.is_empty(), "{kind:?} announces {wrong:?}");
    }
}

#[test]
fn each_kind_keeps_its_mail_over_a_restart() {
    for (kind, _) in KINDS {
        let mut server = kind.start();
        let mut client = server.witness_of(USER);
        client.about("CREATE {}", &["Größe"]);
        client.append("Größe", &Made::simple("one").flagged("\\Seen todo"));
        client.append("Größe", &Made::simple("two").plain());
        drop(client);
        let before = Snapshot::take(&mut server.witness_of(USER));
        server.stop();
        server.start_again();
        let after = Snapshot::take(&mut server.witness_of(USER));
        assert_eq!(before, after, "{kind:?}");
        assert_eq!(after.names(), ["Größe", "INBOX"], "{kind:?}");
        assert_eq!(after.mailbox("Größe").flags("one"), "\\seen todo", "{kind:?}");
    }
}

/// One user's edits imply what the server then holds, unless the server does what nobody expects of its kind.
#[test]
fn each_kind_does_what_the_editor_expects() {
    for (kind, _) in KINDS {
        let server = kind.start();
        let mut witness = server.witness_of(USER);
        let mut editor = Editor::on(Both::from_fn(|_| *kind), 3);
        for _ in 0..2 {
            editor.edit_as(&[Side::Local], &mut Both::from_fn(|_| server.witness_of(USER)), 60);
            let snapshot = Snapshot::take(&mut witness);
            assert_eq!(editor.surprises(&snapshot), "", "{kind:?}\n{}", editor.log());
            editor.adopt(&snapshot);
        }
        println!("{kind:?}: {} operations", editor.operations());
    }
}
