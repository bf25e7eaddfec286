//! What is wrong with a configuration: the sentence, the place, the line itself, and what to write instead.

use std::fmt;
use std::ops::Range;

/// Something that is wrong with a configuration, or at least doubtful.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whether the configuration can be used in spite of it.
    pub severity: Severity,
    /// What is wrong, as a sentence without a full stop.
    pub message: String,
    /// Where, if it is one place.
    pub place: Option<Place>,
    /// What to do about it.
    pub help: Option<String>,
}

/// Whether a configuration can be used in spite of a [`Finding`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It can.
    Warning,
    /// It cannot.
    Error,
}

/// A place in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The character within the line, from 1.
    pub column: usize,
    /// The line itself, without its secrets.
    pub excerpt: String,
    /// How many characters are meant, at least 1.
    pub width: usize,
}

/// The finding as a person reads it, without the word `error` or `warning`, which the terminal adds.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(place) = &self.place {
            let margin = place.line.to_string().len();
            write!(f, "\n{:margin$}--> {}:{}:{}", "", place.file, place.line, place.column)?;
            write!(f, "\n{:margin$} |\n{}", "", format!("{} | {}", place.line, place.excerpt).trim_end())?;
            let (before, carets) = (place.column.saturating_sub(1), "^".repeat(place.width));
            write!(f, "\n{:margin$} | {:before$}{carets}", "", "")?;
        }
        match &self.help {
            Some(help) => write!(f, "\nhelp: {help}"),
            None => Ok(()),
        }
    }
}

/// The findings of one file, gathered while it is read, so that all of them are shown at once.
#[derive(Debug)]
pub(super) struct Findings<'t> {
    file: String,
    text: &'t str,
    gathered: Vec<(usize, Finding)>,
}

impl<'t> Findings<'t> {
    pub(super) fn new(file: String, text: &'t str) -> Findings<'t> {
        Findings { file, text, gathered: Vec::new() }
    }

    pub(super) fn error(&mut self, at: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.add(Severity::Error, at, message.into(), help.into());
    }

    pub(super) fn warning(&mut self, at: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.add(Severity::Warning, at, message.into(), help.into());
    }

    fn add(&mut self, severity: Severity, at: Range<usize>, message: String, help: String) {
        let place = Some(place(&self.file, self.text, &at));
        let help = (!help.is_empty()).then_some(help);
        self.gathered.push((at.start, Finding { severity, message, place, help }));
    }

    /// All of them in the order of the file, and whether one is an error.
    pub(super) fn finish(mut self) -> (Vec<Finding>, Severity) {
        self.gathered.sort_by_key(|(at, _)| *at);
        let findings: Vec<Finding> = self.gathered.into_iter().map(|(_, finding)| finding).collect();
        let worst = findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Warning);
        (findings, worst)
    }
}

fn place(file: &str, text: &str, at: &Range<usize>) -> Place {
    // A span may end at the end of the text, and the parser may point into the middle of nothing.
    let start = (0..=at.start.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let before = &text[..start];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = text[line_start..].lines().next().unwrap_or_default();
    let column = text[line_start..start].chars().count() + 1;
    let meant = text.get(start..at.end).and_then(|meant| meant.lines().next()).unwrap_or_default().chars().count();
    Place {
        file: file.to_owned(),
        line: before.matches('\n').count() + 1,
        column,
        excerpt: without_secrets(before, line),
        width: meant.max(1),
    }
}

/// The line with `*` for every sign that may belong to a secret. The columns stay as they are.
fn without_secrets(before: &str, line: &str) -> String {
    let printable = |sign: char| if sign.is_control() { ' ' } else { sign };
    let masked = |sign: char| if sign.is_whitespace() { ' ' } else { '*' };
    // Within a string of several lines there is no key to judge by.
    let within = ["\"\"\"", "'''"].iter().any(|quotes| before.matches(quotes).count() % 2 == 1);
    if within {
        return line.chars().map(masked).collect();
    }
    let folded = line.to_ascii_lowercase();
    let key = folded.split('=').next().unwrap_or_default().trim();
    let secret = ["pass", "proxy", "secret", "token"].iter().any(|word| folded.contains(word))
        || strsim::jaro_winkler(key, "password") > 0.8;
    match line.split_once('=') {
        Some((key, value)) if secret => {
            key.chars().map(printable).chain(['=']).chain(value.chars().map(masked)).collect()
        }
        _ => line.chars().map(printable).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_shows_the_line_and_points_into_it() {
        let text = "a = 1\n\tb = \"ü\" # x\n";
        let mut findings = Findings::new("f.toml".to_owned(), text);
        findings.warning(7..8, "second", "");
        findings.error(0..1, "first", "write it so");
        let (found, worst) = findings.finish();
        assert_eq!(worst, Severity::Error);
        assert_eq!(found[0].to_string(), "first\n --> f.toml:1:1\n  |\n1 | a = 1\n  | ^\nhelp: write it so");
        assert_eq!(found[1].to_string(), "second\n --> f.toml:2:2\n  |\n2 |  b = \"ü\" # x\n  |  ^");
    }

    #[test]
    fn every_span_a_parser_may_give_is_survived() {
        let text = "a = \"ü\"\n";
        for start in 0..12 {
            for end in 0..12 {
                let mut findings = Findings::new("f".to_owned(), text);
                findings.error(start..end, "m", "");
                assert!(findings.finish().0[0].place.as_ref().unwrap().width >= 1, "{start}..{end}");
            }
        }
    }

    #[test]
    fn no_line_shows_a_secret() {
        for (before, line, shown) in [
            ("", "password = \"geheim\"", "password = ********"),
            ("", "pasword = 'geheim' 7", "pasword = ******** *"),
            ("", "psaswort=geheim", "psaswort=******"),
            ("", "proxy = \"socks5h://u:geheim@h\"", "proxy = **********************"),
            ("", "remote = { host = 1, password = \"geheim\" }", "remote = * **** * ** ******** * ******** *"),
            ("password = \"\"\"\n", "geheim", "******"),
            ("a = \"\"\"x\"\"\"\n", "host = \"h\"", "host = \"h\""),
        ] {
            assert_eq!(without_secrets(before, line), shown, "{line}");
        }
    }
}
