//! Reads one table of a configuration key by key. What is wrong is noted and the reading goes on.

use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::finding::Findings;
use super::keys::{self, KEYS, Place, Standing, nearest};

/// One table on its way to becoming a value.
pub(super) struct Reader<'t, 'f> {
    place: Place,
    name: String,
    header: Range<usize>,
    entries: &'t DeTable<'t>,
    pub(super) findings: &'f mut Findings<'t>,
}

impl<'t, 'f> Reader<'t, 'f> {
    /// Opens the table; every key that no such table has is noted.
    pub(super) fn open(
        place: Place,
        name: String,
        header: Range<usize>,
        entries: &'t DeTable<'t>,
        findings: &'f mut Findings<'t>,
    ) -> Reader<'t, 'f> {
        for key in entries.keys() {
            let (at, written) = (key.span(), key.get_ref().as_ref());
            match keys::find(place, written) {
                Some(known) if known.standing == Standing::Works => {}
                Some(_) => {
                    findings.error(at, format!("\"{written}\" is not there yet"), "leave it out");
                }
                None => {
                    let candidates = KEYS.iter().filter(|key| key.place == place).map(|key| key.name);
                    let elsewhere = KEYS.iter().find(|key| key.name == written).map(|key| key.place);
                    let help = match (nearest(written, candidates), elsewhere) {
                        (_, Some(place)) => format!("it belongs in {}", where_it_is(place)),
                        (Some(near), None) => format!("the nearest key that exists is \"{near}\""),
                        (None, None) => "interimap.toml(5) has every key".to_owned(),
                    };
                    findings.error(at, format!("[{name}] has no key \"{written}\""), help);
                }
            }
        }
        Reader { place, name, header, entries, findings }
    }

    /// The table's name as its header shows it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where the table begins, for what is missing in it.
    pub(super) fn header(&self) -> Range<usize> {
        self.header.clone()
    }

    /// Whether the key is written, be its value right or wrong.
    pub(super) fn holds(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Where the key is written.
    pub(super) fn key_span(&self, key: &str) -> Option<Range<usize>> {
        self.entries.keys().find(|written| written.get_ref() == key).map(Spanned::span)
    }

    /// Notes that a key has to be there and is not.
    pub(super) fn missing(&mut self, key: &str, help: impl Into<String>) {
        let message = format!("[{}] needs \"{key}\"", self.name);
        self.findings.error(self.header(), message, help);
    }

    /// A text.
    pub(super) fn text(&mut self, key: &str, example: &str) -> Option<Spanned<&'t str>> {
        let value = self.value(key)?;
        match value.get_ref().as_str() {
            Some(text) => Some(Spanned::new(value.span(), text)),
            None => self.wrong_type(key, value, "a text", format!("write {key} = \"{example}\"")),
        }
    }

    /// A text that is not empty and holds no control character, as everything that ends up on a wire or in a command.
    pub(super) fn line(&mut self, key: &str, example: &str) -> Option<Spanned<&'t str>> {
        let text = self.text(key, example)?;
        let wrong = match *text.get_ref() {
            "" => "is empty",
            text if text.chars().any(char::is_control) => "holds a control character",
            _ => return Some(text),
        };
        let help = format!("write {key} = \"{example}\", or leave the key out");
        self.findings.error(text.span(), format!("\"{key}\" {wrong}"), help);
        None
    }

    /// A number with its unit, which makes it a text. One without says how to write it.
    pub(super) fn with_unit(&mut self, key: &str, example: &str) -> Option<Spanned<&'t str>> {
        let value = self.value(key)?;
        if !value.get_ref().is_integer() {
            return self.text(key, example);
        }
        let help = format!("write the number and its unit in quotes: {key} = \"{example}\"");
        self.findings.error(value.span(), format!("\"{key}\" needs a unit"), help);
        None
    }

    /// `true` or `false`.
    pub(super) fn choice(&mut self, key: &str) -> Option<Spanned<bool>> {
        let value = self.value(key)?;
        match value.get_ref().as_bool() {
            Some(choice) => Some(Spanned::new(value.span(), choice)),
            None => self.wrong_type(key, value, "true or false", format!("write {key} = true or {key} = false")),
        }
    }

    /// A whole number within bounds.
    pub(super) fn number(&mut self, key: &str, bounds: RangeInclusive<u16>) -> Option<Spanned<u16>> {
        let value = self.value(key)?;
        let help = format!("write a whole number from {} to {}, without quotes", bounds.start(), bounds.end());
        let Some(number) = value.get_ref().as_integer() else {
            return self.wrong_type(key, value, "a whole number", help);
        };
        match i128::from_str_radix(number.as_str(), number.radix()).ok().and_then(|n| u16::try_from(n).ok()) {
            Some(number) if bounds.contains(&number) => Some(Spanned::new(value.span(), number)),
            _ => {
                self.findings.error(value.span(), format!("\"{key}\" is out of range: {number}"), help);
                None
            }
        }
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&mut self, key: &str, words: &[(&str, T)]) -> Option<Spanned<T>> {
        let example = words.first().map_or("", |(word, _)| word);
        let text = self.text(key, example)?;
        self.meaning(key, &text, words).map(|meaning| Spanned::new(text.span(), meaning))
    }

    /// A list of a few words.
    pub(super) fn words<T: Copy>(&mut self, key: &str, words: &[(&str, T)]) -> Option<Spanned<Vec<T>>> {
        let example = words.first().map_or("", |(word, _)| word);
        let texts = self.texts(key, example)?;
        // Every word is looked at, so that all that are wrong are noted.
        let meanings: Vec<Option<T>> = texts.get_ref().iter().map(|text| self.meaning(key, text, words)).collect();
        Some(Spanned::new(texts.span(), meanings.into_iter().collect::<Option<_>>()?))
    }

    /// A list of texts. If one of them is none, so is the list.
    pub(super) fn texts(&mut self, key: &str, example: &str) -> Option<Spanned<Vec<Spanned<&'t str>>>> {
        let value = self.value(key)?;
        let help = format!("write {key} = [\"{example}\"]");
        let Some(array) = value.get_ref().as_array() else {
            return self.wrong_type(key, value, "a list of texts", help);
        };
        let mut texts = Vec::with_capacity(array.len());
        for element in array.iter() {
            match element.get_ref().as_str() {
                Some(text) => texts.push(Spanned::new(element.span(), text)),
                None => {
                    self.wrong_type::<()>(key, element, "a list of texts", help.clone());
                }
            }
        }
        (texts.len() == array.len()).then(|| Spanned::new(value.span(), texts))
    }

    /// A table within this one.
    pub(super) fn table(&mut self, key: &str, place: Place, example: &str) -> Option<Reader<'t, '_>> {
        let value = self.value(key)?;
        match value.get_ref().as_table() {
            Some(table) => {
                let name = format!("{}.{key}", self.name);
                Some(Reader::open(place, name, value.span(), table, self.findings))
            }
            None => self.wrong_type(key, value, "a table", example.to_owned()),
        }
    }

    /// A list of tables.
    pub(super) fn tables(&mut self, key: &str, example: &str) -> Option<Spanned<Vec<Spanned<&'t DeTable<'t>>>>> {
        let value = self.value(key)?;
        let help = format!("write {key} = [{example}]");
        let Some(array) = value.get_ref().as_array() else {
            return self.wrong_type(key, value, "a list of tables", help);
        };
        let mut tables = Vec::with_capacity(array.len());
        for element in array.iter() {
            match element.get_ref().as_table() {
                Some(table) => tables.push(Spanned::new(element.span(), table)),
                None => {
                    self.wrong_type::<()>(key, element, "a list of tables", help.clone());
                }
            }
        }
        Some(Spanned::new(value.span(), tables))
    }

    fn meaning<T: Copy>(&mut self, key: &str, text: &Spanned<&'t str>, words: &[(&str, T)]) -> Option<T> {
        let written = *text.get_ref();
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == written) {
            return Some(*meaning);
        }
        let all: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let help = match nearest(written, words.iter().map(|(word, _)| *word)) {
            Some(near) if all.len() > 5 => format!("the nearest word is \"{near}\""),
            Some(near) => format!("the nearest word is \"{near}\"; all of them: {}", all.join(", ")),
            None => format!("write one of: {}", all.join(", ")),
        };
        self.findings.error(text.span(), format!("\"{key}\" does not know the word {written:?}"), help);
        None
    }

    /// The key's value as it stands. What is not there yet has been noted already.
    pub(super) fn value(&self, key: &str) -> Option<&'t Spanned<DeValue<'t>>> {
        debug_assert!(keys::find(self.place, key).is_some(), "{key} is missing from the list of keys");
        self.entries.get(key)
    }

    fn wrong_type<T>(&mut self, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str, help: String) -> Option<T> {
        let found = match value.get_ref() {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a point",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.findings.error(value.span(), format!("\"{key}\" has to be {wanted}, and here it is {found}"), help);
        None
    }
}

fn where_it_is(place: Place) -> &'static str {
    match place {
        Place::Account => "[account.NAME]",
        Place::Side => "[account.NAME.local] or [account.NAME.remote]",
        Place::Tls => "the table \"tls\" of a side",
        Place::Rename => "an element of \"rename\"",
    }
}
