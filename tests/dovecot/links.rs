//! The ways to a server: a command's standard input and output, TCP, STARTTLS, TLS; and the ways that are refused.

use std::path::Path;

use interimap::mail::Both;
use interimap::mail::Side::{self, Local, Remote};

use crate::support::bed::{Bed, Link, Run};
use crate::support::certificate::{Authority, Kind};
use crate::support::dovecot::{Options, PASSWORD, USER};
use crate::support::mail::Made;
use crate::support::proxy::{Direction, Fault};

/// How the connection to the remote server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protection {
    StartTls,
    Tls,
}

/// A bed whose remote server has a certificate of that kind; the proxy stands before the port that is used.
fn protected(authority: &Authority, kind: Kind, protection: Protection) -> Bed {
    let remote = Options { certificate: Some(authority.issue(kind)), ..Options::default() };
    let bed = Bed::with(Both { local: Options::default(), remote });
    if protection == Protection::Tls {
        bed.proxies.remote.point_at(bed.servers.remote.tls_port());
    }
    bed.put(Remote, "INBOX", "one");
    bed
}

/// Configures the remote side: the host by name, and how the server is trusted.
fn trust(bed: &mut Bed, protection: Protection, tls: &str) {
    let kind = if protection == Protection::Tls { "imaps" } else { "imap" };
    bed.links.remote = Link::Lines(format!(
        "type = \"{kind}\"\nhost = \"localhost\"\nport = {}\nusername = \"{USER}\"\npassword = \"{PASSWORD}\"\n\
         tls = {{ {tls} }}",
        bed.proxies.remote.port()
    ));
}

fn ca(file: &Path) -> String {
    format!("ca-file = \"{}\"", file.display())
}

/// The run must have refused the server before it said any secret, and say why in one sentence.
fn is_refused(bed: &Bed, run: &Run, word: &str) {
    bed.check(run.status == 3, "a server that is not trusted means status 3", run);
    let told: Vec<&str> = run.stderr.lines().filter(|line| line.to_lowercase().contains(word)).collect();
    bed.check(told.len() == 1, &format!("one line must speak of \"{word}\""), run);
    let said = bed.proxies.remote.commands().join("\n");
    bed.check(!said.contains("LOGIN") && !said.contains("AUTHENTICATE"), "the password was sent", run);
    assert_eq!(bed.snapshot(Local).count(), 0);
}

#[test]
fn both_sides_may_be_tunnels() {
    let mut bed =
        Bed::with(Both { local: Options { separator: '.', ..Options::default() }, remote: Options::default() });
    bed.links = Both { local: Link::Tunnel, remote: Link::Tunnel };
    bed.put(Local, "INBOX", "here");
    bed.about(Remote, "CREATE {}", &["a/b"]);
    bed.put(Remote, "a/b", "there");
    bed.settle();
    for side in Side::BOTH {
        assert_eq!(bed.proxies[side].passed().connections, 0);
    }
}

#[test]
fn a_tunnel_that_ends_or_cannot_start_is_told() {
    for command in ["true", "echo '* BYE not today'", "/nonexistent/program", "echo mumble; sleep 5"] {
        let mut bed = Bed::new();
        bed.put(Remote, "INBOX", "one");
        bed.links.local = Link::Lines(format!("type = \"tunnel\"\ncommand = \"{command}\""));
        let run = bed.sync();
        bed.check(run.status == 3, &format!("{command} is no server"), &run);
        bed.check(run.stderr.contains("local"), "the side must be named", &run);
    }
}

#[test]
fn a_server_with_the_right_certificate_is_accepted() {
    let authority = Authority::new();
    for protection in [Protection::Tls, Protection::StartTls] {
        let mut bed = protected(&authority, Kind::Good, protection);
        trust(&mut bed, protection, &ca(&authority.file()));
        bed.settle();
        let said = bed.proxies.remote.commands().join("\n");
        assert!(!said.contains(PASSWORD), "{protection:?}: {said}");
    }
}

#[test]
fn s122_a_tls_connection_that_breaks_off_is_no_end_of_a_message() {
    let authority = Authority::new();
    let mut bed = protected(&authority, Kind::Good, Protection::Tls);
    trust(&mut bed, Protection::Tls, &ca(&authority.file()));
    bed.sync_well();
    let usual = bed.proxies.remote.passed().to_client;
    let line = "A line of a message that is cut.\r\n";
    for (number, fault) in [Fault::Fin, Fault::Reset, Fault::Fin].into_iter().enumerate() {
        let large = Made::with(&format!("large-{number}"), &line.repeat(4_000 + 16_000 * number));
        bed.on(Remote).append("INBOX", &large.plain());
        // Behind the greetings, and within the message.
        bed.proxies.remote.arm(Direction::ToClient, usual + 40_000, fault);
        let run = bed.sync();
        bed.check(run.status == 3, "the connection was lost", &run);
        assert_eq!(bed.snapshot(Local).count(), number + 1, "no part of a message may arrive: {}", bed.explain(&run));
        bed.settle();
    }
}

#[test]
fn a_server_with_the_wrong_certificate_is_refused() {
    let authority = Authority::new();
    for protection in [Protection::Tls, Protection::StartTls] {
        for kind in [Kind::OtherHost, Kind::Expired, Kind::SelfSigned] {
            let mut bed = protected(&authority, kind, protection);
            trust(&mut bed, protection, &ca(&authority.file()));
            let run = bed.sync();
            is_refused(&bed, &run, "certificate");
        }
    }
}

#[test]
fn a_certificate_of_an_unknown_authority_is_refused() {
    let (authority, another) = (Authority::new(), Authority::new());
    let mut bed = protected(&authority, Kind::Good, Protection::Tls);
    trust(&mut bed, Protection::Tls, &ca(&another.file()));
    let run = bed.sync();
    is_refused(&bed, &run, "certificate");
    trust(&mut bed, Protection::Tls, "verify = true");
    let run = bed.sync();
    is_refused(&bed, &run, "certificate");
}

#[test]
fn a_server_may_be_known_by_the_fingerprint_of_its_key() {
    let authority = Authority::new();
    for (kind, chain) in [(Kind::SelfSigned, "verify = false".to_owned()), (Kind::Good, ca(&authority.file()))] {
        let certificate = authority.issue(kind);
        let fingerprint = certificate.fingerprint();
        let remote = Options { certificate: Some(certificate), ..Options::default() };
        let mut bed = Bed::with(Both { local: Options::default(), remote });
        bed.proxies.remote.point_at(bed.servers.remote.tls_port());
        bed.put(Remote, "INBOX", "one");
        let wrong = "0".repeat(64);
        trust(&mut bed, Protection::Tls, &format!("{chain}, fingerprint = [\"sha256:{wrong}\"]"));
        let run = bed.sync();
        is_refused(&bed, &run, "fingerprint");
        trust(&mut bed, Protection::Tls, &format!("{chain}, fingerprint = [\"sha256:{fingerprint}\"]"));
        bed.settle();
    }
}

#[test]
fn starttls_is_required_where_it_is_not_declined() {
    let mut bed = Bed::new();
    bed.put(Remote, "INBOX", "one");
    trust(&mut bed, Protection::StartTls, "verify = true");
    let run = bed.sync();
    is_refused(&bed, &run, "starttls");
}

#[test]
fn s124_a_wrong_password_is_tried_once_and_told_in_the_servers_words() {
    let mut bed = Bed::new();
    let right = bed.lines(Remote);
    bed.links.remote = Link::Lines(right.replace(PASSWORD, "guessed"));
    let run = bed.sync();
    bed.check(run.status == 3, "a refused login means status 3", &run);
    bed.check(run.stderr.contains("Authentication failed"), "the server's words must be there", &run);
    bed.check(!run.stderr.contains("guessed"), "the password must not", &run);
    let tried = bed.proxies.remote.count("AUTHENTICATE") + bed.proxies.remote.count("LOGIN");
    bed.check(tried == 1, "a server that is asked again and again may lock the account", &run);
}

#[test]
fn a_server_that_is_not_there_is_told() {
    let mut bed = Bed::new();
    bed.put(Local, "INBOX", "one");
    bed.servers.remote.stop();
    bed.links.remote =
        Link::Lines(bed.lines(Remote).replace(
            &format!("port = {}", bed.proxies.remote.port()),
            &format!("port = {}", bed.servers.remote.port()),
        ));
    let run = bed.sync();
    bed.check(run.status == 3, "a server that cannot be reached means status 3", &run);
    bed.check(run.stderr.contains("remote"), "the side must be named", &run);
}

#[test]
fn what_a_server_does_not_announce_is_not_asked_of_it() {
    let unannounced = &["LITERAL+", "MULTIAPPEND", "MOVE", "SASL-IR", "ID", "UNSELECT", "STATUS=SIZE", "NAMESPACE"];
    let bed = Bed::with(Both { local: Options { unannounced, ..Options::default() }, remote: Options::default() });
    let names: Vec<String> = (0..20).map(|number| format!("n{number:02}")).collect();
    for name in &names {
        bed.put(Remote, "INBOX", name);
    }
    for side in Side::BOTH {
        bed.about(side, "CREATE {}", &["Archive"]);
    }
    bed.settle();
    bed.relocate(Remote, "INBOX", "n07", "Archive");
    bed.put(Remote, "Archive", "new");
    bed.sync_well();
    let said = bed.proxies.local.commands();
    for command in &said {
        let asks = command.contains("+}")
            || command.matches('{').count() > 1
            || ["UID MOVE", "UNSELECT", "NAMESPACE", "ID (", "AUTHENTICATE PLAIN "]
                .iter()
                .any(|word| command.starts_with(word));
        assert!(!asks, "{command}");
    }
}
