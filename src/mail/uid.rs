//! The numbers of IMAP: UIDs and sets of them, UIDVALIDITY, mod-sequences.

use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};
use std::ops::RangeInclusive;

use roaring::RoaringBitmap;

/// A unique identifier, 1 … 2^32-1 (RFC 9051 §2.3.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uid(NonZeroU32);

impl Uid {
    /// The lowest UID there can be.
    pub const MIN: Uid = Uid(NonZeroU32::MIN);
    /// The highest UID there can be. Ranges end here, never at `*`, which means other things (RFC 7162 §3.2.5).
    pub const MAX: Uid = Uid(NonZeroU32::MAX);

    /// `None` for 0, which is no UID.
    pub fn new(number: u32) -> Option<Uid> {
        NonZeroU32::new(number).map(Uid)
    }

    /// The number itself, never 0.
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The generation of a mailbox's UIDs, 1 … 2^32-1 (RFC 9051 §2.3.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UidValidity(NonZeroU32);

impl UidValidity {
    /// `None` for 0, which is no UIDVALIDITY.
    pub fn new(number: u32) -> Option<UidValidity> {
        NonZeroU32::new(number).map(UidValidity)
    }

    /// The number itself, never 0.
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for UidValidity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A mod-sequence, 1 … 2^63-1 (RFC 7162 §3.1, which narrowed RFC 4551's 2^64-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModSeq(NonZeroU64);

impl ModSeq {
    /// The highest mod-sequence there can be; it also fits SQLite's signed integers.
    pub const MAX: u64 = i64::MAX as u64;

    /// `None` for 0 and for anything above 2^63-1.
    pub fn new(number: u64) -> Option<ModSeq> {
        NonZeroU64::new(number).filter(|number| number.get() <= ModSeq::MAX).map(ModSeq)
    }

    /// The number itself.
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for ModSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A set of UIDs. Runs stay runs: `1:4294967295` costs a few megabytes at most, whoever sent it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UidSet(RoaringBitmap);

impl UidSet {
    /// The set without a member.
    pub fn new() -> UidSet {
        UidSet::default()
    }

    /// Adds one UID; says whether it was not there before.
    pub fn insert(&mut self, uid: Uid) -> bool {
        self.0.insert(uid.get())
    }

    /// Adds every UID of a range; `5:3` is `3:5` on the wire (RFC 9051 §9), so both orders count.
    pub fn insert_range(&mut self, range: RangeInclusive<Uid>) {
        let (from, to) = (range.start().get(), range.end().get());
        self.0.insert_range(from.min(to)..=from.max(to));
    }

    /// Takes one UID out; says whether it was there.
    pub fn remove(&mut self, uid: Uid) -> bool {
        self.0.remove(uid.get())
    }

    /// Whether `uid` is a member.
    pub fn contains(&self, uid: Uid) -> bool {
        self.0.contains(uid.get())
    }

    /// How many UIDs the set holds.
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// Whether the set holds no UID.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The lowest member.
    pub fn first(&self) -> Option<Uid> {
        self.0.min().and_then(Uid::new)
    }

    /// The highest member.
    pub fn last(&self) -> Option<Uid> {
        self.0.max().and_then(Uid::new)
    }

    /// The members, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = Uid> + '_ {
        self.0.iter().filter_map(Uid::new)
    }

    /// The runs of consecutive members, lowest first.
    pub fn ranges(&self) -> impl Iterator<Item = RangeInclusive<Uid>> + '_ {
        let mut rest = self.0.iter();
        std::iter::from_fn(move || {
            let range = rest.next_range()?;
            Some(Uid::new(*range.start())?..=Uid::new(*range.end())?)
        })
    }

    /// The members of either set.
    pub fn union(&self, other: &UidSet) -> UidSet {
        UidSet(&self.0 | &other.0)
    }

    /// The members of both sets.
    pub fn intersection(&self, other: &UidSet) -> UidSet {
        UidSet(&self.0 & &other.0)
    }

    /// The members that `other` does not hold.
    pub fn difference(&self, other: &UidSet) -> UidSet {
        UidSet(&self.0 - &other.0)
    }

    /// Cuts the set, in order, into sets of so many members, and a last one of the rest.
    pub fn parts(&self, members: u32) -> impl Iterator<Item = UidSet> + '_ {
        let mut ranges = self.ranges();
        let mut open: Option<RangeInclusive<u32>> = None;
        std::iter::from_fn(move || {
            let mut part = RoaringBitmap::new();
            while let Some(range) = open.take().or_else(|| ranges.next().map(|it| it.start().get()..=it.end().get())) {
                // What is taken of a range is no more than there is room for, so that it is less than 2^32.
                let room = members.max(1) - u32::try_from(part.len()).unwrap_or(u32::MAX);
                let last = range.start().saturating_add(room - 1).min(*range.end());
                part.insert_range(*range.start()..=last);
                if last < *range.end() {
                    open = Some(last + 1..=*range.end());
                }
                if part.len() >= u64::from(members) {
                    break;
                }
            }
            Some(UidSet(part)).filter(|part| !part.is_empty())
        })
    }

    /// Cuts the set, in order, into sets whose wire form is at most `octets` long (RFC 7162 §4 asks clients to keep
    /// command lines near 8192 octets). A single run longer than that stands alone.
    pub fn split(&self, octets: usize) -> Vec<UidSet> {
        let mut pieces = Vec::new();
        let mut piece = UidSet::new();
        let mut used = 0;
        for range in self.ranges() {
            let cost = range_text(&range).len() + 1;
            if used > 0 && used + cost > octets {
                pieces.push(std::mem::take(&mut piece));
                used = 0;
            }
            used += cost;
            piece.insert_range(range);
        }
        if !piece.is_empty() {
            pieces.push(piece);
        }
        pieces
    }
}

impl FromIterator<Uid> for UidSet {
    fn from_iter<I: IntoIterator<Item = Uid>>(uids: I) -> UidSet {
        UidSet(uids.into_iter().map(Uid::get).collect())
    }
}

impl Extend<Uid> for UidSet {
    fn extend<I: IntoIterator<Item = Uid>>(&mut self, uids: I) {
        self.0.extend(uids.into_iter().map(Uid::get));
    }
}

/// The wire form of a sequence-set (RFC 9051 §9), `1:3,7`; empty for the empty set, which no command may carry.
impl fmt::Display for UidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, range) in self.ranges().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            f.write_str(&range_text(&range))?;
        }
        Ok(())
    }
}

fn range_text(range: &RangeInclusive<Uid>) -> String {
    match range.start() == range.end() {
        true => range.start().to_string(),
        false => format!("{}:{}", range.start(), range.end()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uid(number: u32) -> Uid {
        Uid::new(number).unwrap()
    }

    fn set(ranges: &[(u32, u32)]) -> UidSet {
        let mut set = UidSet::new();
        for (from, to) in ranges {
            set.insert_range(uid(*from)..=uid(*to));
        }
        set
    }

    #[test]
    fn zero_and_too_much_are_no_numbers() {
        assert_eq!(Uid::new(0), None);
        assert_eq!(UidValidity::new(0), None);
        assert_eq!(ModSeq::new(0), None);
        assert_eq!(ModSeq::new(1 << 63), None);
        assert!(ModSeq::new((1 << 63) - 1).is_some());
    }

    #[test]
    fn sets_are_written_as_runs() {
        for (ranges, wire) in [
            (&[][..], ""),
            (&[(7, 7)][..], "7"),
            (&[(3, 1), (7, 7)][..], "1:3,7"),
            (&[(1, 2), (3, 4)][..], "1:4"),
            (&[(1, u32::MAX)][..], "1:4294967295"),
        ] {
            assert_eq!(set(ranges).to_string(), wire);
        }
    }

    #[test]
    fn split_keeps_every_member_in_order_within_the_limit() {
        let holes: UidSet = (1..2000).map(|n| uid(n * 2)).collect();
        let pieces = holes.split(100);
        assert!(pieces.len() > 50);
        assert!(pieces.iter().all(|piece| piece.to_string().len() <= 100));
        let again: Vec<Uid> = pieces.iter().flat_map(|piece| piece.iter().collect::<Vec<_>>()).collect();
        assert_eq!(again, holes.iter().collect::<Vec<_>>());
    }

    #[test]
    fn parts_keep_every_member_in_order() {
        let some = set(&[(1, 3), (7, 7), (10, 15), (u32::MAX - 2, u32::MAX)]);
        let parts = |members| some.parts(members).map(|part| part.to_string()).collect::<Vec<_>>();
        assert_eq!(parts(4), ["1:3,7", "10:13", "14:15,4294967293:4294967294", "4294967295"]);
        assert_eq!(parts(13), [some.to_string()]);
        assert_eq!(parts(u32::MAX), [some.to_string()]);
        assert_eq!(parts(1).len(), 13);
        assert_eq!(UidSet::new().parts(4).count(), 0);
        assert_eq!(
            set(&[(1, u32::MAX)]).parts(1 << 31).map(|part| part.len()).collect::<Vec<_>>(),
            [1 << 31, (1 << 31) - 1]
        );
    }

    #[test]
    fn s069_a_hostile_range_stays_small() {
        let everything = set(&[(1, u32::MAX)]);
        assert_eq!(everything.len(), u64::from(u32::MAX));
        assert_eq!(everything.intersection(&set(&[(5, 9)])), set(&[(5, 9)]));
        assert_eq!(everything.ranges().count(), 1);
    }
}
