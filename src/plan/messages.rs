//! Plans one mailbox: what to copy, which flags to change, what to expunge, and what only to remember.

use std::collections::{BTreeMap, BTreeSet};

use crate::mail::{Access, Both, FlagChange, FlagSet, PermanentFlags, Side, Uid, UidSet};

use super::{Baseline, Changes, Flow, PairId, Policy, SkipReason, merge};

/// What the planner has to know about one mailbox.
#[derive(Debug)]
pub struct View<'a> {
    /// What is remembered, as far as either side touches it.
    pub baseline: &'a Baseline,
    /// How each side moved away from it.
    pub changes: &'a Both<Changes>,
    /// Which flags each side can keep.
    pub holds: Both<&'a PermanentFlags>,
    /// Whether each side lets itself be changed.
    pub access: Both<Access>,
    /// How many messages of each side are remembered at all: what the guard measures against.
    pub held: Both<u64>,
    /// Messages left out before that are due to be tried again.
    pub due: &'a Both<UidSet>,
}

/// What is to be done in one mailbox.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MailboxPlan {
    /// Messages to copy, by the side they come from.
    pub copies: Both<UidSet>,
    /// Flags to change.
    pub reflags: Vec<Reflag>,
    /// Messages to expunge, by the side that loses them; the other side's are gone already.
    pub expunges: Both<BTreeMap<PairId, Uid>>,
    /// Pairs that are gone on both sides.
    pub forget: BTreeSet<PairId>,
    /// Messages to be left out from now on, by the side that holds them.
    pub skips: Both<BTreeMap<Uid, SkipReason>>,
    /// Messages left out before that are gone, by the side that held them.
    pub unskips: Both<UidSet>,
    /// Messages that one side keeps although the other's is gone: the pair ends, the message stays.
    pub keeps: Vec<(PairId, Side, Uid)>,
    /// Expunged on one side, changed on the other: the side of the expunge, and the pair.
    pub conflicts: Vec<(Side, PairId)>,
    /// What the guard held back, by the side that would have lost it: how many of how many.
    pub guarded: Both<Option<(u64, u64)>>,
    /// How many changes do not reach a side because it lets nobody change it.
    pub read_only: Both<u64>,
}

/// One message's flags.
#[derive(Clone, Debug, PartialEq)]
pub struct Reflag {
    /// Which pair.
    pub pair: PairId,
    /// Its UIDs.
    pub uids: Both<Uid>,
    /// What was last agreed on.
    pub base: FlagSet,
    /// What each side bears now.
    pub now: Both<FlagSet>,
    /// What changes on each side; nothing where only our memory has to follow.
    pub changes: Both<FlagChange>,
    /// What both bear once that is done.
    pub agreed: FlagSet,
}

impl MailboxPlan {
    /// Whether neither a side nor our memory is to change.
    pub fn is_empty(&self) -> bool {
        *self == MailboxPlan::default()
    }

    /// The flags to change on a side, in few groups: messages with the same change go together.
    pub fn flag_groups(&self, side: Side) -> Vec<(UidSet, FlagChange)> {
        let mut groups: BTreeMap<FlagChange, UidSet> = BTreeMap::new();
        for reflag in self.reflags.iter().filter(|reflag| !reflag.changes[side].is_empty()) {
            groups.entry(reflag.changes[side].clone()).or_default().insert(reflag.uids[side]);
        }
        groups.into_iter().map(|(change, uids)| (uids, change)).collect()
    }

    /// Whether a checkpoint may follow once everything in it is done.
    pub fn is_whole(&self) -> bool {
        self.guarded == Both::default() && self.read_only == Both::default()
    }
}

/// Plans one mailbox. A pure function of its arguments.
pub fn plan_mailbox(view: &View<'_>, policy: &Policy) -> MailboxPlan {
    let mut plan = MailboxPlan::default();
    for (id, pair) in &view.baseline.pairs {
        let gone = Both::from_fn(|side| view.changes[side].gone.contains(id));
        match (gone.local, gone.remote) {
            (true, true) => {
                plan.forget.insert(*id);
            }
            (true, false) => plan_gone(&mut plan, view, policy, Side::Local, *id),
            (false, true) => plan_gone(&mut plan, view, policy, Side::Remote, *id),
            (false, false) => {
                let now = Both::from_fn(|side| view.changes[side].reflagged.get(id).unwrap_or(&pair.flags));
                if now.local == &pair.flags && now.remote == &pair.flags {
                    continue;
                }
                let carried =
                    |from: Side| policy.carries(from, Flow::Flags) && view.access[from.other()] == Access::ReadWrite;
                let merged = merge::merge(&pair.flags, now, view.holds, carried);
                let wished = merge::merge(&pair.flags, now, view.holds, |from| policy.carries(from, Flow::Flags));
                for side in Side::BOTH.into_iter().filter(|side| view.access[*side] == Access::ReadOnly) {
                    plan.read_only[side] += u64::from(!wished.changes[side].is_empty());
                }
                let moves = Side::BOTH.iter().any(|side| !merged.changes[*side].is_empty());
                if moves || merged.agreed != pair.flags {
                    plan.reflags.push(Reflag {
                        pair: *id,
                        uids: pair.uids,
                        base: pair.flags.clone(),
                        now: now.map(FlagSet::clone),
                        changes: merged.changes,
                        agreed: merged.agreed,
                    });
                }
            }
        }
    }
    for from in Side::BOTH {
        plan_arrivals(&mut plan, view, policy, from);
        plan.unskips[from] = view.changes[from].skipped_gone.clone();
        guard(&mut plan, view, policy, from);
    }
    plan
}

/// A message is gone on `from`; what becomes of the other side's?
fn plan_gone(plan: &mut MailboxPlan, view: &View<'_>, policy: &Policy, from: Side, id: PairId) {
    let Some(pair) = view.baseline.pairs.get(&id) else { return };
    let target = from.other();
    let uid = pair.uids[target];
    if !policy.carries(from, Flow::Gone) {
        plan.keeps.push((id, target, uid));
        return;
    }
    if view.access[target] == Access::ReadOnly {
        plan.read_only[target] += 1;
        return;
    }
    if view.changes[target].reflagged.contains_key(&id) {
        plan.conflicts.push((from, id));
    }
    plan.expunges[target].insert(id, uid);
}

/// Messages of `from` that the other side does not have.
fn plan_arrivals(plan: &mut MailboxPlan, view: &View<'_>, policy: &Policy, from: Side) {
    let changes = &view.changes[from];
    let due = view.due[from].difference(&changes.skipped_gone);
    match policy.carries(from, Flow::New) {
        false => plan.skips[from] = changes.arrived.iter().map(|uid| (uid, SkipReason::Policy)).collect(),
        true if view.access[from.other()] == Access::ReadOnly => plan.read_only[from.other()] += changes.arrived.len(),
        true => plan.copies[from] = changes.arrived.union(&due),
    }
}

/// Holds back the expunges of a side that would lose more than the user has said.
fn guard(plan: &mut MailboxPlan, view: &View<'_>, policy: &Policy, side: Side) {
    let (going, held) = (plan.expunges[side].len() as u64, view.held[side]);
    if policy.max_delete.is_some_and(|limit| limit.is_exceeded(going, held)) {
        plan.guarded[side] = Some((going, held));
        let held_back = std::mem::take(&mut plan.expunges[side]);
        plan.conflicts.retain(|(_, id)| !held_back.contains_key(id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::{Fingerprint, HeaderDigest, InternalDate};
    use crate::plan::{MaxDelete, Pair, Writing};

    fn uid(number: u32) -> Uid {
        Uid::new(number).unwrap()
    }

    fn uids(numbers: &[u32]) -> UidSet {
        numbers.iter().map(|number| uid(*number)).collect()
    }

    /// Pair n has UID n here and 100 + n there.
    fn baseline(pairs: u32) -> Baseline {
        let fingerprint =
            Fingerprint { size: 1, internal_date: InternalDate::from_unix(0).unwrap(), header: HeaderDigest::of(b"") };
        let pair = |n| Pair {
            uids: Both { local: uid(n), remote: uid(100 + n) },
            flags: FlagSet::parse("\\Seen"),
            fingerprint,
        };
        Baseline { pairs: (1..=pairs).map(|n| (PairId(n.into()), pair(n))).collect(), skipped: vec![] }
    }

    #[derive(Default)]
    struct Case {
        pairs: u32,
        changes: Both<Changes>,
        due: Both<UidSet>,
        read_only: Option<Side>,
    }

    impl Case {
        fn plan(&self, policy: &Policy) -> MailboxPlan {
            let all = PermanentFlags::all();
            let view = View {
                baseline: &baseline(self.pairs),
                changes: &self.changes,
                holds: Both { local: &all, remote: &all },
                access: Both::from_fn(|side| match self.read_only == Some(side) {
                    true => Access::ReadOnly,
                    false => Access::ReadWrite,
                }),
                held: Both { local: self.pairs.into(), remote: self.pairs.into() },
                due: &self.due,
            };
            plan_mailbox(&view, policy)
        }
    }

    fn gone(ids: impl IntoIterator<Item = i64>) -> Changes {
        Changes { gone: ids.into_iter().map(PairId).collect(), ..Changes::default() }
    }

    fn arrived(numbers: &[u32]) -> Changes {
        Changes { arrived: uids(numbers), ..Changes::default() }
    }

    fn reflagged(id: i64, flags: &str) -> Changes {
        Changes { reflagged: BTreeMap::from([(PairId(id), FlagSet::parse(flags))]), ..Changes::default() }
    }

    #[test]
    fn nothing_changed_plans_nothing() {
        let case = Case { pairs: 3, ..Case::default() };
        assert!(case.plan(&Policy::two_way()).is_empty());
    }

    #[test]
    fn s001_arrivals_cross_in_both_directions() {
        let changes = Both { local: arrived(&[7]), remote: arrived(&[107, 108]) };
        let plan = Case { changes, ..Case::default() }.plan(&Policy::two_way());
        assert_eq!(plan.copies, Both { local: uids(&[7]), remote: uids(&[107, 108]) });
    }

    #[test]
    fn s006_an_expunge_wins_over_a_flag_change_and_is_reported() {
        let changes = Both { local: gone([1]), remote: reflagged(1, "\\Seen \\Flagged") };
        let plan = Case { pairs: 1, changes, ..Case::default() }.plan(&Policy::two_way());
        assert_eq!(plan.expunges.remote, BTreeMap::from([(PairId(1), uid(101))]));
        assert_eq!(plan.conflicts, [(Side::Local, PairId(1))]);
        assert!(plan.reflags.is_empty());
    }

    #[test]
    fn s007_gone_on_both_sides_is_only_forgotten() {
        let changes = Both { local: gone([1]), remote: gone([1]) };
        let plan = Case { pairs: 1, changes, ..Case::default() }.plan(&Policy::two_way());
        assert_eq!(plan, MailboxPlan { forget: BTreeSet::from([PairId(1)]), ..MailboxPlan::default() });
    }

    #[test]
    fn s013_a_change_that_was_taken_back_plans_nothing() {
        let changes = Both { local: reflagged(1, "\\Seen"), remote: Changes::default() };
        assert!(Case { pairs: 1, changes, ..Case::default() }.plan(&Policy::two_way()).is_empty());
    }

    #[test]
    fn s014_the_same_change_on_both_sides_only_moves_our_memory() {
        let changes = Both { local: reflagged(1, ""), remote: reflagged(1, "") };
        let plan = Case { pairs: 1, changes, ..Case::default() }.plan(&Policy::two_way());
        assert_eq!(plan.reflags.len(), 1);
        assert!(plan.reflags[0].changes.local.is_empty() && plan.reflags[0].changes.remote.is_empty());
        assert!(plan.reflags[0].agreed.is_empty());
    }

    #[test]
    fn the_guard_holds_back_one_side_only() {
        let changes = Both { local: gone(1..=30), remote: gone(31..=32) };
        let case = Case { pairs: 40, changes, ..Case::default() };
        let plan = case.plan(&Policy::two_way());
        assert_eq!(plan.guarded, Both { local: None, remote: Some((30, 40)) });
        assert_eq!((plan.expunges.local.len(), plan.expunges.remote.len()), (2, 0));
        assert!(!plan.is_whole());
        let allowed = case.plan(&Policy { max_delete: None, ..Policy::two_way() });
        assert_eq!(allowed.expunges.remote.len(), 30);
        let more = case.plan(&Policy { max_delete: Some(MaxDelete::Percent(75)), ..Policy::two_way() });
        assert_eq!(more.expunges.remote.len(), 30);
    }

    #[test]
    fn what_may_not_flow_stays_where_it_is() {
        let mut pull_only = Policy::two_way();
        pull_only.flow.local = BTreeSet::new();
        let changes = Both { local: Changes { gone: gone([1]).gone, ..arrived(&[7]) }, remote: Changes::default() };
        let plan = Case { pairs: 1, changes, ..Case::default() }.plan(&pull_only);
        assert_eq!(plan.skips.local, BTreeMap::from([(uid(7), SkipReason::Policy)]));
        assert_eq!(plan.keeps, [(PairId(1), Side::Remote, uid(101))]);
        assert!(plan.copies.local.is_empty() && plan.expunges.remote.is_empty());
    }

    #[test]
    fn a_side_that_is_read_only_by_configuration_is_never_changed() {
        let mut policy = Policy::two_way();
        policy.writing.remote = Writing::Refused;
        let changes = Both { local: Changes { gone: gone([1]).gone, ..arrived(&[7]) }, remote: reflagged(2, "") };
        let plan = Case { pairs: 2, changes, ..Case::default() }.plan(&policy);
        assert!(plan.copies.local.is_empty() && plan.expunges.remote.is_empty());
        assert_eq!(plan.reflags[0].changes.local.to_string(), "-\\Seen");
        assert!(plan.reflags[0].changes.remote.is_empty());
    }

    #[test]
    fn s107_a_mailbox_that_the_server_holds_shut_loses_nothing() {
        let changes = Both {
            local: Changes { gone: gone([1]).gone, reflagged: reflagged(2, "").reflagged, ..arrived(&[7]) },
            remote: arrived(&[150]),
        };
        let case = Case { pairs: 2, changes, read_only: Some(Side::Remote), ..Case::default() };
        let plan = case.plan(&Policy::two_way());
        assert_eq!(plan.copies, Both { local: UidSet::new(), remote: uids(&[150]) });
        assert!(plan.reflags.is_empty());
        assert_eq!(plan.read_only, Both { local: 0, remote: 3 });
        assert!(!plan.is_whole(), "what could not be done is seen again");
    }

    #[test]
    fn what_was_left_out_is_tried_again_when_it_is_due() {
        let due = Both { local: uids(&[7]), remote: UidSet::new() };
        let plan = Case { due, ..Case::default() }.plan(&Policy::two_way());
        assert_eq!(plan.copies.local, uids(&[7]));
    }
}
