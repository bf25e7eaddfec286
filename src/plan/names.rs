//! How mailbox names differ between the sides: `rename = [{ remote = "…", local = "…" }]`, reversible or refused.

use crate::mail::{MailboxName, Side};

/// One rule. Each form is a name, or a name with exactly one `*` that stands for the same text in both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rename {
    local: Form,
    remote: Form,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    Exact(MailboxName),
    Star { before: String, after: String },
}

/// Why a rule, or a name under the rules, cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameConflict {
    /// One form has a `*`, the other has none.
    #[error("either both names hold one '*' or neither does")]
    UnevenStars,
    /// More than one `*` in a form.
    #[error("a name can hold one '*' at most")]
    TooManyStars,
    /// A form that is no mailbox name.
    #[error("\"{0}\" is no mailbox name: {1}")]
    InvalidName(String, crate::mail::InvalidName),
    /// INBOX in a form: it cannot be renamed, for every server has one.
    #[error("INBOX cannot be renamed")]
    Inbox,
    /// Two rules for one name.
    #[error("two rules speak of \"{0}\"")]
    Twice(String),
    /// A name that no mailbox of the other side could have been called by.
    #[error("\"{0}\" is what a rule makes of another mailbox's name")]
    Collision(String),
}

impl Rename {
    /// Builds a rule from the texts of the configuration.
    pub fn new(remote: &str, local: &str) -> Result<Rename, NameConflict> {
        let rule = Rename { local: Form::new(local)?, remote: Form::new(remote)? };
        match (&rule.local, &rule.remote) {
            (Form::Exact(_), Form::Exact(_)) | (Form::Star { .. }, Form::Star { .. }) => Ok(rule),
            _ => Err(NameConflict::UnevenStars),
        }
    }

    fn form(&self, side: Side) -> &Form {
        match side {
            Side::Local => &self.local,
            Side::Remote => &self.remote,
        }
    }
}

impl Form {
    fn new(text: &str) -> Result<Form, NameConflict> {
        let mut parts = text.split('*');
        let (before, after) = (parts.next().unwrap_or_default(), parts.next());
        if parts.next().is_some() {
            return Err(NameConflict::TooManyStars);
        }
        // A form with a star is a name for whatever stands in its place.
        let probe =
            MailboxName::new(&text.replace('*', "x")).map_err(|why| NameConflict::InvalidName(text.to_owned(), why))?;
        if probe.is_inbox() {
            return Err(NameConflict::Inbox);
        }
        Ok(match after {
            None => Form::Exact(probe),
            Some(after) => Form::Star { before: before.to_owned(), after: after.to_owned() },
        })
    }

    /// What the `*` stands for if this form means `name`; `Some("")` for an exact form.
    fn matched<'a>(&self, name: &'a MailboxName) -> Option<&'a str> {
        match self {
            Form::Exact(exact) => (exact == name).then_some(""),
            Form::Star { before, after } => {
                let rest = name.as_str().strip_prefix(before.as_str())?.strip_suffix(after.as_str())?;
                (!rest.is_empty()).then_some(rest)
            }
        }
    }

    fn filled(&self, star: &str) -> Result<MailboxName, crate::mail::InvalidName> {
        match self {
            Form::Exact(exact) => Ok(exact.clone()),
            Form::Star { before, after } => MailboxName::new(&format!("{before}{star}{after}")),
        }
    }
}

/// The rules of an account. The local name is the one by which a mailbox is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameMap {
    rules: Vec<Rename>,
}

impl NameMap {
    /// Takes the rules in the order of the configuration; exact ones come before those with a `*`.
    pub fn new(mut rules: Vec<Rename>) -> Result<NameMap, NameConflict> {
        for side in Side::BOTH {
            for (at, rule) in rules.iter().enumerate() {
                if rules.iter().take(at).any(|earlier| earlier.form(side) == rule.form(side)) {
                    let text = match rule.form(side) {
                        Form::Exact(name) => name.to_string(),
                        Form::Star { before, after } => format!("{before}*{after}"),
                    };
                    return Err(NameConflict::Twice(text));
                }
            }
        }
        rules.sort_by_key(|rule| matches!(rule.local, Form::Star { .. }));
        Ok(NameMap { rules })
    }

    /// What the mailbox that `from` calls `name` is called on the other side. Fails where the way back would lead to
    /// another name, so that no two mailboxes of a side ever meet in one of the other.
    pub fn across(&self, from: Side, name: &MailboxName) -> Result<MailboxName, NameConflict> {
        let there = self.one_way(from, name)?;
        match self.one_way(from.other(), &there)? == *name {
            true => Ok(there),
            false => Err(NameConflict::Collision(name.to_string())),
        }
    }

    /// The local name of the mailbox that `side` calls `name`.
    pub fn local(&self, side: Side, name: &MailboxName) -> Result<MailboxName, NameConflict> {
        match side {
            Side::Local => self.across(Side::Local, name).map(|_| name.clone()),
            Side::Remote => self.across(Side::Remote, name),
        }
    }

    fn one_way(&self, from: Side, name: &MailboxName) -> Result<MailboxName, NameConflict> {
        for rule in &self.rules {
            if let Some(star) = rule.form(from).matched(name) {
                let filled = rule.form(from.other()).filled(star);
                return filled.map_err(|why| NameConflict::InvalidName(name.to_string(), why));
            }
        }
        Ok(name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(rules: &[(&str, &str)]) -> NameMap {
        NameMap::new(rules.iter().map(|(remote, local)| Rename::new(remote, local).unwrap()).collect()).unwrap()
    }

    fn name(text: &str) -> MailboxName {
        MailboxName::new(text).unwrap()
    }

    #[test]
    fn rules_work_in_both_directions() {
        let map = map(&[("Lists/*", "l/*"), ("[Gmail]/Sent Mail", "Sent"), ("Lists/x", "special")]);
        for (remote, local) in [
            ("[Gmail]/Sent Mail", "Sent"),
            ("Lists/rust/dev", "l/rust/dev"),
            ("Lists/x", "special"),
            ("INBOX", "INBOX"),
            ("Lists", "Lists"),
        ] {
            assert_eq!(map.across(Side::Remote, &name(remote)), Ok(name(local)), "{remote}");
            assert_eq!(map.across(Side::Local, &name(local)), Ok(name(remote)), "{local}");
        }
    }

    #[test]
    fn two_mailboxes_never_meet_in_one_name() {
        let map = map(&[("[Gmail]/Sent Mail", "Sent"), ("Lists/*", "l/*")]);
        for (side, colliding) in [
            (Side::Remote, "Sent"),
            (Side::Local, "[Gmail]/Sent Mail"),
            (Side::Remote, "l/rust"),
            (Side::Local, "Lists/rust"),
        ] {
            let error = map.across(side, &name(colliding)).unwrap_err();
            assert_eq!(error, NameConflict::Collision(colliding.to_owned()), "{side} {colliding}");
        }
    }

    #[test]
    fn impossible_rules_are_refused() {
        for (remote, local, why) in [
            ("a*", "b", NameConflict::UnevenStars),
            ("a*b*", "c*", NameConflict::TooManyStars),
            ("inbox", "Mail", NameConflict::Inbox),
        ] {
            assert_eq!(Rename::new(remote, local), Err(why));
        }
        assert!(matches!(Rename::new("a//b", "c"), Err(NameConflict::InvalidName(..))));
        let twice = [("a", "b"), ("a", "c")].map(|(remote, local)| Rename::new(remote, local).unwrap());
        assert_eq!(NameMap::new(twice.to_vec()), Err(NameConflict::Twice("a".to_owned())));
    }
}
