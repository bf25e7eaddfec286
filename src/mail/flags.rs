//! Flags and keywords: what they are, sets of them, and changes to them.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A flag that a message can bear for good. `\Recent` is none: it belongs to a session (RFC 3501 §2.3.2).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flag {
    /// `\Answered`
    Answered,
    /// `\Flagged`
    Flagged,
    /// `\Deleted`
    Deleted,
    /// `\Seen`
    Seen,
    /// `\Draft`
    Draft,
    /// A keyword, or a flag of an extension (`\Important`).
    Keyword(Keyword),
}

impl Flag {
    const SYSTEM: [Flag; 5] = [Flag::Answered, Flag::Flagged, Flag::Deleted, Flag::Seen, Flag::Draft];

    /// Reads a flag as it stands on the wire. `None` for `\Recent`, `\*`, and what is no atom (RFC 9051 §9 `flag`).
    pub fn parse(text: &str) -> Option<Flag> {
        match text.strip_prefix('\\') {
            Some(name) => match name.to_ascii_lowercase().as_str() {
                "answered" => Some(Flag::Answered),
                "flagged" => Some(Flag::Flagged),
                "deleted" => Some(Flag::Deleted),
                "seen" => Some(Flag::Seen),
                "draft" => Some(Flag::Draft),
                "recent" => None,
                _ => is_atom(name).then(|| Flag::Keyword(Keyword(text.into()))),
            },
            None => is_atom(text).then(|| Flag::Keyword(Keyword(text.into()))),
        }
    }

    /// The flag as it stands on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Flag::Answered => "\\Answered",
            Flag::Flagged => "\\Flagged",
            Flag::Deleted => "\\Deleted",
            Flag::Seen => "\\Seen",
            Flag::Draft => "\\Draft",
            Flag::Keyword(keyword) => &keyword.0,
        }
    }

    /// The bit of one of the five flags of RFC 3501; `None` for a keyword.
    fn bit(&self) -> Option<u8> {
        Flag::SYSTEM.iter().position(|flag| flag == self).map(|at| 1 << at)
    }
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn is_atom(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && !b"(){%*\"\\]".contains(&b))
}

/// A keyword. Two spellings that differ only in case are one keyword; the first one met is kept (RFC 9051 §2.3.2).
#[derive(Clone, Debug)]
pub struct Keyword(Arc<str>);

impl Keyword {
    /// The keyword as it was spelled.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is an extension's flag (`\Important`), which no client may invent.
    fn is_reserved(&self) -> bool {
        self.0.starts_with('\\')
    }

    fn folded(&self) -> impl Iterator<Item = u8> + '_ {
        self.0.bytes().map(|b| b.to_ascii_lowercase())
    }
}

impl PartialEq for Keyword {
    fn eq(&self, other: &Keyword) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Keyword {}

impl PartialOrd for Keyword {
    fn partial_cmp(&self, other: &Keyword) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Keyword {
    fn cmp(&self, other: &Keyword) -> Ordering {
        self.folded().cmp(other.folded())
    }
}

impl Hash for Keyword {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.folded().for_each(|b| state.write_u8(b));
    }
}

/// A set of flags. The five of RFC 3501 cost one octet together; keywords are shared text.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlagSet {
    system: u8,
    /// Sorted, each once.
    keywords: Vec<Keyword>,
}

impl FlagSet {
    /// The set without a flag.
    pub fn new() -> FlagSet {
        FlagSet::default()
    }

    /// Reads flags separated by blanks, as `Display` writes them. What is no flag is left out.
    pub fn parse(text: &str) -> FlagSet {
        text.split_ascii_whitespace().filter_map(Flag::parse).collect()
    }

    /// Adds a flag; says whether it was not there before.
    pub fn insert(&mut self, flag: Flag) -> bool {
        match (flag.bit(), flag) {
            (Some(bit), _) => {
                let new = self.system & bit == 0;
                self.system |= bit;
                new
            }
            (None, Flag::Keyword(keyword)) => match self.keywords.binary_search(&keyword) {
                Ok(_) => false,
                Err(at) => {
                    self.keywords.insert(at, keyword);
                    true
                }
            },
            (None, _) => false,
        }
    }

    /// Takes a flag out; says whether it was there.
    pub fn remove(&mut self, flag: &Flag) -> bool {
        let there = self.contains(flag);
        match (flag.bit(), flag) {
            (Some(bit), _) => self.system &= !bit,
            (None, Flag::Keyword(keyword)) => self.keywords.retain(|other| other != keyword),
            (None, _) => {}
        }
        there
    }

    /// Whether `flag` is a member.
    pub fn contains(&self, flag: &Flag) -> bool {
        match (flag.bit(), flag) {
            (Some(bit), _) => self.system & bit != 0,
            (None, Flag::Keyword(keyword)) => self.keywords.binary_search(keyword).is_ok(),
            (None, _) => false,
        }
    }

    /// Whether the set holds no flag.
    pub fn is_empty(&self) -> bool {
        self.system == 0 && self.keywords.is_empty()
    }

    /// The members, those of RFC 3501 first, then keywords in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = Flag> + '_ {
        let system = Flag::SYSTEM.into_iter().filter(|flag| flag.bit().is_some_and(|bit| self.system & bit != 0));
        system.chain(self.keywords.iter().cloned().map(Flag::Keyword))
    }

    /// The members of either set.
    pub fn union(&self, other: &FlagSet) -> FlagSet {
        self.iter().chain(other.iter()).collect()
    }

    /// The members of both sets.
    pub fn intersection(&self, other: &FlagSet) -> FlagSet {
        self.iter().filter(|flag| other.contains(flag)).collect()
    }

    /// The members that `other` does not hold.
    pub fn difference(&self, other: &FlagSet) -> FlagSet {
        self.iter().filter(|flag| !other.contains(flag)).collect()
    }

    /// The members for which `keep` holds.
    pub fn filtered(&self, mut keep: impl FnMut(&Flag) -> bool) -> FlagSet {
        self.iter().filter(|flag| keep(flag)).collect()
    }

    /// Cuts the set, in order, into sets whose text is at most `octets` long; a single flag longer than that stands alone.
    pub fn split(&self, octets: usize) -> Vec<FlagSet> {
        let mut pieces: Vec<FlagSet> = Vec::new();
        let mut used = 0;
        for flag in self.iter() {
            let cost = flag.to_string().len() + 1;
            used += cost;
            match pieces.last_mut() {
                Some(piece) if used <= octets => drop(piece.insert(flag)),
                _ => {
                    used = cost;
                    pieces.push(FlagSet::from_iter([flag]));
                }
            }
        }
        pieces
    }
}

impl FromIterator<Flag> for FlagSet {
    fn from_iter<I: IntoIterator<Item = Flag>>(flags: I) -> FlagSet {
        let mut set = FlagSet::new();
        for flag in flags {
            set.insert(flag);
        }
        set
    }
}

/// The members separated by blanks, as they stand in a flag-list and in the state.
impl fmt::Display for FlagSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, flag) in self.iter().enumerate() {
            if at > 0 {
                f.write_str(" ")?;
            }
            f.write_str(flag.as_str())?;
        }
        Ok(())
    }
}

/// A change to a message's flags. Flags travel as changes only, never as a whole set (RFC 4549 §4.2.3).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlagChange {
    /// What `+FLAGS` names.
    pub add: FlagSet,
    /// What `-FLAGS` names.
    pub remove: FlagSet,
}

impl FlagChange {
    /// What leads from one set to another.
    pub fn between(from: &FlagSet, to: &FlagSet) -> FlagChange {
        FlagChange { add: to.difference(from), remove: from.difference(to) }
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty()
    }

    /// The set that the change makes of `flags`.
    pub fn applied_to(&self, flags: &FlagSet) -> FlagSet {
        flags.difference(&self.remove).union(&self.add)
    }
}

/// `+\Seen -Junk`, as a plan shows it.
impl fmt::Display for FlagChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signed = self.add.iter().map(|flag| ('+', flag)).chain(self.remove.iter().map(|flag| ('-', flag)));
        for (at, (sign, flag)) in signed.enumerate() {
            if at > 0 {
                f.write_str(" ")?;
            }
            write!(f, "{sign}{flag}")?;
        }
        Ok(())
    }
}

/// Whether a mailbox takes keywords that it has not seen before: `\*` in PERMANENTFLAGS (RFC 9051 §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewKeywords {
    /// `\*` was listed.
    Taken,
    /// It was not.
    Refused,
}

/// The flags that a mailbox keeps for good (RFC 9051 §7.1, PERMANENTFLAGS).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PermanentFlags {
    /// Those that are listed by name.
    pub listed: FlagSet,
    /// What becomes of other keywords.
    pub new_keywords: NewKeywords,
}

impl PermanentFlags {
    /// What holds where a server says nothing: every flag is permanent (RFC 9051 §7.1).
    pub fn all() -> PermanentFlags {
        PermanentFlags { listed: Flag::SYSTEM.into_iter().collect(), new_keywords: NewKeywords::Taken }
    }

    /// What holds in a mailbox that was opened to be read only: no flag can be changed.
    pub fn none() -> PermanentFlags {
        PermanentFlags { listed: FlagSet::new(), new_keywords: NewKeywords::Refused }
    }

    /// Whether the mailbox can keep `flag`.
    pub fn holds(&self, flag: &Flag) -> bool {
        self.listed.contains(flag)
            || match flag {
                Flag::Keyword(keyword) => self.new_keywords == NewKeywords::Taken && !keyword.is_reserved(),
                _ => false,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_without_regard_to_case() {
        for (wire, flag) in [
            ("\\SEEN", Some("\\Seen")),
            ("\\Recent", None),
            ("\\*", None),
            ("\\Important", Some("\\Important")),
            ("$Forwarded", Some("$Forwarded")),
            ("a]b", None),
            ("", None),
            ("\\", None),
            ("sp ace", None),
            ("ü", None),
        ] {
            assert_eq!(Flag::parse(wire).as_ref().map(Flag::as_str), flag, "{wire}");
        }
    }

    #[test]
    fn two_spellings_are_one_keyword() {
        let set = FlagSet::parse("KeyWord keyword KEYWORD \\seen \\Seen");
        assert_eq!(set.to_string(), "\\Seen KeyWord");
        assert_eq!(set, FlagSet::parse("\\Seen kEYwORD"));
    }

    #[test]
    fn a_change_leads_from_one_set_to_the_other() {
        let (from, to) = (FlagSet::parse("\\Seen Junk"), FlagSet::parse("\\Seen \\Flagged $Work"));
        let change = FlagChange::between(&from, &to);
        assert_eq!(change.to_string(), "+\\Flagged +$Work -Junk");
        assert_eq!(change.applied_to(&from), to);
        assert!(FlagChange::between(&to, &to).is_empty());
    }

    #[test]
    fn s021_a_set_is_cut_into_lines() {
        let many: FlagSet = (0..2000).filter_map(|number| Flag::parse(&format!("keyword{number}"))).collect();
        let pieces = many.split(4000);
        assert!(pieces.len() > 5 && pieces.iter().all(|piece| piece.to_string().len() <= 4000));
        assert_eq!(pieces.into_iter().fold(FlagSet::new(), |all, piece| all.union(&piece)), many);
        assert_eq!(FlagSet::parse("\\Seen $Work").split(1), [FlagSet::parse("\\Seen"), FlagSet::parse("$Work")]);
        assert!(FlagSet::new().split(10).is_empty());
    }

    #[test]
    fn s020_permanent_flags_decide_what_a_mailbox_holds() {
        let fixed = PermanentFlags { listed: FlagSet::parse("\\Seen Old"), new_keywords: NewKeywords::Refused };
        let open = PermanentFlags { listed: FlagSet::parse("\\Seen"), new_keywords: NewKeywords::Taken };
        for (flag, in_fixed, in_open) in [
            ("\\Seen", true, true),
            ("\\Draft", false, false),
            ("old", true, true),
            ("New", false, true),
            ("\\Important", false, false),
        ] {
            let flag = Flag::parse(flag).unwrap();
            assert_eq!((fixed.holds(&flag), open.holds(&flag)), (in_fixed, in_open), "{flag}");
        }
    }
}
