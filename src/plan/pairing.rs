//! Recognizes equal messages where no pair says so: at a first run, after a new UIDVALIDITY, after a crash.

use std::collections::{BTreeMap, BTreeSet};

use crate::mail::{Both, Fingerprint, HeaderDigest, InternalDate, Side, Uid};

use super::{Intent, IntentId, PairId};

/// What fingerprints say about two sets of messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Likeness<A: Ord, B: Ord> {
    /// Equal messages.
    pub certain: Vec<(A, B)>,
    /// Messages with the same header, but another size or another date: a server may have rewritten one of them.
    /// They are equal if their contents are, which has to be looked at. A message stands in one row at most.
    pub doubtful: Vec<(A, B)>,
}

/// Who many messages are: 36 octets each and what they are called by, lowest first. A mailbox may hold a million of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prints<K>(Vec<(K, Fingerprint)>);

impl<K: Ord + Copy> Prints<K> {
    /// Nobody, with room for so many.
    pub fn with_capacity(messages: usize) -> Prints<K> {
        Prints(Vec::with_capacity(messages))
    }

    /// How many messages there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Who this message is.
    pub fn get(&self, key: K) -> Option<&Fingerprint> {
        let at = self.0.binary_search_by_key(&key, |(key, _)| *key).ok()?;
        self.0.get(at).map(|(_, print)| print)
    }

    /// The messages, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = (K, &Fingerprint)> + '_ {
        self.0.iter().map(|(key, print)| (*key, print))
    }

    /// Puts messages in their places, of which so many at the beginning are in theirs.
    fn put_in_order(&mut self, known: usize) {
        if self.0[known.saturating_sub(1)..].is_sorted_by(|(one, _), (next, _)| one < next) {
            return;
        }
        self.0.sort_by_key(|(key, _)| *key);
        self.0.dedup_by(|next, kept| {
            let again = next.0 == kept.0;
            if again {
                *kept = *next;
            }
            again
        });
    }

    /// Takes out the messages that are wanted elsewhere.
    pub fn take_out(&mut self, mut wanted: impl FnMut(K) -> bool) -> Prints<K> {
        Prints(self.0.extract_if(.., |(key, _)| wanted(*key)).collect())
    }

    /// Lets go of every message of which `keep` does not say yes, and of their room.
    pub fn retain(&mut self, mut keep: impl FnMut(K) -> bool) {
        self.0.retain(|(key, _)| keep(*key));
        self.0.shrink_to_fit();
    }
}

impl<K> Default for Prints<K> {
    fn default() -> Prints<K> {
        Prints(Vec::new())
    }
}

/// Messages may come in any order; of one that comes more than once, what was said last counts.
impl<K: Ord + Copy> Extend<(K, Fingerprint)> for Prints<K> {
    fn extend<I: IntoIterator<Item = (K, Fingerprint)>>(&mut self, messages: I) {
        let known = self.0.len();
        self.0.extend(messages);
        self.put_in_order(known);
    }
}

impl<K: Ord + Copy> From<Vec<(K, Fingerprint)>> for Prints<K> {
    fn from(messages: Vec<(K, Fingerprint)>) -> Prints<K> {
        let mut prints = Prints(messages);
        prints.put_in_order(0);
        prints
    }
}

impl<K: Ord + Copy> FromIterator<(K, Fingerprint)> for Prints<K> {
    fn from_iter<I: IntoIterator<Item = (K, Fingerprint)>>(messages: I) -> Prints<K> {
        Vec::from_iter(messages).into()
    }
}

/// Pairs equal messages. Fingerprints are taken as multisets: of three equal messages here and two there, two are
/// paired, in ascending order, for equal messages are interchangeable.
pub fn pair_up<A: Ord + Copy, B: Ord + Copy>(ours: &Prints<A>, theirs: &Prints<B>) -> Likeness<A, B> {
    let mut left = Both { local: all(ours.len()), remote: all(theirs.len()) };
    let nothing_to_go_by = HeaderDigest::of(b"");
    let print = |side: Side, at: &u32| match side {
        Side::Local => &ours.0[*at as usize].1,
        Side::Remote => &theirs.0[*at as usize].1,
    };
    let named = |(our, their): (u32, u32)| (ours.0[our as usize].0, theirs.0[their as usize].0);
    let equal = pair_by(&mut left, |side, at| *print(side, at));
    let mut likeness = Likeness { certain: Vec::with_capacity(equal.len()), doubtful: vec![] };
    for found in equal {
        match print(Side::Local, &found.0).header == nothing_to_go_by {
            // Neither a date nor a subject nor a sender: size and day alone do not make two messages one.
            true => likeness.doubtful.push(named(found)),
            false => likeness.certain.push(named(found)),
        }
    }
    let same_date = |print: &Fingerprint| (print.header, Some(print.internal_date), None);
    let same_size = |print: &Fingerprint| (print.header, None::<InternalDate>, Some(print.size));
    for key in [&same_date as &dyn Fn(&Fingerprint) -> _, &same_size] {
        let found = pair_by(&mut left, |side, at| key(print(side, at)));
        likeness.doubtful.extend(found.into_iter().map(named));
    }
    likeness
}

/// Every place in a list.
fn all(len: usize) -> Vec<u32> {
    (0..u32::try_from(len).expect("messages of a mailbox are counted in 32 bits")).collect()
}

/// Takes what agrees in `key` out of both lists: the first of each with the first of the other, and so on. In the order
/// of the local one.
fn pair_by<K: Ord>(left: &mut Both<Vec<u32>>, key: impl Fn(Side, &u32) -> K) -> Vec<(u32, u32)> {
    for side in Side::BOTH {
        left[side].sort_unstable_by(|a, b| key(side, a).cmp(&key(side, b)).then(a.cmp(b)));
    }
    let mut found = Vec::with_capacity(left.local.len().min(left.remote.len()));
    let (mut kept, mut next) = (0, 0);
    let Both { local, remote } = left;
    // What stays of either list is moved to its beginning.
    let mut stays = 0;
    for at in 0..local.len() {
        while next < remote.len() && key(Side::Remote, &remote[next]) < key(Side::Local, &local[at]) {
            remote[kept] = remote[next];
            (kept, next) = (kept + 1, next + 1);
        }
        match next < remote.len() && key(Side::Remote, &remote[next]) == key(Side::Local, &local[at]) {
            true => {
                found.push((local[at], remote[next]));
                next += 1;
            }
            false => {
                local[stays] = local[at];
                stays += 1;
            }
        }
    }
    local.truncate(stays);
    remote.drain(kept..next);
    found.sort_unstable();
    found
}

/// Finds, for intents into one mailbox, the copies that have landed: candidates are the target's messages that no pair
/// knows. An intent of this generation finds nothing below its floor.
pub fn find_landed(
    intents: &BTreeMap<IntentId, Intent>,
    candidates: &BTreeMap<Uid, Fingerprint>,
) -> Likeness<IntentId, Uid> {
    let mut likeness = Likeness { certain: vec![], doubtful: vec![] };
    let mut left = candidates.clone();
    let floors: BTreeSet<Uid> = intents.values().map(|intent| intent.floor).collect();
    // Intents of one floor stand or fall together; the highest floor has the fewest candidates, so it chooses first.
    for floor in floors.into_iter().rev() {
        let ours = intents
            .iter()
            .filter(|(_, intent)| intent.floor == floor)
            .map(|(id, intent)| (*id, intent.fingerprint))
            .collect();
        let theirs = left.range(floor..).map(|(uid, print)| (*uid, *print)).collect();
        let found = pair_up(&ours, &theirs);
        for (_, uid) in found.certain.iter().chain(&found.doubtful) {
            left.remove(uid);
        }
        likeness.certain.extend(found.certain);
        likeness.doubtful.extend(found.doubtful);
    }
    // A server may have rewritten the size and the date; so few are looked for that all contents can be compared.
    let known: BTreeSet<IntentId> = likeness.certain.iter().chain(&likeness.doubtful).map(|(id, _)| *id).collect();
    let unknown = intents.iter().filter(|(id, _)| !known.contains(id)).map(|(id, intent)| (*id, intent.clone()));
    likeness.doubtful.extend(find_rewritten(&unknown.collect(), &left));
    likeness
}

/// What fingerprints cannot tell apart: appends, and more messages than these that look like them from their floor up.
pub fn contested(
    intents: &BTreeMap<IntentId, Intent>,
    candidates: &BTreeMap<Uid, Fingerprint>,
) -> (BTreeSet<IntentId>, BTreeSet<Uid>) {
    let mut sent: BTreeMap<Fingerprint, (Uid, BTreeSet<IntentId>)> = BTreeMap::new();
    for (id, intent) in intents {
        let (floor, ids) = sent.entry(intent.fingerprint).or_insert_with(|| (intent.floor, BTreeSet::new()));
        *floor = intent.floor.min(*floor);
        ids.insert(*id);
    }
    let (mut ids, mut uids) = (BTreeSet::new(), BTreeSet::new());
    for (print, (floor, of_print)) in sent {
        let alike: BTreeSet<Uid> =
            candidates.range(floor..).filter(|(_, candidate)| **candidate == print).map(|(uid, _)| *uid).collect();
        if alike.len() > of_print.len() {
            ids.extend(of_print);
            uids.extend(alike);
        }
    }
    (ids, uids)
}

/// Finds, for appends, messages that have the header of theirs, whatever their size and date, in ascending order. For
/// appends that the target has said it took, nothing else can be meant.
pub fn find_rewritten(
    intents: &BTreeMap<IntentId, Intent>,
    candidates: &BTreeMap<Uid, Fingerprint>,
) -> Vec<(IntentId, Uid)> {
    let nothing_to_go_by = HeaderDigest::of(b"");
    let mut left = candidates.clone();
    let mut found = Vec::new();
    let floors: BTreeSet<Uid> = intents.values().map(|intent| intent.floor).collect();
    for floor in floors.into_iter().rev() {
        let of_floor = intents.iter().filter(|(_, intent)| intent.floor == floor);
        for (id, intent) in of_floor.filter(|(_, intent)| intent.fingerprint.header != nothing_to_go_by) {
            let mut candidates = left.range(floor..);
            let uid = candidates.find(|(_, print)| print.header == intent.fingerprint.header).map(|(uid, _)| *uid);
            if let Some(uid) = uid {
                left.remove(&uid);
                found.push((*id, uid));
            }
        }
    }
    found
}

/// What is left of a message where its header may have been rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    /// The digest of the text below the header.
    pub body: [u8; 32],
    /// Its `Message-ID`, and its `Date`.
    pub origin: [HeaderDigest; 2],
}

impl Text {
    /// Whether `other`, which has the same body, can be this message with another header. Programs say the same in the
    /// same words day by day: what does not bear the origin of this one is another message.
    fn can_be(&self, other: &Text) -> bool {
        let nothing_to_go_by = HeaderDigest::of(b"");
        self.origin.iter().zip(&other.origin).all(|(ours, theirs)| *ours == nothing_to_go_by || ours == theirs)
    }
}

/// Pairs messages that hold the same, by digests of all that they hold, in ascending order.
pub fn match_wholes<A: Ord + Copy, B: Ord + Copy>(
    ours: &BTreeMap<A, [u8; 32]>,
    theirs: &BTreeMap<B, [u8; 32]>,
) -> Vec<(A, B)> {
    let mut waiting: BTreeMap<[u8; 32], Vec<B>> = BTreeMap::new();
    for (their, digest) in theirs.iter().rev() {
        waiting.entry(*digest).or_default().push(*their);
    }
    let mut alike = |digest| waiting.get_mut(digest).and_then(Vec::pop);
    ours.iter().filter_map(|(our, digest)| Some((*our, alike(digest)?))).collect()
}

/// Finds, for appends that the target has said it took, messages with the same text below another header, in ascending
/// order.
pub fn match_texts<A: Ord + Copy, B: Ord + Copy>(ours: &BTreeMap<A, Text>, theirs: &BTreeMap<B, Text>) -> Vec<(A, B)> {
    let mut left: BTreeMap<[u8; 32], Vec<(B, &Text)>> = BTreeMap::new();
    for (their, text) in theirs {
        left.entry(text.body).or_default().push((*their, text));
    }
    let mut found = Vec::new();
    for (our, text) in ours {
        let Some(candidates) = left.get_mut(&text.body) else { continue };
        if let Some(at) = candidates.iter().position(|(_, candidate)| text.can_be(candidate)) {
            found.push((*our, candidates.remove(at).0));
        }
    }
    found
}

/// Where the messages of remembered pairs are found again on sides whose UIDs have lost their meaning. In ascending order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rediscovered {
    /// Pairs that stand, with their UIDs of now on every side.
    pub kept: Vec<(PairId, Both<Uid>)>,
    /// Pairs of which a side does not hold the message any more, as far as can be told, with the UIDs that they had.
    pub dissolved: Vec<(PairId, Both<Uid>)>,
}

impl Rediscovered {
    /// The UIDs of now of a pair that stands.
    pub fn place_of(&self, id: PairId) -> Option<Both<Uid>> {
        let at = self.kept.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        self.kept.get(at).map(|(_, uids)| *uids)
    }
}

/// Finds pairs, which are given with the UIDs that they had, again by their remembered fingerprints. `found` holds, for
/// each side whose UIDs are void, who every message of it is; `None` for a side whose UIDs still hold.
pub fn rediscover(pairs: &Prints<(PairId, Both<Uid>)>, found: Both<Option<&Prints<Uid>>>) -> Rediscovered {
    let places = found.map(|found| found.map(|found| pair_up(pairs, found).certain));
    let mut rediscovered = Rediscovered { kept: Vec::with_capacity(pairs.len()), dissolved: Vec::new() };
    for (pair, _) in pairs.iter() {
        let (id, uids) = pair;
        let place = |side: Side| match &places[side] {
            None => Some(uids[side]),
            Some(places) => {
                let at = places.binary_search_by_key(&pair, |(pair, _)| *pair).ok()?;
                places.get(at).map(|(_, uid)| *uid)
            }
        };
        match (place(Side::Local), place(Side::Remote)) {
            (Some(local), Some(remote)) => rediscovered.kept.push((id, Both { local, remote })),
            _ => rediscovered.dissolved.push((id, uids)),
        }
    }
    rediscovered
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mail::{FlagSet, UidValidity};
    use crate::plan::Answer;

    fn print(size: u64, date: i64, header: &str) -> Fingerprint {
        let header = HeaderDigest::of(format!("Message-ID: <{header}>\r\n").as_bytes());
        Fingerprint { size, internal_date: InternalDate::from_unix(date).unwrap(), header }
    }

    fn uid(number: u32) -> Uid {
        Uid::new(number).unwrap()
    }

    fn side<T: FromIterator<(Uid, Fingerprint)>>(prints: &[(u32, Fingerprint)]) -> T {
        prints.iter().map(|(number, print)| (uid(*number), *print)).collect()
    }

    fn rows(pairs: &[(Uid, Uid)]) -> Vec<(u32, u32)> {
        pairs.iter().map(|(a, b)| (a.get(), b.get())).collect()
    }

    #[test]
    fn equal_messages_are_a_multiset() {
        let (a, b) = (print(1, 1, "a"), print(1, 1, "b"));
        let ours = side(&[(1, a), (2, b), (3, a), (4, a)]);
        let theirs = side(&[(10, a), (20, a), (30, b)]);
        let likeness = pair_up(&ours, &theirs);
        assert_eq!(rows(&likeness.certain), [(1, 10), (2, 30), (3, 20)]);
        assert!(likeness.doubtful.is_empty());
    }

    #[test]
    fn a_rewritten_message_is_doubtful_and_a_different_one_is_neither() {
        let ours = side(&[(1, print(10, 1, "a")), (2, print(10, 2, "b")), (3, print(10, 3, "c"))]);
        let theirs = side(&[(7, print(11, 1, "a")), (8, print(10, 9, "b")), (9, print(11, 9, "c"))]);
        let likeness = pair_up(&ours, &theirs);
        assert!(likeness.certain.is_empty());
        assert_eq!(rows(&likeness.doubtful), [(1, 7), (2, 8)], "only c differs in size and in date");
    }

    #[test]
    fn messages_without_any_header_are_looked_into() {
        let bare = Fingerprint { header: HeaderDigest::of(b""), ..print(5, 5, "") };
        let likeness = pair_up(&side(&[(1, bare)]), &side(&[(2, bare)]));
        assert_eq!((likeness.certain.len(), rows(&likeness.doubtful)), (0, vec![(1, 2)]));
    }

    #[test]
    fn an_intent_finds_its_copy_at_or_above_its_floor_only() {
        let intent = |floor| Intent {
            from: Side::Local,
            uid: uid(floor),
            flags: FlagSet::new(),
            fingerprint: print(1, 1, "a"),
            target_uid_validity: UidValidity::new(1).unwrap(),
            floor: uid(floor),
            answer: Answer::Awaited,
        };
        for (case, floors, candidates, landed) in [
            ("below", &[5][..], &[4][..], &[][..]),
            ("at", &[5], &[4, 5], &[(0, 5)]),
            ("two intents, one copy", &[5, 5], &[6], &[(0, 6)]),
            ("the higher floor is not robbed by the lower", &[2, 8], &[9], &[(1, 9)]),
            ("each its own", &[2, 8], &[3, 9], &[(0, 3), (1, 9)]),
        ] {
            let intents = floors.iter().enumerate().map(|(at, floor)| (IntentId(at as i64), intent(*floor))).collect();
            let prints: Vec<_> = candidates.iter().map(|number| (*number, print(1, 1, "a"))).collect();
            let mut found: Vec<_> =
                find_landed(&intents, &side(&prints)).certain.into_iter().map(|(id, uid)| (id.0, uid.get())).collect();
            found.sort();
            assert_eq!(found, landed, "{case}");
        }
    }

    fn taken(floor: u32, print: Fingerprint) -> Intent {
        Intent {
            from: Side::Local,
            uid: uid(1),
            flags: FlagSet::new(),
            fingerprint: print,
            target_uid_validity: UidValidity::new(1).unwrap(),
            floor: uid(floor),
            answer: Answer::Taken,
        }
    }

    fn intents(intents: &[Intent]) -> BTreeMap<IntentId, Intent> {
        intents.iter().enumerate().map(|(at, intent)| (IntentId(at as i64), intent.clone())).collect()
    }

    #[test]
    fn a_copy_that_was_rewritten_is_found_by_its_header() {
        let bare = Fingerprint { header: HeaderDigest::of(b""), ..print(5, 5, "") };
        let (a, b) = (print(1, 1, "a"), print(1, 1, "b"));
        let of = |header: &str| print(9, 9, header);
        for (case, ours, theirs, found) in [
            ("another size and date", &[(5, a)][..], &[(6, of("a"))][..], &[(0, 6)][..]),
            ("below the floor", &[(5, a)], &[(4, of("a"))], &[]),
            ("another header", &[(5, a)], &[(6, of("b"))], &[]),
            ("no header at all", &[(5, bare)], &[(6, Fingerprint { size: 9, ..bare })], &[]),
            (
                "a multiset",
                &[(5, a), (5, b), (5, a)],
                &[(6, of("a")), (7, of("a")), (8, of("b"))],
                &[(0, 6), (1, 8), (2, 7)],
            ),
            ("the higher floor chooses first", &[(2, a), (8, a)], &[(9, of("a"))], &[(1, 9)]),
        ] {
            let ours: Vec<Intent> = ours.iter().map(|(floor, print)| taken(*floor, *print)).collect();
            let sorted = |pairs: Vec<(IntentId, Uid)>| {
                let mut rows: Vec<_> = pairs.into_iter().map(|(id, uid)| (id.0, uid.get())).collect();
                rows.sort();
                rows
            };
            assert_eq!(sorted(find_rewritten(&intents(&ours), &side(theirs))), found, "{case}");
            let looked_into = find_landed(&intents(&ours), &side(theirs));
            let in_doubt = if case == "no header at all" { vec![(0, 6)] } else { found.to_vec() };
            assert_eq!((looked_into.certain.len(), sorted(looked_into.doubtful)), (0, in_doubt), "{case}");
        }
    }

    #[test]
    fn equal_texts_of_one_origin_are_a_multiset() {
        let text = |body: u8, origin: [&str; 2]| {
            let field = |value: &str, name: &str| match value {
                "" => HeaderDigest::of(b""),
                value => HeaderDigest::of_fields(format!("{name}: {value}\r\n").as_bytes(), &[name]),
            };
            Text { body: [body; 32], origin: [field(origin[0], "Message-ID"), field(origin[1], "Date")] }
        };
        let plain = |body: u8| text(body, ["", ""]);
        let ours = BTreeMap::from([(1, plain(7)), (2, plain(8)), (3, plain(7)), (4, plain(7))]);
        let theirs = BTreeMap::from([(10, plain(7)), (11, plain(9)), (12, plain(7))]);
        assert_eq!(match_texts(&ours, &theirs), [(1, 10), (3, 12)]);
        for (case, ours, theirs, same) in [
            ("the same origin", ["a", "1"], ["a", "1"], true),
            ("another identity", ["a", "1"], ["b", "1"], false),
            ("another day", ["", "1"], ["", "2"], false),
            ("what was missing is added", ["", ""], ["b", "2"], true),
            ("what was there is missing", ["a", "1"], ["", "1"], false),
        ] {
            let (ours, theirs) = (BTreeMap::from([(1, text(7, ours))]), BTreeMap::from([(2, text(7, theirs))]));
            assert_eq!(match_texts(&ours, &theirs).len(), usize::from(same), "{case}");
        }
        let ours = BTreeMap::from([(1, text(7, ["a", ""])), (2, text(7, ["b", ""]))]);
        let theirs = BTreeMap::from([(10, text(7, ["b", ""])), (11, text(7, ["a", ""]))]);
        assert_eq!(match_texts(&ours, &theirs), [(1, 11), (2, 10)], "in another order");
    }

    #[test]
    fn pairs_are_found_again_on_the_side_whose_uids_are_void() {
        let pair = |id, local, remote, print| ((PairId(id), Both { local: uid(local), remote: uid(remote) }), print);
        let (a, b) = (print(1, 1, "a"), print(1, 1, "b"));
        let pairs = [pair(1, 1, 11, a), pair(2, 2, 12, b), pair(3, 3, 13, a)].into_iter().collect();
        let remote = side(&[(101, a), (102, print(9, 9, "c"))]);
        let found = rediscover(&pairs, Both { local: None, remote: Some(&remote) });
        assert_eq!(found.kept, [(PairId(1), Both { local: uid(1), remote: uid(101) })]);
        let gone = |number| (PairId(number), Both { local: uid(number as u32), remote: uid(10 + number as u32) });
        assert_eq!(found.dissolved, [gone(2), gone(3)]);
    }

    /// What [`pair_up`] answers, in few words.
    fn plainly(ours: &Prints<Uid>, theirs: &Prints<Uid>) -> Likeness<Uid, Uid> {
        let bare = HeaderDigest::of(b"");
        let mut likeness = Likeness { certain: vec![], doubtful: vec![] };
        let (mut ours, mut theirs) = (ours.0.clone(), theirs.0.clone());
        for round in 0..3 {
            let alike = |a: &Fingerprint, b: &Fingerprint| match round {
                0 => a == b,
                1 => a.header == b.header && a.internal_date == b.internal_date,
                _ => a.header == b.header && a.size == b.size,
            };
            ours.retain(|(our, print)| {
                let Some(at) = theirs.iter().position(|(_, other)| alike(print, other)) else { return true };
                let row = (*our, theirs.remove(at).0);
                match round == 0 && print.header != bare {
                    true => likeness.certain.push(row),
                    false => likeness.doubtful.push(row),
                }
                false
            });
        }
        likeness
    }

    fn some() -> impl Strategy<Value = Prints<Uid>> {
        let header =
            prop_oneof![Just(HeaderDigest::of(b"")), (0..3u8).prop_map(|it| HeaderDigest::from_bytes([it; 16]))];
        let message = (1..40u32, 0..3u64, 0..3i64, header);
        prop::collection::vec(message, 0..30).prop_map(|messages| {
            let row = |(at, size, date, header)| {
                (uid(at), Fingerprint { size, internal_date: InternalDate::from_unix(date).unwrap(), header })
            };
            messages.into_iter().map(row).collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn equal_messages_are_found_as_if_each_was_compared_with_each(ours in some(), theirs in some()) {
            prop_assert_eq!(pair_up(&ours, &theirs), plainly(&ours, &theirs));
        }

        #[test]
        fn prints_are_a_map(rows in prop::collection::vec((1..40u32, 0..9u64), 0..60), cut in 0..60usize, asked in 1..40u32) {
            let rows: Vec<_> = rows.into_iter().map(|(at, size)| (uid(at), print(size, 0, ""))).collect();
            let (first, second) = rows.split_at(cut.min(rows.len()));
            let mut prints: Prints<Uid> = first.iter().copied().collect();
            prints.extend(second.iter().copied());
            let mut map: BTreeMap<Uid, Fingerprint> = rows.iter().copied().collect();
            prop_assert!(prints.iter().eq(map.iter().map(|(uid, print)| (*uid, print))));
            prop_assert_eq!((prints.get(uid(asked)), prints.len()), (map.get(&uid(asked)), map.len()));
            let odd: Prints<Uid> = prints.take_out(|it| it.get() % 2 == 1);
            prop_assert!(odd.iter().eq(map.extract_if(.., |it, _| it.get() % 2 == 1).collect::<Vec<_>>().iter().map(|(uid, print)| (*uid, print))));
            prints.retain(|it| it > uid(asked));
            map.retain(|it, _| *it > uid(asked));
            prop_assert!(prints.iter().eq(map.iter().map(|(uid, print)| (*uid, print))));
            prop_assert_eq!(prints.is_empty(), map.is_empty());
        }
    }
}
