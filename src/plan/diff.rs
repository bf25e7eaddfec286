//! Reduces what a side reports to what really differs from what is remembered, so that every observer yields the same.

use std::collections::{BTreeMap, BTreeSet};

use crate::mail::{Both, FlagSet, Observation, Side, Silence, UidSet};

use super::{Pair, PairId, Skipped};

/// What is remembered of one mailbox, as far as the planner needs it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Baseline {
    /// The pairs from which a side has moved away.
    pub pairs: BTreeMap<PairId, Pair>,
    /// The messages that one side holds and the other was not given.
    pub skipped: Vec<Skipped>,
}

/// How one side moved away from the baseline.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// Messages that nothing is remembered of.
    pub arrived: UidSet,
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

/// Compares what is remembered of a mailbox with what both sides report. Pairs are given one by one, in any order and as
/// often as one likes, and only those that differ are kept: a mailbox may hold a million of them.
#[derive(Debug)]
pub struct Diff<'a> {
    seen: Both<Option<&'a Observation>>,
    /// What is remembered of each side, as far as it has been given.
    known: Both<UidSet>,
    baseline: Baseline,
    changes: Both<Changes>,
}

impl<'a> Diff<'a> {
    /// Begins with the messages that were left out before. A side that is not seen is one where the mailbox has to be
    /// created: it holds nothing, of what was there before too.
    pub fn new(skipped: Vec<Skipped>, seen: Both<Option<&'a Observation>>) -> Diff<'a> {
        let known = Both::from_fn(|side| Skipped::on(&skipped, side));
        let changes = Both::from_fn(|side| Changes {
            skipped_gone: match seen[side] {
                Some(seen) => known[side].iter().filter(|uid| seen.lacks(*uid)).collect(),
                None => UidSet::new(),
            },
            ..Changes::default()
        });
        Diff { seen, known, baseline: Baseline { pairs: BTreeMap::new(), skipped }, changes }
    }

    /// Compares one pair. Of a side that lists every message, every pair has to be given; of one whose silence means
    /// "unchanged", those whose messages it speaks of.
    pub fn compare(&mut self, id: PairId, pair: Pair) {
        let mut differs = false;
        for side in Side::BOTH {
            let uid = pair.uids[side];
            self.known[side].insert(uid);
            let now = self.seen[side].and_then(|seen| seen.messages.get(uid));
            if self.seen[side].is_none_or(|seen| seen.lacks(uid)) {
                self.changes[side].gone.insert(id);
                differs = true;
            } else if let Some(flags) = now.filter(|flags| **flags != pair.flags) {
                self.changes[side].reflagged.insert(id, flags.clone());
                differs = true;
            }
        }
        if differs {
            self.baseline.pairs.insert(id, pair);
        }
    }

    /// What differs, once the pairs have been given.
    pub fn finish(mut self) -> (Baseline, Both<Changes>) {
        for side in Side::BOTH {
            let Some(seen) = self.seen[side] else { continue };
            self.changes[side].arrived = seen.messages.keys().filter(|uid| !self.known[side].contains(*uid)).collect();
        }
        (self.baseline, self.changes)
    }
}

/// Whether what a side reported can be true: what we knew, less what vanished, with what is new, is what there is.
/// Servers do claim that live mail vanished (Cyrus and James, 2025), and some lose an expunge (Cyrus 3.6 to 3.10 after
/// a cut link); either shows here. `remembered` are the UIDs that are remembered of that side, at least those it speaks
/// of; `known` counts them all.
pub fn exists_equation_holds(remembered: &UidSet, seen: &Observation, known: u64) -> bool {
    let Silence::Unchanged { vanished } = &seen.silence else { return true };
    let reported = seen.messages.uids();
    let contradiction = !reported.intersection(vanished).is_empty();
    let gone = remembered.intersection(vanished).len();
    let new = reported.difference(remembered).len();
    !contradiction && known.checked_sub(gone).is_some_and(|left| left + new == u64::from(seen.status.messages))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mail::{
        Access, Fingerprint, HeaderDigest, InternalDate, MailboxStatus, PermanentFlags, Uid, UidValidity,
    };
    use crate::plan::SkipReason;

    type Pairs = BTreeMap<PairId, Pair>;

    fn uid(number: u32) -> Uid {
        Uid::new(number).unwrap()
    }

    fn uids(numbers: &[u32]) -> UidSet {
        numbers.iter().map(|number| uid(*number)).collect()
    }

    fn pairs(rows: &[(i64, u32, u32, &str)]) -> Pairs {
        let fingerprint =
            Fingerprint { size: 1, internal_date: InternalDate::from_unix(0).unwrap(), header: HeaderDigest::of(b"") };
        let pair = |local, remote, flags| Pair {
            uids: Both { local: uid(local), remote: uid(remote) },
            flags: FlagSet::parse(flags),
            fingerprint,
        };
        rows.iter().map(|(id, local, remote, flags)| (PairId(*id), pair(*local, *remote, flags))).collect()
    }

    fn skipped(side: Side, number: u32) -> Skipped {
        Skipped { side, uid: uid(number), why: SkipReason::Policy, attempts: 0, last_attempt: 0 }
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
        Silence::Unchanged { vanished: uids(numbers) }
    }

    fn diff(pairs: &Pairs, skipped: &[Skipped], seen: Both<Option<&Observation>>) -> (Baseline, Both<Changes>) {
        let mut diff = Diff::new(skipped.to_vec(), seen);
        pairs.iter().for_each(|(id, pair)| diff.compare(*id, pair.clone()));
        diff.finish()
    }

    #[test]
    fn two_ways_to_look_yield_the_same_changes() {
        let pairs = pairs(&[(1, 11, 21, "\\Seen"), (2, 12, 22, ""), (3, 13, 23, ""), (4, 14, 26, "")]);
        let left_out = [skipped(Side::Remote, 24), skipped(Side::Remote, 27)];
        let full = seen(&[(21, "\\Seen"), (22, "\\Flagged"), (25, "a"), (26, ""), (27, "")], 5, Silence::Gone);
        let quick = seen(&[(22, "\\Flagged"), (25, "a")], 5, vanished(&[5, 23, 24, 900]));
        let local = seen(&[], 4, vanished(&[]));
        let [full, quick] =
            [full, quick].map(|seen| diff(&pairs, &left_out, Both { local: Some(&local), remote: Some(&seen) }));
        assert_eq!(full, quick);
        let (baseline, changes) = full;
        assert_eq!(changes.remote.arrived, uids(&[25]));
        assert_eq!(changes.remote.reflagged.keys().collect::<Vec<_>>(), [&PairId(2)]);
        assert_eq!(changes.remote.gone, BTreeSet::from([PairId(3)]));
        assert_eq!(changes.remote.skipped_gone, uids(&[24]));
        assert!(changes.local.is_empty());
        assert_eq!(baseline.pairs.keys().collect::<Vec<_>>(), [&PairId(2), &PairId(3)], "only what differs is kept");
    }

    #[test]
    fn where_a_mailbox_has_to_be_created_everything_is_gone() {
        let pairs = pairs(&[(1, 11, 21, ""), (2, 12, 22, "")]);
        let local = seen(&[(11, ""), (13, "")], 2, Silence::Gone);
        let left_out = [skipped(Side::Remote, 24)];
        let (baseline, changes) = diff(&pairs, &left_out, Both { local: Some(&local), remote: None });
        assert_eq!(changes.local.gone, BTreeSet::from([PairId(2)]));
        assert_eq!(changes.local.arrived, uids(&[13]));
        assert_eq!(changes.remote, Changes { gone: pairs.keys().copied().collect(), ..Changes::default() });
        assert_eq!(baseline.pairs, pairs);
    }

    #[test]
    fn s068_the_exists_equation_catches_what_cannot_be() {
        let remembered = uids(&[21, 22]);
        for (case, messages, exists, gone, holds) in [
            ("nothing happened", &[][..], 2, &[][..], true),
            ("one new, one gone", &[(30, "")], 2, &[22], true),
            ("history that we never knew", &[], 2, &[1, 2, 3, 90], true),
            ("live mail claimed to be gone (s068)", &[], 2, &[21, 22], false),
            ("an expunge was lost (s072)", &[(22, "\\Seen")], 1, &[], false),
            ("vanished and reported at once", &[(22, "")], 2, &[22], false),
        ] {
            let seen = seen(messages, exists, vanished(gone));
            assert_eq!(exists_equation_holds(&remembered, &seen, 2), holds, "{case}");
        }
    }

    /// The same, said as plainly as can be.
    fn plainly(pairs: &Pairs, skipped: &[Skipped], seen: Both<Option<&Observation>>) -> Both<Changes> {
        Both::from_fn(|side| {
            let Some(seen) = seen[side] else {
                return Changes { gone: pairs.keys().copied().collect(), ..Changes::default() };
            };
            let known: BTreeMap<Uid, PairId> = pairs.iter().map(|(id, pair)| (pair.uids[side], *id)).collect();
            let left_out = Skipped::on(skipped, side);
            let mut changes = Changes::default();
            for (uid, flags) in seen.messages.iter() {
                match known.get(&uid) {
                    None if left_out.contains(uid) => {}
                    None => drop(changes.arrived.insert(uid)),
                    Some(id) if pairs[id].flags != *flags => drop(changes.reflagged.insert(*id, flags.clone())),
                    Some(_) => {}
                }
            }
            let is_gone = |uid: Uid| match &seen.silence {
                _ if seen.messages.contains(uid) => false,
                Silence::Unchanged { vanished } => vanished.contains(uid),
                Silence::Gone => true,
            };
            changes.gone = known.iter().filter(|(uid, _)| is_gone(**uid)).map(|(_, id)| *id).collect();
            changes.skipped_gone = left_out.iter().filter(|uid| is_gone(*uid)).collect();
            changes
        })
    }

    const FLAGS: [&str; 3] = ["", "\\Seen", "\\Seen $Work"];

    /// What a side reports; `None`: the mailbox is not there.
    fn observed() -> impl Strategy<Value = Option<Observation>> {
        let messages = prop::collection::btree_map(1..60u32, 0..3usize, 0..40);
        let silence = prop::option::of(prop::collection::vec(1..60u32, 0..20));
        let observation = (messages, silence).prop_map(|(messages, gone)| {
            let messages: Vec<(u32, &str)> = messages.into_iter().map(|(n, flags)| (n, FLAGS[flags])).collect();
            seen(&messages, 0, gone.map_or(Silence::Gone, |gone| vanished(&gone)))
        });
        prop::option::weighted(0.9, observation)
    }

    /// Pairs of odd UIDs, some of both sides' multiples of four left out, the pairs in no order.
    fn remembered() -> impl Strategy<Value = (Vec<(PairId, Pair)>, Vec<Skipped>)> {
        let chosen = prop::collection::vec((any::<bool>(), 0..3usize), 30);
        let order = Just((0..30u32).collect::<Vec<_>>()).prop_shuffle();
        let left_out = prop::collection::vec((any::<bool>(), any::<bool>()), 15);
        (chosen, order, left_out).prop_map(|(chosen, order, left_out)| {
            let held = |at: &u32| chosen[*at as usize].0;
            let row = |at: u32| (i64::from(at), 2 * at + 1, 59 - 2 * at, FLAGS[chosen[at as usize].1]);
            let given = order.into_iter().filter(held).flat_map(|at| pairs(&[row(at)])).collect();
            let skips = left_out.into_iter().zip(1..).flat_map(|((local, remote), at)| {
                let on = |side: Side, there: bool| there.then(|| skipped(side, 4 * at));
                [on(Side::Local, local), on(Side::Remote, remote)].into_iter().flatten()
            });
            (given, skips.collect())
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn pair_by_pair_is_the_same_as_all_at_once(
            (given, skipped) in remembered(),
            (local, remote) in (observed(), observed()),
            twice in 0..30usize,
        ) {
            let seen = Both { local: local.as_ref(), remote: remote.as_ref() };
            let all: Pairs = given.iter().cloned().collect();
            let wanted = plainly(&all, &skipped, seen);

            let mut diff = Diff::new(skipped.clone(), seen);
            given.iter().chain(given.get(twice)).for_each(|(id, pair)| diff.compare(*id, pair.clone()));
            let (baseline, changes) = diff.finish();
            prop_assert_eq!(&changes, &wanted);
            let differs = |id: &PairId| {
                Side::BOTH.iter().any(|side| wanted[*side].gone.contains(id) || wanted[*side].reflagged.contains_key(id))
            };
            let differing: Pairs = given.iter().filter(|(id, _)| differs(id)).cloned().collect();
            prop_assert_eq!(baseline, Baseline { pairs: differing, skipped: skipped.clone() });

            // Where neither side lists everything, the pairs that they speak of are enough.
            let spoken_of = Both::from_fn(|side| seen[side].and_then(Observation::spoken_of));
            if let Both { local: Some(local), remote: Some(remote) } = &spoken_of {
                let mut diff = Diff::new(skipped, seen);
                for (side, spoken_of) in [(Side::Remote, remote), (Side::Local, local)] {
                    let touched = given.iter().filter(|(_, pair)| spoken_of.contains(pair.uids[side]));
                    touched.for_each(|(id, pair)| diff.compare(*id, pair.clone()));
                }
                prop_assert_eq!(diff.finish().1, wanted);
            }
        }
    }
}
