//! The servers themselves, before the program comes into it: each does what its kind does, and all understand the witness.

use crate::support::dovecot::USER;
use crate::support::kind::Kind;
use crate::support::snapshot::Snapshot;

/// Every kind, and some of what it must not announce.
const KINDS: &[(Kind, &[&str])] = &[
    (Kind::Dovecot, &[]),
    (Kind::DovecotWithoutQresync, &["QRESYNC"]),
    (Kind::DovecotWithoutCondstore, &["QRESYNC", "CONDSTORE"]),
    (Kind::DovecotWithoutUidplus, &["UIDPLUS"]),
    (Kind::DovecotBare, &["QRESYNC", "CONDSTORE", "UIDPLUS", "ENABLE", "LITERAL+", "SASL-IR", "ID", "NAMESPACE", "MOVE"]),
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
        client.append("Größe", &crate::support::mail::Made::simple("one").flagged("\\Seen todo"));
        client.append("Größe", &crate::support::mail::Made::simple("two").plain());
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
