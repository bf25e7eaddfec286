//! Merges flags three ways, flag by flag. It cannot conflict: where the sides differ on a flag, one of them still has
//! the value they last agreed on.

use crate::mail::{Both, Flag, FlagChange, FlagSet, PermanentFlags, Side};

/// What the flags of a message become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged {
    /// What each side's flags are to be changed by.
    pub changes: Both<FlagChange>,
    /// What both sides hold once that is done: the next base.
    pub agreed: FlagSet,
}

/// Merges what each side holds `now` against the `base`. `holds` says which flags each side can keep: a flag that one
/// of them cannot is no matter between them, neither carried nor taken as removed. `carried` says whether a change
/// made on a side reaches the other one.
pub fn merge(
    base: &FlagSet,
    now: Both<&FlagSet>,
    holds: Both<&PermanentFlags>,
    carried: impl Fn(Side) -> bool,
) -> Merged {
    let mut wanted = now.map(FlagSet::clone);
    for flag in base.union(now.local).union(now.remote).iter().filter(|flag| both_hold(holds, flag)) {
        for from in Side::BOTH {
            let (was, is) = (base.contains(&flag), now[from].contains(&flag));
            if was != is && carried(from) {
                match is {
                    true => wanted[from.other()].insert(flag.clone()),
                    false => wanted[from.other()].remove(&flag),
                };
            }
        }
    }
    let agreed = agreed(base, wanted.as_ref(), holds);
    Merged { changes: Both::from_fn(|side| FlagChange::between(now[side], &wanted[side])), agreed }
}

/// What to remember of a message whose flags are `now`: what both sides hold; where they differ, what they held when
/// they last agreed, so that the difference is still seen as somebody's change later. A flag that one side cannot keep
/// is remembered only while it is there all the same.
pub fn agreed(base: &FlagSet, now: Both<&FlagSet>, holds: Both<&PermanentFlags>) -> FlagSet {
    base.union(now.local).union(now.remote).filtered(|flag| {
        match (now.local.contains(flag), now.remote.contains(flag)) {
            (true, true) => true,
            (false, false) => false,
            _ => base.contains(flag) && both_hold(holds, flag),
        }
    })
}

fn both_hold(holds: Both<&PermanentFlags>, flag: &Flag) -> bool {
    Side::BOTH.iter().all(|side| holds[*side].holds(flag))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::NewKeywords;
    use proptest::prelude::*;

    fn merged(base: &str, local: &str, remote: &str) -> (String, String, String) {
        let all = PermanentFlags::all();
        let (local, remote) = (FlagSet::parse(local), FlagSet::parse(remote));
        let now = Both { local: &local, remote: &remote };
        let merged = merge(&FlagSet::parse(base), now, Both { local: &all, remote: &all }, |_| true);
        (merged.changes.local.to_string(), merged.changes.remote.to_string(), merged.agreed.to_string())
    }

    #[test]
    fn each_flag_goes_where_it_was_changed() {
        for (base, local, remote, to_local, to_remote, agreed) in [
            ("", "\\Seen", "\\Flagged", "+\\Flagged", "+\\Seen", "\\Flagged \\Seen"),
            ("\\Seen", "", "\\Seen", "", "-\\Seen", ""),
            ("\\Flagged \\Answered", "\\Answered", "\\Flagged", "-\\Answered", "-\\Flagged", ""),
            ("", "a", "A", "", "", "a"),
            ("x", "", "", "", "", ""),
            ("\\Seen", "\\Seen", "\\Seen", "", "", "\\Seen"),
        ] {
            let expected = (to_local.to_owned(), to_remote.to_owned(), agreed.to_owned());
            assert_eq!(merged(base, local, remote), expected, "{base} | {local} | {remote}");
        }
    }

    #[test]
    fn a_keyword_the_other_side_cannot_hold_is_neither_lost_nor_deleted() {
        let all = PermanentFlags::all();
        let few = PermanentFlags { listed: FlagSet::parse("\\Seen"), new_keywords: NewKeywords::Refused };
        let holds = Both { local: &all, remote: &few };
        for (case, base, local, remote, agreed) in [
            ("set on the side that can", "", "$Work", "", ""),
            ("once agreed on, now forgotten by the other side", "$Work", "$Work", "", ""),
            ("removed on the side that can", "$Work", "", "$Work", ""),
        ] {
            let (base, local, remote) = (FlagSet::parse(base), FlagSet::parse(local), FlagSet::parse(remote));
            let merged = merge(&base, Both { local: &local, remote: &remote }, holds, |_| true);
            assert!(merged.changes.local.is_empty() && merged.changes.remote.is_empty(), "{case}");
            assert_eq!(merged.agreed, FlagSet::parse(agreed), "{case}");
        }
    }

    #[test]
    fn what_is_not_carried_stays_a_difference() {
        let all = PermanentFlags::all();
        let (local, remote) = (FlagSet::parse("\\Seen"), FlagSet::parse("\\Flagged"));
        let now = Both { local: &local, remote: &remote };
        let pull_only = |from| from == Side::Remote;
        let merged = merge(&FlagSet::new(), now, Both { local: &all, remote: &all }, pull_only);
        assert_eq!(merged.changes.local.to_string(), "+\\Flagged");
        assert!(merged.changes.remote.is_empty());
        assert_eq!(merged.agreed.to_string(), "\\Flagged", "the local \\Seen is still news to the remote side");
    }

    fn flags() -> impl Strategy<Value = FlagSet> {
        proptest::sample::subsequence(vec!["\\Seen", "\\Flagged", "$Work", "Junk"], 0..=4)
            .prop_map(|flags| FlagSet::parse(&flags.join(" ")))
    }

    proptest! {
        #[test]
        fn both_sides_end_alike_and_every_change_is_kept(base in flags(), local in flags(), remote in flags()) {
            let all = PermanentFlags::all();
            let now = Both { local: &local, remote: &remote };
            let merged = merge(&base, now, Both { local: &all, remote: &all }, |_| true);
            let end = Both::from_fn(|side| merged.changes[side].applied_to(now[side]));
            prop_assert_eq!(&end.local, &end.remote);
            prop_assert_eq!(&end.local, &merged.agreed);
            for side in Side::BOTH {
                let change = FlagChange::between(&base, now[side]);
                prop_assert!(change.add.iter().all(|flag| merged.agreed.contains(&flag)));
                prop_assert!(change.remove.iter().all(|flag| !merged.agreed.contains(&flag)));
            }
        }
    }
}
