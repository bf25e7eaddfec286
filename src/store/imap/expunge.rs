//! Expunging exactly what was meant: `\Deleted` under a condition, then UID EXPUNGE (RFC 4315 §2.1). EXPUNGE, which takes
//! along whatever is marked, is said only where there is nothing else, and where nobody else has marked anything. Never
//! CLOSE, which does the same unseen.

use super::connection::{Completion, Reply};
use super::response::{Code, Response, Vanished};
use super::store::ImapStore;
use crate::mail::{Flag, FlagChange, FlagSet, ModSeq, UidSet};
use crate::store::{Cause, Error, Expunged};

impl ImapStore {
    pub(super) async fn expunge_messages(
        &mut self,
        uids: &UidSet,
        unchanged_since: Option<ModSeq>,
    ) -> Result<Expunged, Error> {
        let singly = self.capabilities.has("UIDPLUS");
        let marked = if singly { UidSet::new() } else { self.marked().await? };
        let others = marked.difference(uids);
        if !others.is_empty() {
            return Ok(Expunged::Blocked(others));
        }
        let condition = unchanged_since.map(|modseq| format!("(UNCHANGEDSINCE {modseq}) ")).unwrap_or_default();
        let sets = uids.split(self.quirks.line_limit);
        let mut vanished = UidSet::new();
        let mut kept = UidSet::new();
        let mark = |set: &UidSet| format!("UID STORE {set} {condition}+FLAGS.SILENT (\\Deleted)");
        let refusal = self.remove(sets.iter().map(mark).collect(), &mut vanished, &mut kept).await?;
        if let Some(refusal) = refusal {
            self.check(&refusal, "to mark messages as deleted")?;
        }
        let kept = kept.intersection(uids);
        let going = uids.difference(&kept);
        let commands = match singly {
            true => {
                let sets = going.difference(&vanished).split(self.quirks.line_limit);
                sets.iter().map(|set| format!("UID EXPUNGE {set}")).collect()
            }
            false => {
                // Somebody may have marked another one meanwhile. What is between this answer and the command is the
                // one moment in which a server without UIDPLUS leaves no choice.
                let now_marked = self.marked().await?;
                let others = now_marked.difference(&going);
                let overlooked = self.is_any_marked(&going.difference(&now_marked)).await?;
                if overlooked || !others.is_empty() {
                    self.unmark(going.difference(&marked)).await?;
                }
                if overlooked {
                    // A search that does not find ours does not find others' either.
                    let name = self.selected_name();
                    let text = format!(
                        "the server does not find all that is marked as deleted in {name}; nothing was expunged"
                    );
                    return Err(Error::mailbox(Cause::Protocol, text));
                }
                if !others.is_empty() {
                    return Ok(Expunged::Blocked(others));
                }
                // Where nothing bears the mark, all that could go is what others mark right now.
                if now_marked.is_empty() { vec![] } else { vec!["EXPUNGE".to_owned()] }
            }
        };
        let refusal = self.remove(commands, &mut vanished, &mut UidSet::new()).await?;
        if let Some(refusal) = refusal {
            self.check(&refusal, "to expunge messages")?;
        }
        // Those of which the server did not say that they vanished were gone before, or are still there (`quirks`:
        // ok-and-nothing-done).
        let doubtful = uids.difference(&kept).difference(&vanished);
        Ok(Expunged::AllBut(kept.union(&self.still_there(&doubtful).await?)))
    }

    /// The messages that are marked as deleted, by whomever. EXPUNGE takes those too that this session has not been told
    /// of; NOOP makes the server tell (RFC 9051 §6.1.2).
    async fn marked(&mut self) -> Result<UidSet, Error> {
        // What arrived since is told of by NOOP, and would be expunged as well. Dovecot 2.3 puts it behind a search that is
        // on its way already, so it is waited for.
        let completion = self.connection.run("NOOP", |_| {}).await?;
        self.check(&completion, "to tell what is new")?;
        self.search(vec![self.capabilities.search("DELETED")]).await
    }

    /// Whether one of these bears the mark, by its flags.
    async fn is_any_marked(&mut self, uids: &UidSet) -> Result<bool, Error> {
        Ok(self.flags_of(uids).await?.values().any(|flags| flags.contains(&Flag::Deleted)))
    }

    /// Takes back what was marked.
    async fn unmark(&mut self, uids: UidSet) -> Result<(), Error> {
        let change = FlagChange { add: FlagSet::new(), remove: FlagSet::from_iter([Flag::Deleted]) };
        self.change_flags(&[(uids, change)], None).await.map(drop)
    }

    /// Sends commands of which messages vanish or are left alone as MODIFIED. The last refusal, if there was one.
    async fn remove(
        &mut self,
        commands: Vec<String>,
        vanished: &mut UidSet,
        modified: &mut UidSet,
    ) -> Result<Option<Completion>, Error> {
        let mut refusal = None;
        self.connection
            .flight(commands, |_, reply| match reply {
                Reply::Untagged(Response::Vanished { when: Vanished::Now, uids }) => *vanished = vanished.union(&uids),
                Reply::Done(completion) => match &completion.code {
                    Some(Code::Modified(uids)) => *modified = modified.union(uids),
                    // Those that are still there are looked for afterwards.
                    _ if completion.is_partial() => {}
                    _ if !completion.is_ok() => refusal = Some(completion),
                    _ => {}
                },
                _ => {}
            })
            .await?;
        Ok(refusal)
    }

    /// Which of these the server still lists.
    pub(super) async fn still_there(&mut self, uids: &UidSet) -> Result<UidSet, Error> {
        let sets = uids.split(self.quirks.line_limit);
        let mut commands: Vec<String> =
            sets.iter().map(|set| self.capabilities.search(&format!("UID {set}"))).collect();
        if self.quirks.frozen_view && !commands.is_empty() {
            commands.insert(0, "NOOP".to_owned());
        }
        Ok(self.search(commands).await?.intersection(uids))
    }

    /// What searches find together.
    async fn search(&mut self, commands: Vec<String>) -> Result<UidSet, Error> {
        let mut found = UidSet::new();
        let mut refusal = None;
        let mut unreadable = None;
        self.connection
            .flight(commands, |_, reply| match reply {
                Reply::Untagged(Response::Search(uids) | Response::ESearch { all: uids, .. }) => {
                    found = found.union(&uids);
                }
                Reply::Unreadable(reason) => unreadable = Some(reason),
                Reply::Done(completion) if !completion.is_ok() => refusal = Some(completion),
                _ => {}
            })
            .await?;
        if let Some(refusal) = refusal {
            self.check(&refusal, "to list messages")?;
        }
        match unreadable {
            Some(reason) => Err(Error::mailbox(Cause::Protocol, reason)),
            None => Ok(found),
        }
    }
}
