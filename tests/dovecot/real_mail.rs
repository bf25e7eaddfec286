//! Three thousand messages, real ones where they are at hand, there and back.

use interimap::mail::Both;
use interimap::mail::Side::{self, Local, Remote};

use crate::support::bed::{Bed, Link};
use crate::support::dovecot::{Format, Options};
use crate::support::imap::Appended;
use crate::support::mail;
use crate::support::snapshot::Snapshot;

/// Puts all of it into a few mailboxes of the local side, with flags here and there.
fn fill(bed: &Bed, corpus: &[Vec<u8>]) {
    let mut client = bed.on(Local);
    for (number, part) in corpus.chunks(corpus.len().div_ceil(4)).enumerate() {
        let mailbox = ["INBOX", "Lists", "Lists/old", "Größe"][number];
        if number > 0 {
            client.about("CREATE {}", &[mailbox]);
        }
        for batch in part.chunks(50) {
            let dates: Vec<String> = (0..batch.len())
                .map(|at| format!("{:2}-Mar-20{:02} 10:{at:02}:00 +0100", 1 + at % 28, 2 + number))
                .collect();
            let flags = ["", "\\Seen", "\\Seen \\Answered", "$Junk"];
            let messages: Vec<_> = batch
                .iter()
                .enumerate()
                .map(|(at, body)| Appended { flags: flags[at % 4], date: Some(&dates[at]), body })
                .collect();
            client.append_many(mailbox, &messages.iter().collect::<Vec<_>>());
        }
    }
}

#[test]
fn three_thousand_messages_go_there_and_back() {
    let corpus = mail::corpus();
    let remote = Options { separator: '.', format: Format::Maildir, ..Options::default() };
    let mut bed = Bed::with(Both { local: Options::default(), remote });
    fill(&bed, &corpus);

    // There.
    let run = bed.settle();
    let count = corpus.len() as u64;
    assert_eq!(run.numbers("copied"), [0, count]);
    assert_eq!(run.number(Remote, "copied_bytes"), corpus.iter().map(|body| body.len() as u64).sum::<u64>());
    let original = bed.snapshot(Local);

    // Without a memory everything is recognized, nothing copied.
    bed.lose_state();
    let run = bed.settle();
    assert_eq!(run.numbers("copied"), [0, 0]);

    // Back, to somebody who has nothing yet.
    drop(bed.servers.local.witness_of("bob"));
    bed.links.local = Link::Lines(bed.lines(Local).replace("alice", "bob"));
    bed.lose_state();
    let run = bed.sync();
    bed.check(run.status == 0, "the run must end well", &run);
    assert_eq!(run.numbers("copied"), [count, 0]);
    let back = Snapshot::take(&mut bed.servers.local.witness_of("bob"));
    assert_eq!(original.difference(&back, ["original", "back"]), "");
    bed.links.local = Link::Proxy;

    // Somebody empties a mailbox: the guard asks first.
    bed.lose_state();
    bed.sync_well();
    let mut client = bed.on(Remote);
    client.select("Lists/old");
    client.run("STORE 1:* +FLAGS.SILENT (\\Deleted)");
    client.run("EXPUNGE");
    drop(client);
    let run = bed.sync();
    bed.check(run.status == 4, "the guard must stop it", &run);
    assert_eq!(bed.snapshot(Local).count(), corpus.len());
    let run = bed.run(&["sync", "--allow-deletes"]);
    bed.check(run.status == 0, "it was told to go on", &run);
    bed.check_quiet();
    for side in Side::BOTH {
        assert_eq!(bed.snapshot(side).mailbox("Lists/old").messages.len(), 0);
    }
}
