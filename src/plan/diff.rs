//! Reduces what a side reports to what really differs from what is remembered, so that every observer yields the same.

use std::collections::{BTreeMap, BTreeSet};

use crate::mail::{FlagSet, Observation, Side, Silence, Uid, UidSet};

use super::{Pair, PairId, Skipped};

/// What is remembered of one mailbox: every row that an observation touches, or simply all of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Baseline {
    /// The messages that both sides hold.
    pub pairs: BTreeMap<PairId, Pair>,
    /// The messages that one side holds and the other was not given.
    pub skipped: Vec<Skipped>,
}

impl Baseline {
    /// Which pair a UID of `side` belongs to.
    pub fn by_uid(&self, side: Side) -> BTreeMap<Uid, PairId> {
        self.pairs.iter().map(|(id, pair)| (pair.uids[side], *id)).collect()
    }

    /// The UIDs of `side` that were left out.
    pub fn skipped_on(&self, side: Side) -> UidSet {
        self.skipped.iter().filter(|skipped| skipped.side == side).map(|skipped| skipped.uid).collect()
    }
}

/// How one side moved away from the baseline.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// Messages that nothing is remembered of.
    pub arrived: BTreeMap<Uid, FlagSet>,
    /// Pairs whose flags are not those last agreed on.
    pub reflagged: BTreeMap<PairId, FlagSet>,
    /// Pairs whose message is gone.
    pub gone: BTreeSet<PairId>,
    /// Messages that were left out before and are gone.
    pub skipped_gone: UidSet,
}

impl Changes {
    /// Whether the side did not move.
    pub fn is_empty(&self) -> bool {
        *self == Changes::default()
    }
}

/// What differs on `side`. A pure function of its arguments.
pub fn diff(baseline: &Baseline, side: Side, seen: &Observation) -> Changes {
    let known = baseline.by_uid(side);
    let skipped = baseline.skipped_on(side);
    let is_gone = |uid: Uid| match &seen.silence {
        Silence::Unchanged { vanished } => vanished.contains(uid) && !seen.messages.contains(uid),
        Silence::Gone => !seen.messages.contains(uid),
    };
    let mut changes = Changes::default();
    for (uid, flags) in seen.messages.iter() {
        match known.get(&uid) {
            None if skipped.contains(uid) => {}
            None => {
                changes.arrived.insert(uid, flags.clone());
            }
            Some(id) if baseline.pairs.get(id).is_some_and(|pair| pair.flags != *flags) => {
                changes.reflagged.insert(*id, flags.clone());
            }
            Some(_) => {}
        }
    }
    changes.gone = known.iter().filter(|(uid, _)| is_gone(**uid)).map(|(_, id)| *id).collect();
    changes.skipped_gone = skipped.iter().filter(|uid| is_gone(*uid)).collect();
    changes
}

/// Whether what a side reported can be true: what we knew, less what vanished, with what is new, is what there is.
/// Servers do claim that live mail vanished (Cyrus and James, 2025), and some lose an expunge (Cyrus 3.6 to 3.10 after
/// a cut link); either shows here. `known` counts the messages of that side that are remembered at all.
pub fn exists_equation_holds(baseline: &Baseline, side: Side, seen: &Observation, known: u64) -> bool {
    let Silence::Unchanged { vanished } = &seen.silence else { return true };
    let remembered: UidSet =
        baseline.pairs.values().map(|pair| pair.uids[side]).chain(baseline.skipped_on(side).iter()).collect();
    let reported = seen.messages.uids();
    let contradiction = !reported.intersection(vanished).is_empty();
    let gone = remembered.intersection(vanished).len();
    let new = reported.difference(&remembered).len();
    !contradiction && known.checked_sub(gone).is_some_and(|left| left + new == u64::from(seen.status.messages))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::{
        Access, Both, Fingerprint, HeaderDigest, InternalDate, MailboxStatus, PermanentFlags, UidValidity,
    };
    use crate::plan::SkipReason;

    fn uid(number: u32) -> Uid {
        Uid::new(number).unwrap()
    }

    fn baseline(pairs: &[(i64, u32, u32, &str)]) -> Baseline {
        let fingerprint =
            Fingerprint { size: 1, internal_date: InternalDate::from_unix(0).unwrap(), header: HeaderDigest::of(b"") };
        let pair = |local, remote, flags| Pair {
            uids: Both { local: uid(local), remote: uid(remote) },
            flags: FlagSet::parse(flags),
            fingerprint,
        };
        Baseline {
            pairs: pairs.iter().map(|(id, l, r, flags)| (PairId(*id), pair(*l, *r, flags))).collect(),
            skipped: vec![],
        }
    }

    fn seen(messages: &[(u32, &str)], exists: u32, silence: Silence) -> Observation {
        Observation {
            status: MailboxStatus {
                uid_validity: UidValidity::new(1).unwrap(),
                uid_next: uid(100),
                highest_modseq: None,
                messages: exists,
            },
            permanent_flags: PermanentFlags::all(),
            access: Access::ReadWrite,
            messages: messages.iter().map(|(n, flags)| (uid(*n), FlagSet::parse(flags))).collect(),
            silence,
        }
    }

    fn vanished(numbers: &[u32]) -> Silence {
        Silence::Unchanged { vanished: numbers.iter().map(|n| uid(*n)).collect() }
    }

    #[test]
    fn two_ways_to_look_yield_the_same_changes() {
        let mut base = baseline(&[(1, 11, 21, "\\Seen"), (2, 12, 22, ""), (3, 13, 23, "")]);
        base.skipped.push(Skipped {
            side: Side::Remote,
            uid: uid(24),
            why: SkipReason::Policy,
            attempts: 0,
            last_attempt: 0,
        });
        let full = seen(&[(21, "\\Seen"), (22, "\\Flagged"), (25, "a")], 3, Silence::Gone);
        let quick = seen(&[(22, "\\Flagged"), (25, "a")], 3, vanished(&[5, 23, 24, 900]));
        let [full, quick] = [full, quick].map(|seen| diff(&base, Side::Remote, &seen));
        assert_eq!(full, quick);
        assert_eq!(full.arrived.keys().copied().collect::<Vec<_>>(), [uid(25)]);
        assert_eq!(full.reflagged.keys().collect::<Vec<_>>(), [&PairId(2)]);
        assert_eq!(full.gone, BTreeSet::from([PairId(3)]));
        assert_eq!(full.skipped_gone.to_string(), "24");
    }

    #[test]
    fn s068_the_exists_equation_catches_what_cannot_be() {
        let base = baseline(&[(1, 11, 21, ""), (2, 12, 22, "")]);
        for (case, messages, exists, gone, holds) in [
            ("nothing happened", &[][..], 2, &[][..], true),
            ("one new, one gone", &[(30, "")], 2, &[22], true),
            ("history that we never knew", &[], 2, &[1, 2, 3, 90], true),
            ("live mail claimed to be gone (s068)", &[], 2, &[21, 22], false),
            ("an expunge was lost (s072)", &[(22, "\\Seen")], 1, &[], false),
            ("vanished and reported at once", &[(22, "")], 2, &[22], false),
        ] {
            let seen = seen(messages, exists, vanished(gone));
            assert_eq!(exists_equation_holds(&base, Side::Remote, &seen, 2), holds, "{case}");
        }
    }
}
