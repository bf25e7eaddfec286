//! Takes the `\Deleted` of others off while an EXPUNGE goes by that would take their messages along (no UIDPLUS), and puts
//! it back, whatever happens in between.

use std::collections::BTreeMap;

use crate::mail::{Flag, FlagChange, FlagSet, HeaderDigest, MailboxName, Side, Uid, UidSet, UidValidity};
use crate::plan::{Lifted, MailboxKey};
use crate::store::{self, Cause, Expunged, Reach, Store, Stored, UidScope};

use super::event::{Extent, Trouble, TroubleCause};
use super::execute::Settled;
use super::fault::{Fault, is_planted};
use super::task::Sight;
use super::{Halt, Run};

/// How often others may mark one more message before the expunge is left for the next run.
const TRIES: usize = 3;

/// Where something is to be expunged although others have marked messages there.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) key: MailboxKey,
    /// The local name.
    pub(super) name: &'a MailboxName,
    pub(super) side: Side,
}

/// Expunges `uids`, and not what others have `marked`. `None` where nothing was expunged; the trouble has been written
/// down.
pub(super) async fn expunge_around(
    run: &mut Run<'_>,
    place: Place<'_>,
    sight: &Sight,
    uids: &UidSet,
    marked: UidSet,
) -> Result<Option<UidSet>, Halt> {
    let Place { name, side, .. } = place;
    let mut answer = Expunged::Blocked(marked);
    for _ in 0..TRIES {
        let Expunged::Blocked(marked) = &answer else { break };
        journal(run, place, sight.scope.uid_validity, marked)?;
        let store = run.stores[side].as_mut();
        let lifted = store.store_flags(&sight.scope, &[(marked.clone(), taking_off())], None).await;
        let expunged = match lifted {
            Ok(_) => store.expunge(&sight.scope, uids, sight.status.highest_modseq).await,
            Err(error) => Err(error),
        };
        answer = match expunged {
            Ok(answer) => answer,
            // The marks are put back by the next run.
            Err(error) if error.reach == Reach::Side => return Err(Halt::Side(side, error)),
            Err(error) => {
                put_back(run, place, &sight.scope.name).await?;
                run.store_trouble(side, Some(name), error)?;
                return Ok(None);
            }
        };
    }
    put_back(run, place, &sight.scope.name).await?;
    match answer {
        Expunged::AllBut(kept) => Ok(Some(kept)),
        Expunged::Blocked(marked) => {
            run.trouble(blocked(place, uids.len(), marked.len()));
            Ok(None)
        }
    }
}

/// Puts every mark back that is still lifted on one side of a mailbox, which the side calls `at`. What is gone by now,
/// or of another generation, needs none.
pub(super) async fn put_back(run: &mut Run<'_>, place: Place<'_>, at: &MailboxName) -> Result<Settled, Halt> {
    let Place { key, name, side } = place;
    let mut lifted: BTreeMap<UidValidity, UidSet> = BTreeMap::new();
    for row in run.state.lifted(key)?.into_iter().filter(|row| row.side == side) {
        lifted.entry(row.uid_validity).or_default().insert(row.uid);
    }
    if is_planted(Fault::LiftedMarksForgotten) {
        run.state.commit(|change| change.drop_lifted(key, side))?;
    }
    for (uid_validity, uids) in lifted {
        let scope = UidScope { name: at.clone(), uid_validity };
        let pairs = run.state.pairs_touching(key, side, &uids)?;
        let known = pairs.values().map(|pair| (pair.uids[side], pair.fingerprint.header)).collect();
        let marked = match mark_again(run.stores[side].as_mut(), &scope, &uids, &known).await {
            Ok(stored) => stored.values().all(is_marked_or_gone),
            Err(error) if matches!(error.cause, Cause::UidValidityChanged | Cause::NoSuchMailbox) => true,
            Err(error) => {
                run.store_trouble(side, Some(name), error)?;
                false
            }
        };
        if !marked {
            run.trouble(Trouble {
                reach: Extent::Mailbox,
                side: Some(side),
                mailbox: Some(name.clone()),
                cause: TroubleCause::Unsettled,
                text: format!(
                    "messages that somebody has marked as deleted on the {side} side lost that mark while others were \
                     expunged, and it could not be put back; the next run tries it again before anything else"
                ),
            });
            return Ok(Settled::No);
        }
    }
    run.state.commit(|change| change.drop_lifted(key, side))?;
    Ok(Settled::Yes)
}

/// Marks messages, but not what has the UID of one that is `known` by another header: in a server restored from a backup
/// that is somebody else's.
async fn mark_again(
    store: &mut dyn Store,
    scope: &UidScope,
    uids: &UidSet,
    known: &BTreeMap<Uid, HeaderDigest>,
) -> Result<BTreeMap<Uid, Stored>, store::Error> {
    let prints = match known.is_empty() {
        true => BTreeMap::new(),
        false => store.fingerprints(scope, &known.keys().copied().collect()).await?,
    };
    let is_another = |uid: &Uid, header: HeaderDigest| known.get(uid).is_some_and(|known| *known != header);
    let others = prints.iter().filter(|(uid, print)| is_another(uid, print.header)).map(|(uid, _)| *uid).collect();
    let uids = uids.difference(&others);
    match uids.is_empty() {
        true => Ok(BTreeMap::new()),
        false => store.store_flags(scope, &[(uids, putting_on())], None).await,
    }
}

fn journal(run: &mut Run<'_>, place: Place<'_>, uid_validity: UidValidity, marked: &UidSet) -> Result<(), Halt> {
    let side = place.side;
    let mut rows = marked.iter().map(|uid| Lifted { side, uid, uid_validity });
    Ok(run.state.commit(|change| rows.try_for_each(|row| change.lift(place.key, &row)))?)
}

/// Nothing was expunged, for others would have gone too.
fn blocked(place: Place<'_>, waiting: u64, marked: u64) -> Trouble {
    let side = place.side;
    Trouble {
        reach: Extent::Mailbox,
        side: Some(side),
        mailbox: Some(place.name.clone()),
        cause: TroubleCause::Marked,
        text: format!(
            "the {side} side cannot expunge single messages (no UIDPLUS), and {marked} other messages are marked as \
             deleted; they were kept, and the {waiting} to be expunged wait for the next run"
        ),
    }
}

fn is_marked_or_gone(stored: &Stored) -> bool {
    match stored {
        Stored::Flags(flags) => flags.contains(&Flag::Deleted),
        Stored::Gone => true,
        Stored::Modified => false,
    }
}

fn putting_on() -> FlagChange {
    FlagChange { add: FlagSet::from_iter([Flag::Deleted]), remove: FlagSet::new() }
}

fn taking_off() -> FlagChange {
    FlagChange { add: FlagSet::new(), remove: FlagSet::from_iter([Flag::Deleted]) }
}
