//! Expunging exactly what was meant: `\Deleted` under a condition, then UID EXPUNGE (RFC 4315 §2.1). Never EXPUNGE and
//! never CLOSE, which would take along what others have marked.

use super::connection::{Completion, Reply};
use super::response::{Code, Response, Vanished};
use super::select::SET_LIMIT;
use super::store::ImapStore;
use crate::mail::{ModSeq, UidSet};
use crate::store::{Cause, Error, Expunged};

impl ImapStore {
    pub(super) async fn expunge_messages(
        &mut self,
        uids: &UidSet,
        unchanged_since: Option<ModSeq>,
    ) -> Result<Expunged, Error> {
        let condition = unchanged_since.map(|modseq| format!("(UNCHANGEDSINCE {modseq}) ")).unwrap_or_default();
        let sets = uids.split(SET_LIMIT);
        let mut vanished = UidSet::new();
        let mut kept = UidSet::new();
        let mark = |set: &UidSet| format!("UID STORE {set} {condition}+FLAGS.SILENT (\\Deleted)");
        let refusal = self.remove(sets.iter().map(mark).collect(), &mut vanished, &mut kept).await?;
        if let Some(refusal) = refusal {
            self.check(&refusal, "to mark messages as deleted")?;
        }
        let kept = kept.intersection(uids);
        let sets = uids.difference(&kept).difference(&vanished).split(SET_LIMIT);
        let expunge = |set: &UidSet| format!("UID EXPUNGE {set}");
        let refusal = self.remove(sets.iter().map(expunge).collect(), &mut vanished, &mut UidSet::new()).await?;
        if let Some(refusal) = refusal {
            self.check(&refusal, "to expunge messages")?;
        }
        // Those of which the server did not say that they vanished were gone before, or are still there (`quirks`:
        // ok-and-nothing-done).
        let doubtful = uids.difference(&kept).difference(&vanished);
        Ok(Expunged::AllBut(kept.union(&self.still_there(&doubtful).await?)))
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
                    _ if !completion.is_ok() => refusal = Some(completion),
                    _ => {}
                },
                _ => {}
            })
            .await?;
        Ok(refusal)
    }

    async fn still_there(&mut self, uids: &UidSet) -> Result<UidSet, Error> {
        let options = if self.capabilities.has("ESEARCH") { "RETURN (ALL) " } else { "" };
        let commands = uids.split(SET_LIMIT).iter().map(|set| format!("UID SEARCH {options}UID {set}")).collect();
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
            None => Ok(found.intersection(uids)),
        }
    }
}
