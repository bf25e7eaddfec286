//! The faults that the design's rules forbid, planted by the model to show that it would catch them. Outside of tests
//! none of them can be.

/// A rule broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Appends without a committed intent.
    NoIntents,
    /// A checkpoint before the last of our writes.
    CheckpointFirst,
    /// Flags remembered before both sides hold them.
    FlagsRememberedEarly,
    /// Moves without a committed intent.
    MoveWithoutIntent,
    /// Takes a message that was moved and flagged for one that was only moved.
    MoveForgetsFlags,
    /// A checkpoint although something was left undone.
    CheckpointDespiteFailure,
    /// The marks of others forgotten before they are back.
    LiftedMarksForgotten,
}

/// Whether that rule is broken on purpose.
#[cfg(not(test))]
pub(super) const fn is_planted(_: Fault) -> bool {
    false
}

#[cfg(test)]
pub(super) use planting::{is_planted, plant};

#[cfg(test)]
mod planting {
    use std::cell::Cell;

    use super::Fault;

    thread_local! {
        static PLANTED: Cell<Option<Fault>> = const { Cell::new(None) };
    }

    pub(in crate::engine) fn is_planted(fault: Fault) -> bool {
        PLANTED.get() == Some(fault)
    }

    pub(in crate::engine) fn plant(fault: Option<Fault>) {
        PLANTED.set(fault);
    }
}
