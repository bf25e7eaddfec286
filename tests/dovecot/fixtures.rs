//! The test bed itself: what the witness says is what the server holds.

use std::time::{Duration, Instant};

use interimap::mail::{Both, Side};

use crate::support::dovecot::{Dovecot, Format, Options, PASSWORD, USER};
use crate::support::editor::Editor;
use crate::support::imap::Client;
use crate::support::mail::{self, Made, Writer};
use crate::support::proxy::{Direction, Fault, Proxy};
use crate::support::snapshot::{Snapshot, instant};

#[test]
fn the_witness_sees_what_was_appended_whatever_the_server_is_like() {
    for (separator, prefix, format) in [
        ('/', "", Format::Mdbox),
        ('.', "INBOX.", Format::Maildir),
        ('\\', "", Format::Mdbox),
        ('^', "~mail^", Format::Mdbox),
    ] {
        let dovecot = Dovecot::start(Options { separator, prefix, format, ..Options::default() });
        let mut witness = dovecot.witness();
        let mut writer = Writer::new("m", 7);
        let letters: Vec<Made> = (0..20).map(|_| writer.write()).collect();
        witness.about("CREATE {}", &["Größe/\"quoted\" & more"]);
        witness.about("SUBSCRIBE {}", &["Größe/\"quoted\" & more"]);
        for letter in &letters {
            witness.append("Größe/\"quoted\" & more", &letter.flagged("\\Seen $Junk"));
        }
        let snapshot = Snapshot::take(&mut witness);
        let mailbox = snapshot.mailbox("Größe/\"quoted\" & more");
        assert!(mailbox.subscribed);
        assert_eq!(mailbox.messages.len(), letters.len());
        for (message, letter) in mailbox.messages.iter().zip(&letters) {
            assert_eq!(message.content.token, letter.token);
            assert_eq!(message.content.size, letter.body.len(), "{}", letter.token);
            assert_eq!(message.content.date, instant(&letter.date), "{}", letter.date);
            assert!(message.content.flags.contains("$junk") && message.content.flags.contains("\\seen"));
        }
        assert!(!snapshot.mailbox("INBOX").subscribed);
    }
}

#[test]
fn the_tunnel_leads_to_the_same_mail() {
    let dovecot = Dovecot::start(Options { separator: '.', prefix: "INBOX.", ..Options::default() });
    dovecot.witness().append("INBOX", &Made::simple("one").plain());
    let mut client = Client::through(&dovecot.tunnel(USER), "INBOX.");
    client.about("CREATE {}", &["a/b"]);
    let (there, here) = (Snapshot::take(&mut client), Snapshot::take(&mut dovecot.witness()));
    assert_eq!(there.mailbox("INBOX").tokens(), ["one"]);
    assert_eq!(there.difference(&here, ["there", "here"]), "");
}

#[test]
fn the_mail_survives_a_restart() {
    let mut dovecot = Dovecot::start(Options::default());
    dovecot.witness().append("INBOX", &Made::simple("one").plain());
    dovecot.restart(Options { separator: '.', ..Options::default() });
    assert_eq!(Snapshot::take(&mut dovecot.witness()).mailbox("INBOX").tokens(), ["one"]);
    assert_eq!(dovecot.options().separator, '.');
}

#[test]
fn differences_are_told() {
    let dovecot = Dovecot::start(Options::default());
    let (mut alice, mut bob) = (dovecot.witness_of("alice"), dovecot.witness_of("bob"));
    let letter = Made::simple("one");
    alice.append("INBOX", &letter.plain());
    bob.append("INBOX", &letter.plain());
    let difference =
        |alice: &mut Client, bob: &mut Client| Snapshot::take(alice).difference(&Snapshot::take(bob), ["alice", "bob"]);
    assert_eq!(difference(&mut alice, &mut bob), "");
    bob.append("INBOX", &letter.plain());
    assert!(difference(&mut alice, &mut bob).starts_with("INBOX: 1 alice, 2 bob: "));
    alice.append("INBOX", &letter.flagged("\\Seen"));
    assert_eq!(difference(&mut alice, &mut bob).lines().count(), 2);
    bob.about("CREATE {}", &["new"]);
    bob.about("SUBSCRIBE {}", &["INBOX"]);
    let told = difference(&mut alice, &mut bob);
    assert!(told.contains("new: only bob, 0 messages") && told.contains("INBOX: subscribed only bob"), "{told}");
}

#[test]
fn the_proxy_counts_and_delays() {
    let dovecot = Dovecot::start(Options::default());
    drop(dovecot.witness());
    let proxy = Proxy::start(dovecot.port());
    proxy.delay(Duration::from_millis(20));
    let start = Instant::now();
    let mut client = Client::connect(proxy.port(), "");
    client.login(USER, PASSWORD);
    client.append("INBOX", &Made::simple("one").plain());
    assert!(start.elapsed() >= Duration::from_millis(100), "five one-way trips, the greeting among them");
    drop(client);
    proxy.settle();
    let passed = proxy.passed();
    // The witness asks for the separator before it names a mailbox, but INBOX needs none.
    assert_eq!((passed.connections, passed.turns), (1, 2));
    assert_eq!(proxy.commands()[0], format!("LOGIN {USER} {PASSWORD}"));
    assert_eq!(proxy.writes().len(), 1);
    assert!(passed.to_server > 200 && passed.to_client > 300, "{passed:?}");
    proxy.forget();
    assert_eq!(proxy.passed().to_server, 0);
}

#[test]
fn the_proxy_breaks_connections_where_it_is_told() {
    let dovecot = Dovecot::start(Options::default());
    drop(dovecot.witness());
    let proxy = Proxy::start(dovecot.port());
    for (fault, count) in [(Fault::Fin, 10), (Fault::Reset, 11)] {
        proxy.arm(Direction::ToClient, count, fault);
        let broken = std::panic::catch_unwind(|| Client::connect(proxy.port(), ""));
        assert!(broken.is_err());
        assert!(proxy.wait_for_fault(Duration::from_secs(5)));
        proxy.settle();
        assert_eq!(proxy.passed().to_client, count);
        proxy.forget();
    }
    proxy.arm(Direction::ToServer, 12, Fault::Stall);
    let stalled = std::thread::spawn({
        let port = proxy.port();
        move || Client::connect(port, "").login(USER, PASSWORD)
    });
    assert!(proxy.wait_for_fault(Duration::from_secs(5)));
    assert!(!stalled.is_finished());
    proxy.heal();
    stalled.join().unwrap();
}

#[test]
fn there_are_three_thousand_messages_to_copy() {
    let corpus = mail::corpus();
    assert_eq!(corpus.len(), 3_000);
    for message in &corpus {
        let bare = message.windows(2).any(|pair| pair[1] == b'\n' && pair[0] != b'\r');
        assert!(!bare, "a line that does not end by CRLF");
    }
}

#[test]
fn a_uid_validity_can_be_changed() {
    let dovecot = Dovecot::start(Options::default());
    let mut witness = dovecot.witness();
    witness.append("INBOX", &Made::simple("one").plain());
    dovecot.doveadm(&["mailbox", "update", "-u", USER, "--uid-validity", "4242", "INBOX"]);
    assert_eq!(dovecot.witness().select("INBOX"), 4242);
}

/// An account that both users share is in line by nature, so the editor must not be surprised by it, whatever was done;
/// and it must be surprised where something was done behind its back.
#[test]
fn the_editor_knows_what_its_edits_imply() {
    for seed in 1..=5 {
        let dovecot = Dovecot::start(Options::default());
        let mut witness = dovecot.witness();
        let mut editor = Editor::new(seed);
        for _ in 0..3 {
            editor.edit_as(&[Side::Local], &mut Both::from_fn(|_| dovecot.witness().into()), 60);
            let snapshot = Snapshot::take(&mut witness);
            assert_eq!(editor.surprises(&snapshot), "", "{}", editor.log());
            editor.adopt(&snapshot);
        }
        assert!(Snapshot::take(&mut witness).count() > 20);
        assert_eq!(editor.surprises(&Snapshot::take(&mut witness)), "");
        witness.append("INBOX", &Made::simple("foreign").plain());
        assert_eq!(editor.surprises(&Snapshot::take(&mut witness)), "INBOX: 1 of foreign, which nobody put there\n");
        witness.about("CREATE {}", &["foreign"]);
        assert!(editor.surprises(&Snapshot::take(&mut witness)).contains("nobody made this mailbox"));
    }
}
