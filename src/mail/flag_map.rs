//! The flags of many messages, in few octets: what a mailbox of a million messages is observed into.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeFrom;
use std::sync::Arc;

use super::{FlagSet, Uid, UidSet};

/// Flags by UID, lowest UID first: 8 octets a message. Equal sets of flags are kept once, for most messages of a mailbox
/// share a few, so a keyword is spelled as it came first. UIDs may come in any order and more than once.
#[derive(Clone, Default)]
pub struct FlagMap {
    /// Never empty each, ascending within and from one to the next. Cut in pieces, since a single vector that grows
    /// would for a moment take several times the room, and a descending listing would move all of it for each message.
    pieces: Vec<Vec<Entry>>,
    len: usize,
    sets: Interned,
}

#[derive(Clone, Copy)]
struct Entry {
    uid: Uid,
    set: u32,
}

impl FlagMap {
    /// So many entries are moved at most to make room for one between them.
    const PIECE: usize = 512;

    /// The map without a message.
    pub fn new() -> FlagMap {
        FlagMap::default()
    }

    /// How many messages there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Sets the flags of a message; what was said of it before is forgotten.
    pub fn insert(&mut self, uid: Uid, flags: FlagSet) {
        let set = self.intern(flags);
        let entry = Entry { uid, set };
        let at = self.piece_of(uid);
        let Some(piece) = self.pieces.get_mut(at) else {
            return self.push(entry);
        };
        match piece.binary_search_by_key(&uid, |entry| entry.uid) {
            Ok(found) => piece[found] = entry,
            Err(place) => self.insert_at(at, place, entry),
        }
    }

    /// The flags of a message.
    pub fn get(&self, uid: Uid) -> Option<&FlagSet> {
        let piece = self.pieces.get(self.piece_of(uid))?;
        let found = piece.binary_search_by_key(&uid, |entry| entry.uid).ok()?;
        Some(self.sets.get(piece[found].set))
    }

    /// Whether there is such a message.
    pub fn contains(&self, uid: Uid) -> bool {
        self.get(uid).is_some()
    }

    /// Takes a message out; says whether it was there.
    pub fn remove(&mut self, uid: Uid) -> bool {
        let at = self.piece_of(uid);
        let Some(piece) = self.pieces.get_mut(at) else { return false };
        let Ok(found) = piece.binary_search_by_key(&uid, |entry| entry.uid) else { return false };
        piece.remove(found);
        self.len -= 1;
        if piece.is_empty() {
            self.pieces.remove(at);
        }
        true
    }

    /// Takes out every message of which `keep` does not say yes.
    pub fn retain(&mut self, mut keep: impl FnMut(Uid, &FlagSet) -> bool) {
        let sets = &self.sets;
        for piece in &mut self.pieces {
            piece.retain(|entry| keep(entry.uid, sets.get(entry.set)));
        }
        self.pieces.retain(|piece| !piece.is_empty());
        self.len = self.pieces.iter().map(Vec::len).sum();
    }

    /// The messages with their flags, lowest UID first.
    pub fn iter(&self) -> impl Iterator<Item = (Uid, &FlagSet)> + '_ {
        self.range(Uid::MIN..)
    }

    /// The messages from one UID on, lowest UID first.
    pub fn range(&self, from: RangeFrom<Uid>) -> impl Iterator<Item = (Uid, &FlagSet)> + '_ {
        let pieces = self.pieces.get(self.piece_of(from.start)..).unwrap_or_default();
        let entries = pieces.iter().flatten().skip_while(move |entry| entry.uid < from.start);
        entries.map(|entry| (entry.uid, self.sets.get(entry.set)))
    }

    /// The UIDs, lowest first.
    pub fn keys(&self) -> impl Iterator<Item = Uid> + '_ {
        self.pieces.iter().flatten().map(|entry| entry.uid)
    }

    /// The highest UID.
    pub fn last(&self) -> Option<Uid> {
        self.pieces.last()?.last().map(|entry| entry.uid)
    }

    /// The UIDs, as a set.
    pub fn uids(&self) -> UidSet {
        self.keys().collect()
    }

    /// The first piece that does not end below `uid`: the one that holds it if any does.
    fn piece_of(&self, uid: Uid) -> usize {
        self.pieces.partition_point(|piece| piece.last().is_some_and(|last| last.uid < uid))
    }

    /// Adds an entry above all others.
    fn push(&mut self, entry: Entry) {
        self.len += 1;
        match self.pieces.last_mut() {
            Some(piece) if piece.len() < FlagMap::PIECE => piece.push(entry),
            _ => self.pieces.push(vec![entry]),
        }
    }

    /// Adds an entry before that of a place.
    fn insert_at(&mut self, at: usize, place: usize, entry: Entry) {
        self.len += 1;
        // Between two pieces, the lower one is filled up first: what is listed in ascending runs is only ever appended to.
        let below = at.checked_sub(1).filter(|_| place == 0).and_then(|below| self.pieces.get_mut(below));
        if let Some(below) = below.filter(|below| below.len() < FlagMap::PIECE) {
            return below.push(entry);
        }
        let piece = &mut self.pieces[at];
        if piece.len() < FlagMap::PIECE {
            return piece.insert(place, entry);
        }
        if place == 0 {
            return self.pieces.insert(at, vec![entry]);
        }
        let half = FlagMap::PIECE / 2;
        let mut upper = piece.split_off(half);
        match place <= half {
            true => piece.insert(place, entry),
            false => upper.insert(place - half, entry),
        }
        self.pieces.insert(at + 1, upper);
    }

    /// Flags that no message bears any more are thrown away once they are many: whoever reports one message over and
    /// over, each time with other flags, fills no memory.
    fn intern(&mut self, flags: FlagSet) -> u32 {
        const SPARE: usize = 64;
        if self.sets.len() > 2 * self.len + SPARE {
            let old = std::mem::take(&mut self.sets);
            for entry in self.pieces.iter_mut().flatten() {
                entry.set = self.sets.number_of(old.get(entry.set));
            }
        }
        self.sets.number_of(&flags)
    }
}

impl FromIterator<(Uid, FlagSet)> for FlagMap {
    fn from_iter<I: IntoIterator<Item = (Uid, FlagSet)>>(messages: I) -> FlagMap {
        let mut map = FlagMap::new();
        messages.into_iter().for_each(|(uid, flags)| map.insert(uid, flags));
        map
    }
}

impl PartialEq for FlagMap {
    fn eq(&self, other: &FlagMap) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl fmt::Debug for FlagMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Sets of flags, each once, under a number.
#[derive(Clone, Default)]
struct Interned {
    sets: Vec<Arc<FlagSet>>,
    numbers: BTreeMap<Arc<FlagSet>, u32>,
}

impl Interned {
    fn len(&self) -> usize {
        self.sets.len()
    }

    fn get(&self, number: u32) -> &FlagSet {
        &self.sets[number as usize]
    }

    fn number_of(&mut self, flags: &FlagSet) -> u32 {
        if let Some(number) = self.numbers.get(flags) {
            return *number;
        }
        let flags = Arc::new(flags.clone());
        let number =
            u32::try_from(self.sets.len()).expect("two billion messages, each with flags of its own, are in no memory");
        self.sets.push(flags.clone());
        self.numbers.insert(flags, number);
        number
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn uid(number: u32) -> Uid {
        Uid::new(number).unwrap()
    }

    fn flags(number: u32) -> FlagSet {
        FlagSet::parse(&format!("\\Seen k{number}"))
    }

    impl FlagMap {
        fn is_sound(&self) -> bool {
            let ascending = self.keys().is_sorted_by(|a, b| a < b);
            let pieces = self.pieces.iter().all(|piece| (1..=FlagMap::PIECE).contains(&piece.len()));
            ascending && pieces && self.keys().count() == self.len
        }
    }

    #[test]
    fn whatever_the_order_the_pieces_are_few() {
        let all = 1..100_000u32;
        let count = all.clone().count();
        let steps = |step: u32| all.clone().map(move |n| (n - 1) * step % 99_999 + 1);
        let orders: [(&str, Vec<u32>); 6] = [
            ("ascending", all.clone().collect()),
            ("descending", all.clone().rev().collect()),
            ("ascending, the second half first", (50_000..100_000).chain(1..50_000).collect()),
            ("descending, the lower half first", (1..50_000).rev().chain((50_000..100_000).rev()).collect()),
            ("from both ends", all.clone().zip(all.clone().rev()).flat_map(|(a, b)| [a, b]).collect()),
            ("scattered", steps(31_627).collect()),
        ];
        for (order, numbers) in orders {
            let map: FlagMap = numbers.into_iter().map(|n| (uid(n), flags(n % 7))).collect();
            assert!(map.is_sound() && map.len() == count, "{order}");
            assert!(map.keys().eq(all.clone().map(uid)), "{order}");
            assert!(map.pieces.len() <= 3 * count.div_ceil(FlagMap::PIECE), "{order}: {}", map.pieces.len());
            assert_eq!(map.sets.len(), 7, "{order}");
            assert_eq!(map.get(uid(15)), Some(&flags(1)), "{order}");
        }
    }

    #[test]
    fn flags_that_nothing_bears_any_more_are_thrown_away() {
        let mut map = FlagMap::new();
        for number in 1..10_000 {
            map.insert(uid(1 + number % 3), flags(number));
        }
        assert!(map.sets.len() < 100, "{}", map.sets.len());
        assert_eq!(map, [(uid(1), flags(9999)), (uid(2), flags(9997)), (uid(3), flags(9998))].into_iter().collect());
    }

    #[derive(Clone, Debug)]
    enum Deed {
        Insert(u32, u32),
        Run(u32, u32, bool),
        Remove(u32),
        Retain(u32),
    }

    fn deed() -> impl Strategy<Value = Deed> {
        let number = || prop_oneof![1..5000u32, Just(u32::MAX)];
        prop_oneof![
            4 => (number(), 0..200u32).prop_map(|(n, f)| Deed::Insert(n, f)),
            3 => (1..5000u32, 0..900u32, any::<bool>()).prop_map(|(n, count, up)| Deed::Run(n, count, up)),
            2 => number().prop_map(Deed::Remove),
            1 => (2..5u32).prop_map(Deed::Retain),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_is_a_map(deeds in prop::collection::vec(deed(), 0..40), from in 1..5000u32) {
            let (mut map, mut model) = (FlagMap::new(), BTreeMap::new());
            for deed in deeds {
                match deed {
                    Deed::Insert(n, f) => {
                        map.insert(uid(n), flags(f));
                        model.insert(uid(n), flags(f));
                    }
                    Deed::Run(n, count, up) => {
                        for step in 0..count {
                            let n = n + if up { step } else { count - step };
                            map.insert(uid(n), flags(step % 3));
                            model.insert(uid(n), flags(step % 3));
                        }
                    }
                    Deed::Remove(n) => prop_assert_eq!(map.remove(uid(n)), model.remove(&uid(n)).is_some()),
                    Deed::Retain(n) => {
                        map.retain(|uid, flags| uid.get() % n > 0 || !flags.to_string().contains('2'));
                        model.retain(|uid, flags| uid.get() % n > 0 || !flags.to_string().contains('2'));
                    }
                }
                prop_assert!(map.is_sound());
            }
            let owned = |(uid, flags): (&Uid, &FlagSet)| (*uid, flags.clone());
            prop_assert_eq!(map.len(), model.len());
            prop_assert_eq!(map.is_empty(), model.is_empty());
            prop_assert!(map.iter().eq(model.iter().map(|(uid, flags)| (*uid, flags))));
            prop_assert!(map.range(uid(from)..).eq(model.range(uid(from)..).map(|(uid, flags)| (*uid, flags))));
            prop_assert_eq!(map.get(uid(from)), model.get(&uid(from)));
            prop_assert_eq!(map.contains(uid(from)), model.contains_key(&uid(from)));
            prop_assert_eq!(map.uids(), model.keys().copied().collect());
            prop_assert_eq!(format!("{map:?}"), format!("{model:?}"));
            let again: FlagMap = model.iter().rev().map(owned).collect();
            prop_assert_eq!(&again, &map);
            if let Some(last) = model.keys().next_back() {
                let mut other = map.clone();
                other.insert(*last, flags(999));
                prop_assert_ne!(&other, &map);
                other.remove(*last);
                prop_assert_ne!(&other, &map);
            }
        }
    }
}
