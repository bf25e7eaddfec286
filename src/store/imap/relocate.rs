//! Putting messages into another mailbox of the same side: UID COPY, or UID MOVE (RFC 6851) where there is one. Which of
//! them is where now, COPYUID tells (RFC 4315 §3).

use std::collections::{BTreeMap, BTreeSet};

use super::connection::Reply;
use super::response::{Code, Response, Status, Vanished};
use super::store::ImapStore;
use crate::mail::{Uid, UidSet};
use crate::store::{Cause, Error, Passage, Relocated, UidScope};

impl ImapStore {
    pub(super) async fn relocate_messages(
        &mut self,
        uids: &UidSet,
        to: &UidScope,
        passage: Passage,
    ) -> Result<Relocated, Error> {
        let wire = self.wire(&to.name)?;
        let verb = match passage {
            Passage::Move if self.capabilities.has("MOVE") => Verb::Move,
            Passage::Move | Passage::Copy => Verb::Copy,
        };
        let sets = uids.split(self.quirks.line_limit);
        // Without UIDPLUS nothing of it was promised.
        let tells = self.capabilities.has("UIDPLUS");
        let told = |code: &Code, asked: &UidSet| if tells { told(code, asked, to) } else { BTreeMap::new() };
        let mut relocated = Relocated::default();
        let mut refusal = None;
        self.connection
            .flight(sets.iter().map(|set| format!("{} {set} {wire}", verb.as_str())).collect(), |index, reply| {
                let Some(set) = sets.get(index) else { return };
                match reply {
                    // Before the expunges (RFC 6851 §4.3).
                    Reply::Untagged(Response::Untagged { code: Some(code), .. }) => {
                        relocated.at.extend(told(&code, set));
                    }
                    Reply::Untagged(Response::Vanished { when: Vanished::Now, uids }) if verb == Verb::Move => {
                        relocated.gone = relocated.gone.union(&uids.intersection(set));
                    }
                    Reply::Done(completion) => {
                        relocated.at.extend(completion.code.iter().flat_map(|code| told(code, set)));
                        match (completion.is_ok(), verb) {
                            (true, Verb::Move) => {
                                relocated.gone.extend(relocated.at.keys().copied().filter(|uid| set.contains(*uid)));
                            }
                            (true, Verb::Copy) => {}
                            (false, _) => {
                                relocated.refused = relocated.refused.union(set);
                                refusal = Some(completion);
                            }
                        }
                    }
                    Reply::Untagged(_) | Reply::Unreadable(_) => {}
                }
            })
            .await?;
        let Some(refusal) = refusal else { return Ok(relocated) };
        // Some servers give no reason (`quirks`: bare-refusal).
        let bare = refusal.status == Status::No && !refusal.has_reason() && relocated.at.is_empty();
        if refusal.says_there_is_none() || (bare && !self.is_listed(&wire).await?) {
            return Err(Error::mailbox(Cause::NoSuchMailbox, format!("there is no mailbox {} any more", to.name)));
        }
        Ok(relocated)
    }
}

/// How messages get from one mailbox into another one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Move,
    Copy,
}

impl Verb {
    fn as_str(self) -> &'static str {
        match self {
            Verb::Move => "UID MOVE",
            Verb::Copy => "UID COPY",
        }
    }
}

/// Where messages are, if the server says so in a way that can be meant: in the generation that is known, each message
/// that was asked for once, and in a place of its own.
fn told(code: &Code, asked: &UidSet, to: &UidScope) -> BTreeMap<Uid, Uid> {
    let Code::CopyUid(uid_validity, sources, targets) = code else { return BTreeMap::new() };
    let at: BTreeMap<Uid, Uid> = sources.iter().copied().zip(targets.iter().copied()).collect();
    let places: BTreeSet<Uid> = at.values().copied().collect();
    let meant = *uid_validity == to.uid_validity
        && sources.len() == targets.len()
        && at.len() == sources.len()
        && places.len() == targets.len()
        && sources.iter().all(|uid| asked.contains(*uid));
    if meant { at } else { BTreeMap::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::{MailboxName, UidValidity};

    fn uids(numbers: &[u32]) -> Vec<Uid> {
        numbers.iter().map(|number| Uid::new(*number).unwrap()).collect()
    }

    #[test]
    fn only_what_can_be_meant_is_told() {
        let name = MailboxName::new("to").unwrap();
        let to = UidScope { name, uid_validity: UidValidity::new(7).unwrap() };
        let asked: UidSet = uids(&[1, 2, 3]).into_iter().collect();
        type Row = (u32, &'static [u32], &'static [u32], &'static [(u32, u32)]);
        let rows: [Row; 8] = [
            (7, &[1, 2, 3], &[7, 8, 9], &[(1, 7), (2, 8), (3, 9)]),
            (7, &[3, 1], &[7, 8], &[(1, 8), (3, 7)]),
            (7, &[2], &[1], &[(2, 1)]),
            (8, &[1], &[7], &[]),
            (7, &[1, 4], &[7, 8], &[]),
            (7, &[1, 2], &[7], &[]),
            (7, &[1, 1], &[7, 8], &[]),
            (7, &[1, 2], &[7, 7], &[]),
        ];
        for (uid_validity, from, at, expected) in rows {
            let code = Code::CopyUid(UidValidity::new(uid_validity).unwrap(), uids(from), uids(at));
            let told: Vec<_> = told(&code, &asked, &to).iter().map(|(old, new)| (old.get(), new.get())).collect();
            assert_eq!(told, expected, "{code:?}");
        }
    }
}
