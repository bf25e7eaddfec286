//! Changing flags: `UID STORE set +FLAGS (…)` and `-FLAGS (…)`, never `FLAGS (…)` (RFC 4549 §4.2.3), and what flags the
//! messages bear afterwards.

use std::collections::BTreeMap;

use super::connection::{Completion, Reply};
use super::response::{Code, Response, Vanished};
use super::store::ImapStore;
use crate::mail::{Flag, FlagChange, FlagSet, ModSeq, Uid, UidSet};
use crate::store::{Cause, Error, Stored};

/// One STORE command.
#[derive(Clone, Debug)]
struct Change {
    uids: UidSet,
    sign: char,
    flags: FlagSet,
    unchanged_since: Option<ModSeq>,
}

impl Change {
    fn command(&self) -> String {
        let Change { uids, sign, flags, unchanged_since } = self;
        let condition = unchanged_since.map(|modseq| format!("(UNCHANGEDSINCE {modseq}) ")).unwrap_or_default();
        format!("UID STORE {uids} {condition}{sign}FLAGS ({flags})")
    }
}

/// What the server has reported so far.
struct Reports<'a> {
    /// Of which messages reports are wanted.
    asked: &'a UidSet,
    flags: BTreeMap<Uid, FlagSet>,
    modified: UidSet,
    vanished: UidSet,
    unreadable: Option<String>,
}

impl<'a> Reports<'a> {
    fn of(asked: &'a UidSet) -> Reports<'a> {
        Reports { asked, flags: BTreeMap::new(), modified: UidSet::new(), vanished: UidSet::new(), unreadable: None }
    }

    fn notice(&mut self, reply: Reply) {
        match reply {
            Reply::Untagged(Response::Fetch(fetch)) => {
                if let Some((uid, flags)) = fetch.uid.zip(fetch.flags).filter(|(uid, _)| self.asked.contains(*uid)) {
                    self.flags.insert(uid, flags);
                }
            }
            Reply::Untagged(Response::Vanished { when: Vanished::Now, uids }) => {
                self.vanished = self.vanished.union(&uids);
            }
            Reply::Unreadable(reason) => self.unreadable = Some(reason),
            _ => {}
        }
    }
}

impl ImapStore {
    pub(super) async fn change_flags(
        &mut self,
        changes: &[(UidSet, FlagChange)],
        unchanged_since: Option<ModSeq>,
    ) -> Result<BTreeMap<Uid, Stored>, Error> {
        let asked = changes.iter().fold(UidSet::new(), |all, (uids, _)| all.union(uids));
        let mut reports = Reports::of(&asked);
        let (first, second) = steps(changes, unchanged_since, self.quirks.line_limit);
        match unchanged_since {
            None => self.apply(first.into_iter().chain(second).collect(), &mut reports).await?,
            Some(_) => {
                self.apply(first, &mut reports).await?;
                // Our own change is one since: the condition was for the first of them, and holds for those it let pass.
                let passed = |change: Change| Change { uids: change.uids.difference(&reports.modified), ..change };
                let second = second.into_iter().map(passed).filter(|change| !change.uids.is_empty()).collect();
                self.apply(second, &mut reports).await?;
            }
        }
        let reported: UidSet = reports.flags.keys().copied().collect();
        let unreported = asked.difference(&reported).difference(&reports.modified).difference(&reports.vanished);
        self.ask_flags(&unreported, &mut reports).await?;
        // One that is missing from an OK may be gone, or kept back (`quirks`: missing-from-ok): its flags are not what was
        // wanted until somebody has seen them.
        let missing = unreported.difference(&reports.flags.keys().copied().collect()).difference(&reports.vanished);
        if let Some(uid) = self.still_there(&missing).await?.first() {
            let text = format!("the server lists UID {uid} of {}, but does not tell its flags", self.selected_name());
            return Err(Error::mailbox(Cause::Protocol, text));
        }
        Ok(asked
            .iter()
            .map(|uid| {
                let stored = match reports.flags.remove(&uid) {
                    _ if reports.vanished.contains(uid) => Stored::Gone,
                    _ if reports.modified.contains(uid) => Stored::Modified,
                    Some(flags) => Stored::Flags(flags),
                    None => Stored::Gone,
                };
                (uid, stored)
            })
            .collect())
    }

    /// Carries changes out. Where a server refuses a keyword it refuses the whole command
    /// (RFC 9051 §6.4.6); the flags that every mailbox keeps are tried alone then. What is put off is no matter of keywords.
    async fn apply(&mut self, changes: Vec<Change>, reports: &mut Reports<'_>) -> Result<(), Error> {
        let mut again = Vec::new();
        for (change, refusal) in self.try_changes(changes, reports).await? {
            let system = change.flags.filtered(|flag| !matches!(flag, Flag::Keyword(_)));
            if system == change.flags || refusal.backoff().is_some() {
                return self.check(&refusal, "to change flags");
            }
            if !system.is_empty() {
                again.push(Change { flags: system, ..change });
            }
        }
        match self.try_changes(again, reports).await?.first() {
            Some((_, refusal)) => self.check(refusal, "to change flags"),
            None => Ok(()),
        }
    }

    /// Sends changes in one flight; answers those that were refused.
    async fn try_changes(
        &mut self,
        changes: Vec<Change>,
        reports: &mut Reports<'_>,
    ) -> Result<Vec<(Change, Completion)>, Error> {
        let mut refused = Vec::new();
        let commands = changes.iter().map(Change::command).collect();
        self.connection
            .flight(commands, |index, reply| match (reply, changes.get(index)) {
                (Reply::Done(completion), Some(change)) => match &completion.code {
                    // In OK or in NO (RFC 7162 §3.1.3).
                    Some(Code::Modified(uids)) => {
                        reports.modified = reports.modified.union(&uids.intersection(&change.uids));
                    }
                    _ if !completion.is_ok() => refused.push((change.clone(), completion)),
                    _ => {}
                },
                (reply, _) => reports.notice(reply),
            })
            .await?;
        Ok(refused)
    }

    /// The flags that these messages bear, as far as they are there.
    pub(super) async fn flags_of(&mut self, uids: &UidSet) -> Result<BTreeMap<Uid, FlagSet>, Error> {
        let mut reports = Reports::of(uids);
        self.ask_flags(uids, &mut reports).await?;
        Ok(reports.flags)
    }

    /// A STORE that changes nothing, or of a message that is gone, need not be followed by a report.
    async fn ask_flags(&mut self, uids: &UidSet, reports: &mut Reports<'_>) -> Result<(), Error> {
        reports.unreadable = None;
        let mut refusal = None;
        let commands =
            uids.split(self.quirks.line_limit).iter().map(|set| format!("UID FETCH {set} (FLAGS)")).collect();
        self.connection
            .flight(commands, |_, reply| match reply {
                Reply::Done(completion) if !completion.is_ok() && !completion.has_code("EXPUNGEISSUED") => {
                    refusal = Some(completion);
                }
                reply => reports.notice(reply),
            })
            .await?;
        if let Some(refusal) = refusal {
            self.check(&refusal, "to tell flags")?;
        }
        // A message whose report is lost is not one that is gone.
        match reports.unreadable.take() {
            Some(reason) => Err(Error::mailbox(Cause::Protocol, reason)),
            None => Ok(()),
        }
    }
}

/// The commands for these changes: what is done first, under the condition, and what follows where a group adds and
/// removes, or has more flags than a line takes.
fn steps(
    changes: &[(UidSet, FlagChange)],
    unchanged_since: Option<ModSeq>,
    line_limit: usize,
) -> (Vec<Change>, Vec<Change>) {
    // Half of a line is for the flags, the other half for the messages.
    let flags_limit = line_limit / 2;
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for (uids, change) in changes {
        let parts = [('+', &change.add), ('-', &change.remove)];
        let parts = parts
            .into_iter()
            .flat_map(|(sign, flags)| flags.split(flags_limit).into_iter().map(move |flags| (sign, flags)));
        for (at, (sign, flags)) in parts.enumerate() {
            let (steps, unchanged_since) = if at == 0 { (&mut first, unchanged_since) } else { (&mut second, None) };
            let set_limit = line_limit.saturating_sub(flags.to_string().len());
            let change = |uids| Change { uids, sign, flags: flags.clone(), unchanged_since };
            steps.extend(uids.split(set_limit).into_iter().map(change));
        }
    }
    (first, second)
}
