//! What to measure, and how much of it: the command line.

use clap::Parser;

/// Measures interimap beside those of its peers that are installed, between private Dovecots, and prints what it finds.
#[derive(Parser)]
#[command(name = "contrib/bench")]
pub(crate) struct Arguments {
    /// Let the mail grow, and draw cost against size, instead of the table of cases
    #[arg(long)]
    pub(crate) grow: bool,
    /// Small sizes and one round: shows that all of it works, and is no measurement
    #[arg(long)]
    pub(crate) quick: bool,
    /// How often each case is measured; 3 if not said
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Only these cases, by number
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=12))]
    pub(crate) cases: Vec<u32>,
    /// Only these programs: ours, ours-maildir, perl, dsync, mbsync, offlineimap
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = crate::programs::NAMES)]
    pub(crate) programs: Vec<String>,
    /// Messages in the large mailbox (100000); with --grow, where growing ends
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(100..=5_000_000))]
    messages: Option<u32>,
    /// Mailboxes of the account with many of them (200); with --grow, where growing ends
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    mailboxes: Option<u32>,
    /// Round trip to the remote server in milliseconds (50); with --grow, the only one instead of 0, 50 and 200
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(..=10_000))]
    distance: Option<u64>,
    /// What cargo says to every bench target
    #[arg(long, hide = true)]
    bench: bool,
}

/// How much mail there is.
pub(crate) struct Sizes {
    /// Mailboxes of the account with many of them.
    pub(crate) mailboxes: u32,
    /// Messages in each of those.
    pub(crate) in_each: u32,
    /// Messages in the large mailbox.
    pub(crate) large: u32,
    /// Of those, how many get another flag.
    pub(crate) flagged: u32,
    /// Messages of the first copy.
    pub(crate) copied: u32,
    /// Messages that go to another mailbox.
    pub(crate) moved: u32,
    /// Messages in the mailbox that is renamed.
    pub(crate) renamed: u32,
    /// Octets of the huge message.
    pub(crate) huge: usize,
    /// UIDs that never were.
    pub(crate) vanished: u32,
}

/// How far the mail grows.
pub(crate) struct Growth {
    /// Messages in one mailbox.
    pub(crate) messages: Vec<u32>,
    /// Mailboxes of few messages.
    pub(crate) mailboxes: Vec<u32>,
    /// Round trips in milliseconds.
    pub(crate) distances: Vec<u64>,
    /// How often each is measured.
    pub(crate) rounds: u32,
}

impl Arguments {
    /// How often each case is measured.
    pub(crate) fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.quick { 1 } else { 3 })
    }

    /// The round trip of the cases that have one, in milliseconds.
    pub(crate) fn distance(&self) -> u64 {
        self.distance.unwrap_or(50)
    }

    /// How much mail the cases are about.
    pub(crate) fn sizes(&self) -> Sizes {
        let sizes = match self.quick {
            false => Sizes {
                mailboxes: 200,
                in_each: 100,
                large: 100_000,
                flagged: 1_000,
                copied: 10_000,
                moved: 200,
                renamed: 1_000,
                huge: 300_000_000,
                vanished: 5_000_000,
            },
            true => Sizes {
                mailboxes: 10,
                in_each: 10,
                large: 1_000,
                flagged: 100,
                copied: 300,
                moved: 20,
                renamed: 50,
                huge: 10_000_000,
                vanished: 100_000,
            },
        };
        let large = self.messages.unwrap_or(sizes.large);
        let flagged = sizes.flagged.min(large);
        Sizes { large, flagged, mailboxes: self.mailboxes.unwrap_or(sizes.mailboxes), ..sizes }
    }

    /// How far the mail grows, tenfold each step.
    pub(crate) fn growth(&self) -> Growth {
        let (few, messages, mailboxes) = if self.quick { (100, 1_000, 10) } else { (1_000, 100_000, 1_000) };
        let messages = self.messages.unwrap_or(messages);
        Growth {
            messages: tenfold(few.min(messages), messages),
            mailboxes: tenfold(1, self.mailboxes.unwrap_or(mailboxes)),
            distances: self.distance.map_or_else(|| vec![0, 50, 200], |distance| vec![distance]),
            rounds: self.rounds(),
        }
    }
}

fn tenfold(first: u32, last: u32) -> Vec<u32> {
    std::iter::successors(Some(first), |size| size.checked_mul(10)).take_while(|size| *size <= last).collect()
}
