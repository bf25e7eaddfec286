//! Makes sure that a side knows its messages by the file that this state was written beside, and not by an older copy of it:
//! what that says of a UID is said of another message.

use std::collections::BTreeSet;

use crate::mail::Side;

use super::{Halt, Run};

/// Has sides let go of what they know by older copies, and remembers what their copies are called by now, and will be once
/// this run has changed them. To be done before anything is asked of a UID.
pub(super) async fn make_sure(run: &mut Run<'_>) -> Result<(), Halt> {
    for side in Side::BOTH {
        let Some(incarnation) = run.stores[side].incarnation() else { continue };
        let known = run.state.incarnations(side)?;
        let is_older = |mark: &String| !known.is_empty() && !known.contains(mark);
        let mut marks: BTreeSet<String> = incarnation.now.iter().cloned().collect();
        if incarnation.now.as_ref().is_some_and(is_older) {
            // What is remembered stays as it is until that is done: a run that is cut off before finds it older still.
            run.stores[side].distrust().await.map_err(|error| Halt::Side(side, error))?;
        }
        marks.insert(incarnation.next);
        if marks != known {
            run.state.commit(|change| change.set_incarnations(side, &marks))?;
        }
    }
    Ok(())
}

/// Remembers what the copies are called at the end of a run.
pub(super) fn remember(run: &mut Run<'_>) -> Result<(), Halt> {
    for side in Side::BOTH {
        let Some(now) = run.stores[side].incarnation().and_then(|incarnation| incarnation.now) else { continue };
        let marks = BTreeSet::from([now]);
        if run.state.incarnations(side)? != marks {
            run.state.commit(|change| change.set_incarnations(side, &marks))?;
        }
    }
    Ok(())
}
