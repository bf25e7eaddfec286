//! Hears what the engine does: tells it line by line where that is wanted, and moves the bar.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::engine::event::{Event, Listener, MailboxEvent};
use crate::mail::Side;
use crate::report::{octets, printable};
use crate::store::Passage;

use super::console::Console;

/// Whatever is done sooner shows no bar.
pub(super) const WORTH_A_BAR: Duration = Duration::from_secs(1);
/// How often a bar moves while nothing is heard.
const TICK: Duration = Duration::from_millis(200);

/// Hears of the run of one account.
#[derive(Debug)]
pub(super) struct Watcher {
    account: String,
    bar: ProgressBar,
}

impl Watcher {
    /// Begins to listen; the bar stays hidden until [`Watcher::bar`] is shown.
    pub(super) fn new(account: &str, console: &Console) -> Watcher {
        let account = printable(account).into_owned();
        let bar = console.bars.add(ProgressBar::new_spinner());
        bar.set_prefix(account.clone());
        bar.set_style(style("{prefix}: {spinner} {msg}"));
        bar.set_message("connecting");
        Watcher { account, bar }
    }

    /// A handle on the bar, to show it once the run has taken [`WORTH_A_BAR`].
    pub(super) fn bar(&self) -> Bar {
        Bar(self.bar.clone())
    }

    fn tell(&self, side: Side, text: &str) {
        tracing::info!("{}: {side}: {text}", self.account);
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A handle on a bar.
#[derive(Debug)]
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// Shows the bar, if bars are wanted.
    pub(super) fn show(&self, console: &Console) {
        console.show_bars();
        self.0.enable_steady_tick(TICK);
    }
}

impl Listener for Watcher {
    fn hear(&mut self, event: Event<'_>) {
        match event {
            Event::Open(side, profile) => {
                tracing::debug!("{}: {side}: {} ({})", self.account, profile.address, profile.method);
                self.bar.set_message("listing mailboxes");
            }
            Event::Listed { mailboxes, changed } => {
                tracing::info!("{}: {changed} of {mailboxes} mailboxes may have changed", self.account);
                self.bar.set_message("looking at mailboxes");
            }
            Event::Planned(work) => {
                self.bar.set_style(style("{prefix}: [{bar:30}] {pos} of {len} {msg}"));
                self.bar.set_length(work.copies + work.moves + work.flags + work.expunges);
                self.bar.set_message("messages");
            }
            Event::Copied { to, mailbox, octets: size } => {
                self.bar.inc(1);
                self.tell(to, &format!("{mailbox}: a message arrived ({})", octets(size)));
            }
            Event::Flagged(side, mailbox, messages) => {
                self.bar.inc(messages);
                self.tell(side, &format!("{mailbox}: flags changed on {messages}"));
            }
            Event::Expunged(side, mailbox, messages) => {
                self.bar.inc(messages);
                self.tell(side, &format!("{mailbox}: expunged {messages}"));
            }
            Event::Relocated { side, passage, from, to, messages } => {
                self.bar.inc(messages);
                let done = match passage {
                    Passage::Move => "moved",
                    Passage::Copy => "copied",
                };
                self.tell(side, &format!("{from}: {done} {messages} to {to}"));
            }
            Event::Mailbox(side, mailbox, what) => self.tell(side, &of_mailbox(mailbox.as_str(), what)),
            // The report has it too, with its place and its hint.
            Event::Trouble(trouble) => tracing::debug!("{}: {}", self.account, trouble.text),
        }
    }
}

fn of_mailbox(name: &str, what: MailboxEvent<'_>) -> String {
    match what {
        MailboxEvent::Created => format!("{name}: created"),
        MailboxEvent::Deleted => format!("{name}: deleted"),
        MailboxEvent::Renamed(to) => format!("{name}: renamed to {to}"),
        MailboxEvent::Subscribed => format!("{name}: subscribed"),
        MailboxEvent::Unsubscribed => format!("{name}: unsubscribed"),
        MailboxEvent::Paired(messages) => format!("{name}: recognized {messages} on both sides"),
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates in this file are valid")
}
