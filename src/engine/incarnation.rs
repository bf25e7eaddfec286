//! Makes sure that a side knows its messages by the file that this state was written beside, and not by an older copy of it:
//! what that says of a UID is said of another message.

use std::collections::BTreeSet;

use crate::mail::Side;

use super::{Halt, Run};

/// Has sides let go of what they know by older copies. To be done before anything is asked of a UID.
pub(super) async fn make_sure(run: &mut Run<'_>) -> Result<(), Halt> {
    for side in Side::BOTH {
        let Some(incarnation) = run.stores[side].incarnation() else { continue };
        let known = run.state.incarnations(side)?;
        let is_older = |mark: &String| !known.is_empty() && !known.contains(mark);
        // What is remembered stays as it is until that is done: a run that is cut off before finds it older still.
        if incarnation.now.as_ref().is_some_and(is_older) {
            run.stores[side].distrust().await.map_err(|error| Halt::Side(side, error))?;
        }
    }
    remember(run)
}

/// Remembers what the copies are called, and will be once a run changes them: both before that may happen and after it has.
/// Where nothing changed, that is remembered already.
pub(super) fn remember(run: &mut Run<'_>) -> Result<(), Halt> {
    for side in Side::BOTH {
        let Some(incarnation) = run.stores[side].incarnation() else { continue };
        let marks: BTreeSet<String> = incarnation.now.into_iter().chain([incarnation.next]).collect();
        if run.state.incarnations(side)? != marks {
            run.state.commit(|change| change.set_incarnations(side, &marks))?;
        }
    }
    Ok(())
}
