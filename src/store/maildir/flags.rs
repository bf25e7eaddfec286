//! What flags a message bears: what its file's name says, and the index of keywords that no letter stands for.

use std::collections::BTreeSet;

use crate::mail::{Flag, FlagSet, Keyword};

use super::file_name::Letters;
use super::keywords::{KeywordLetter, Keywords};

/// Flags as they are written down.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Written {
    /// What follows the unique part of the file's name.
    pub(super) info: Vec<u8>,
    /// The keywords that no letter stands for.
    pub(super) keywords: FlagSet,
}

/// The flags that a message bears.
pub(super) fn flags_of(info: &[u8], letters: &Keywords, keywords: &FlagSet) -> FlagSet {
    Letters::of_info(info).flags(letters).union(keywords)
}

/// How flags are written in the place of `info`. What means nothing to us stays, and so does a name that says it already.
pub(super) fn written(flags: &FlagSet, info: &[u8], letters: &Keywords) -> Written {
    let old = Letters::of_info(info);
    let new = old.saying(flags, letters);
    let keywords = flags.difference(&new.flags(letters));
    let info = if new == old { info.to_vec() } else { new.name_of(b"") };
    Written { info, keywords }
}

/// The keywords that need a letter and have none.
pub(super) fn without_letter(flags: &FlagSet, letters: &Keywords) -> Vec<Keyword> {
    let own = Letters::default().saying(flags, letters).flags(letters);
    let rest = flags.difference(&own);
    let keyword = |flag| match flag {
        Flag::Keyword(keyword) => Some(keyword),
        _ => None,
    };
    rest.iter().filter_map(keyword).collect()
}

/// The keyword letters in what follows the unique part of a name.
pub(super) fn keyword_letters(info: &[u8]) -> BTreeSet<KeywordLetter> {
    Letters::of_info(info).keyword_letters().collect()
}
