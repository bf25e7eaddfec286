//! The servers themselves, before the program comes into it: each does what its kind does, and all understand the witness.

use interimap::mail::{Both, Side};

use crate::support::dovecot::USER;
use crate::support::editor::Editor;
use crate::support::kind::Kind;
use crate::support::mail::Made;
use crate::support::snapshot::Snapshot;

/// The server announces nothing of that, so that the program must do without.
fn announces_what_it_should(kind: Kind, absent: &[&str]) {
    let server = kind.start();
    let announced = server.announced(USER);
    assert!(announced.contains("IMAP4REV1"), "{announced:?}\n{}", server.log());
    let wrong: Vec<_> = absent.iter().filter(|capability| announced.contains(**capability)).collect();
    assert!(wrong.is_empty(), "{wrong:?} should not be announced");
}

fn keeps_its_mail_over_a_restart(kind: Kind) {
    let mut server = kind.start();
    let mut client = server.witness_of(USER);
    // Courier remembers the UIDVALIDITY of a mailbox once it has been selected.
    client.select("INBOX");
    client.about("CREATE {}", &["Größe"]);
    client.append("Größe", &Made::simple("one").flagged("\\Seen todo"));
    client.append("Größe", &Made::simple("two").plain());
    drop(client);
    let before = Snapshot::take(&mut server.witness_of(USER));
    server.stop();
    server.start_again();
    let after = Snapshot::take(&mut server.witness_of(USER));
    // A Courier makes up another UIDVALIDITY for INBOX until it holds something.
    assert_eq!(before.mailbox("Größe"), after.mailbox("Größe"));
    assert_eq!(after.names(), ["Größe", "INBOX"]);
    assert_eq!(after.mailbox("Größe").flags("one"), "\\seen todo");
}

/// One user's edits imply what the server then holds, unless it does what nobody expects of its kind.
fn does_what_the_editor_expects(kind: Kind) {
    let server = kind.start();
    let mut witness = server.witness_of(USER);
    let mut editor = Editor::on(Both::from_fn(|_| kind), 3);
    for _ in 0..2 {
        editor.edit_as(&[Side::Local], &mut Both::from_fn(|_| server.editor_of(USER)), 60);
        let snapshot = Snapshot::take(&mut witness);
        assert_eq!(editor.surprises(&snapshot), "", "{}", editor.log());
        editor.adopt(&snapshot);
    }
    println!("{kind:?}: {} operations", editor.operations());
}

macro_rules! each {
    ($($module:ident $kind:ident without [$($absent:literal)*])*) => {
        $(mod $module {
            use super::Kind::$kind;

            #[test]
            fn announces_what_it_should() {
                super::announces_what_it_should($kind, &[$($absent),*]);
            }

            #[test]
            fn keeps_its_mail_over_a_restart() {
                super::keeps_its_mail_over_a_restart($kind);
            }

            #[test]
            fn does_what_the_editor_expects() {
                super::does_what_the_editor_expects($kind);
            }
        })*
    };
}

each! {
    dovecot Dovecot without []
    dovecot_without_qresync DovecotWithoutQresync without ["QRESYNC"]
    dovecot_without_condstore DovecotWithoutCondstore without ["QRESYNC" "CONDSTORE"]
    dovecot_without_uidplus DovecotWithoutUidplus without ["UIDPLUS"]
    dovecot_bare DovecotBare without [
        "BINARY" "CHILDREN" "CONDSTORE" "ENABLE" "ESEARCH" "ID" "LIST-EXTENDED" "LIST-STATUS" "LITERAL+" "MOVE"
        "MULTIAPPEND" "NAMESPACE" "QRESYNC" "SASL-IR" "SPECIAL-USE" "UIDPLUS" "UNSELECT"
    ]
    cyrus Cyrus without ["NOTIFY"]
    cyrus_that_names_otherwise CyrusDots without ["NOTIFY"]
    courier Courier without ["CONDSTORE" "ID" "LIST-EXTENDED" "LITERAL+" "MOVE" "QRESYNC" "SASL-IR" "UNSELECT"]
}
