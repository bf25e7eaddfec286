//! Recognizes what one side has moved: what is gone from one mailbox of it and has arrived in another one.

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

    #[test]
    fn another_size_or_date_is_another_message() {
        let later = InternalDate::from_unix(6).unwrap();
        for other in [Fingerprint { size: 11, ..print('a') }, Fingerprint { internal_date: later, ..print('a') }] {
            let arrived = BTreeMap::from([(MailboxKey(2), BTreeMap::from([(Uid::MIN, other)]))]);
            assert_eq!(find_moves(&arrived, &gone(&["a"])), []);
        }
    }
}
