//! Recognizes what one side has moved: what is gone from one mailbox of it and has arrived in another one; and what the
//! other side need not be sent, for it has an equal message.

use std::collections::{BTreeMap, VecDeque};

use crate::mail::{Fingerprint, HeaderDigest, Uid};

use super::{MailboxKey, PairId};

/// A message that one side has moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Move {
    /// The mailbox that it has left.
    pub out_of: MailboxKey,
    /// The mailbox in which it has arrived.
    pub into: MailboxKey,
    /// Its UID there.
    pub uid: Uid,
    /// The pair that it was before.
    pub pair: PairId,
}

/// Finds what one side has moved: messages that have `arrived` in a mailbox and are equal to one that is `gone` from
/// another. Fingerprints are taken as multisets, in ascending order, for equal messages are interchangeable; and where
/// the header says nothing, size and day alone do not make two messages one.
pub fn find_moves(
    arrived: &BTreeMap<MailboxKey, BTreeMap<Uid, Fingerprint>>,
    gone: &BTreeMap<MailboxKey, BTreeMap<PairId, Fingerprint>>,
) -> Vec<Move> {
    let nothing_to_go_by = HeaderDigest::of(b"");
    let mut missed: BTreeMap<Fingerprint, BTreeMap<MailboxKey, VecDeque<PairId>>> = BTreeMap::new();
    for (mailbox, pairs) in gone {
        for (pair, print) in pairs.iter().filter(|(_, print)| print.header != nothing_to_go_by) {
            missed.entry(*print).or_default().entry(*mailbox).or_default().push_back(*pair);
        }
    }
    let mut moves = Vec::new();
    for (into, messages) in arrived {
        for (uid, print) in messages {
            let Some(missed) = missed.get_mut(print) else { continue };
            let elsewhere = missed.iter_mut().find(|(out_of, _)| *out_of != into);
            let Some((out_of, pairs)) = elsewhere.map(|(out_of, pairs)| (*out_of, pairs)) else { continue };
            moves.extend(pairs.pop_front().map(|pair| Move { out_of, into: *into, uid: *uid, pair }));
            if pairs.is_empty() {
                missed.remove(&out_of);
            }
        }
    }
    moves
}

/// A message that has arrived on one side, and an equal one that the other side holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Copy {
    /// The mailbox in which it has arrived.
    pub into: MailboxKey,
    /// Its UID there.
    pub uid: Uid,
    /// The mailbox of the equal one.
    pub out_of: MailboxKey,
    /// The pair of the equal one.
    pub pair: PairId,
    /// How often that one goes into the same mailbox before, since one command copies a message once.
    pub before: usize,
}

/// Finds what the other side need not be sent: messages that have `arrived` in a mailbox of one side and equal one that
/// the other side `holds` in another one. (Two of one mailbox may well be two messages that differ in their text only.) Of
/// several that it holds, each serves in turn.
pub fn find_copies(
    arrived: &BTreeMap<MailboxKey, BTreeMap<Uid, Fingerprint>>,
    holds: &BTreeMap<Fingerprint, Vec<(MailboxKey, PairId)>>,
) -> Vec<Copy> {
    let nothing_to_go_by = HeaderDigest::of(b"");
    let mut copies = Vec::new();
    for (into, messages) in arrived {
        let mut served: BTreeMap<Fingerprint, usize> = BTreeMap::new();
        for (uid, print) in messages.iter().filter(|(_, print)| print.header != nothing_to_go_by) {
            let equal = holds.get(print).into_iter().flatten().filter(|(out_of, _)| out_of != into);
            let equal: Vec<_> = equal.collect();
            let served = served.entry(*print).or_default();
            let turn = served.checked_rem(equal.len()).and_then(|turn| equal.get(turn));
            let Some((out_of, pair)) = turn.copied().copied() else { continue };
            copies.push(Copy { into: *into, uid: *uid, out_of, pair, before: *served / equal.len() });
            *served += 1;
        }
    }
    copies
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::InternalDate;

    /// A letter is who a message is: `-` has no header.
    fn print(letter: char) -> Fingerprint {
        let header = match letter {
            '-' => HeaderDigest::of(b""),
            letter => HeaderDigest::of(format!("Message-ID: <{letter}@x>\r\n").as_bytes()),
        };
        Fingerprint { size: 10, internal_date: InternalDate::from_unix(5).unwrap(), header }
    }

    /// The messages of mailboxes 1, 2 …, numbered from 1 in each.
    fn arrived(mailboxes: &[&str]) -> BTreeMap<MailboxKey, BTreeMap<Uid, Fingerprint>> {
        let messages = |letters: &&str| {
            letters.chars().enumerate().map(|(at, letter)| (Uid::new(at as u32 + 1).unwrap(), print(letter))).collect()
        };
        mailboxes.iter().enumerate().map(|(at, letters)| (MailboxKey(at as i64 + 1), messages(letters))).collect()
    }

    /// The same, as pairs 10, 11 … of mailbox 1, 20, 21 … of mailbox 2 …
    fn gone(mailboxes: &[&str]) -> BTreeMap<MailboxKey, BTreeMap<PairId, Fingerprint>> {
        let pairs = |first: usize, letters: &str| {
            letters.chars().enumerate().map(|(at, letter)| (PairId((first + at) as i64), print(letter))).collect()
        };
        let mailboxes = mailboxes.iter().enumerate();
        mailboxes.map(|(at, letters)| (MailboxKey(at as i64 + 1), pairs((at + 1) * 10, letters))).collect()
    }

    /// Mailbox left, pair, mailbox reached, UID there.
    type Row = (i64, i64, i64, u32);

    #[test]
    fn what_is_gone_here_and_arrived_there_has_moved() {
        type Case = (&'static str, &'static [&'static str], &'static [&'static str], &'static [Row]);
        let cases: [Case; 10] = [
            ("one message", &["a", ""], &["", "a"], &[(1, 10, 2, 1)]),
            ("another message", &["a", ""], &["", "b"], &[]),
            ("the same mailbox", &["a"], &["a"], &[]),
            ("nothing gone", &["", ""], &["", "a"], &[]),
            ("of two equal ones, one", &["aa", ""], &["", "a"], &[(1, 10, 2, 1)]),
            ("two equal ones, in order", &["aa", ""], &["", "aa"], &[(1, 10, 2, 1), (1, 11, 2, 2)]),
            ("one that arrived twice moves once", &["a", "", ""], &["", "a", "a"], &[(1, 10, 2, 1)]),
            ("a chain of equal ones", &["a", "a", ""], &["", "a", "a"], &[(1, 10, 2, 1), (2, 20, 3, 1)]),
            ("two that change places", &["a", "b"], &["b", "a"], &[(2, 20, 1, 1), (1, 10, 2, 1)]),
            ("without a header, nobody knows", &["-", ""], &["", "-"], &[]),
        ];
        for (case, left, reached, expected) in cases {
            let moves = find_moves(&arrived(reached), &gone(left));
            let rows: Vec<Row> = moves.iter().map(|m| (m.out_of.0, m.pair.0, m.into.0, m.uid.get())).collect();
            assert_eq!(rows, expected, "{case}");
        }
    }

    /// Mailbox reached, UID there, mailbox of the equal one, its pair, how often before.
    type Turn = (i64, u32, i64, i64, usize);

    #[test]
    fn what_the_other_side_holds_need_not_be_sent() {
        type Case = (&'static str, &'static [&'static str], &'static [&'static str], &'static [Turn]);
        let cases: [Case; 8] = [
            ("held elsewhere", &["a", ""], &["", "a"], &[(2, 1, 1, 10, 0)]),
            ("held in the same mailbox", &["a"], &["a"], &[]),
            ("held nowhere", &["a", "b"], &["c", "d"], &[]),
            ("one for two mailboxes", &["a", "", ""], &["", "a", "a"], &[(2, 1, 1, 10, 0), (3, 1, 1, 10, 0)]),
            ("one for two of a mailbox", &["a", ""], &["", "aa"], &[(2, 1, 1, 10, 0), (2, 2, 1, 10, 1)]),
            ("two for two of a mailbox", &["a", "a", ""], &["", "", "aa"], &[(3, 1, 1, 10, 0), (3, 2, 2, 20, 0)]),
            ("two for three", &["aa", ""], &["", "aaa"], &[(2, 1, 1, 10, 0), (2, 2, 1, 11, 0), (2, 3, 1, 10, 1)]),
            ("without a header, nobody knows", &["-", ""], &["", "-"], &[]),
        ];
        for (case, held, reached, expected) in cases {
            let mut holds: BTreeMap<Fingerprint, Vec<(MailboxKey, PairId)>> = BTreeMap::new();
            for (mailbox, pairs) in gone(held) {
                pairs.iter().for_each(|(pair, print)| holds.entry(*print).or_default().push((mailbox, *pair)));
            }
            let copies = find_copies(&arrived(reached), &holds);
            let rows: Vec<Turn> =
                copies.iter().map(|c| (c.into.0, c.uid.get(), c.out_of.0, c.pair.0, c.before)).collect();
            assert_eq!(rows, expected, "{case}");
        }
        let nobody = BTreeMap::from([(print('a'), Vec::new())]);
        assert_eq!(find_copies(&arrived(&["a"]), &nobody), []);
    }

    #[test]
    fn another_size_or_date_is_another_message() {
        let later = InternalDate::from_unix(6).unwrap();
        for other in [Fingerprint { size: 11, ..print('a') }, Fingerprint { internal_date: later, ..print('a') }] {
            let arrived = BTreeMap::from([(MailboxKey(2), BTreeMap::from([(Uid::MIN, other)]))]);
            assert_eq!(find_moves(&arrived, &gone(&["a"])), []);
        }
    }
}
