//! Texts that others wrote, made safe for a terminal, and for a shell to read back.

use std::borrow::Cow;

/// The text with every sign spelled out that a terminal would obey instead of showing: control characters, and those
/// that turn the direction of writing.
pub fn printable(text: &str) -> Cow<'_, str> {
    match text.chars().any(is_obeyed) {
        false => Cow::Borrowed(text),
        true => Cow::Owned(
            text.chars()
                .map(|sign| match sign {
                    '\n' | '\r' | '\t' => " ".to_owned(),
                    sign if is_obeyed(sign) => sign.escape_unicode().to_string(),
                    sign => sign.to_string(),
                })
                .collect(),
        ),
    }
}

fn is_obeyed(sign: char) -> bool {
    let turns = matches!(sign, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let breaks = matches!(sign, '\u{2028}' | '\u{2029}');
    sign.is_control() || turns || breaks
}

/// The text as one word of a shell command.
pub fn shell_quoted(text: &str) -> String {
    let plain = |sign: char| sign.is_ascii_alphanumeric() || "_-./:@%+=,".contains(sign);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_sign_is_left_that_a_terminal_obeys() {
        for (text, shown) in [
            ("Füße 📬", "Füße 📬"),
            ("a\u{1b}[2Jb", "a\\u{1b}[2Jb"),
            ("a\r\nb\tc", "a  b c"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("txt.\u{202e}exe", "txt.\\u{202e}exe"),
        ] {
            assert_eq!(printable(text), shown);
        }
    }

    #[test]
    fn a_quoted_text_is_one_word() {
        for (text, quoted) in
            [("INBOX/a", "INBOX/a"), ("", "''"), ("Sent Mail", "'Sent Mail'"), ("it's", "'it'\\''s'"), ("*", "'*'")]
        {
            assert_eq!(shell_quoted(text), quoted);
        }
    }
}
