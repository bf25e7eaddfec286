//! Makes what a server says fit to be shown and logged.

use std::fmt::Write;

/// Most octets of a text of the server that are shown.
pub const PRINTABLE_LIMIT: usize = 1024;

/// What a server sent, as one line that no terminal or log takes for anything but text: control characters become
/// `\x1b`, characters that turn the direction of writing, break lines or are not seen become `\u{202e}`, invalid UTF-8
/// becomes U+FFFD. At most [`PRINTABLE_LIMIT`] octets; `…` stands for the rest.
pub fn printable(octets: &[u8]) -> String {
    const MORE: char = '…';
    // An octet becomes at least one, so that more of them than this would be cut off again.
    let window = octets.get(..=PRINTABLE_LIMIT).unwrap_or(octets);
    let mut text = String::with_capacity(window.len());
    for character in String::from_utf8_lossy(window).chars() {
        let written = if character.is_control() {
            write!(text, "\\x{:02x}", u32::from(character))
        } else if is_unseen(character) {
            write!(text, "\\u{{{:x}}}", u32::from(character))
        } else {
            text.write_char(character)
        };
        debug_assert!(written.is_ok(), "writing to a String does not fail");
    }
    if text.len() > PRINTABLE_LIMIT {
        text.truncate(text.floor_char_boundary(PRINTABLE_LIMIT - MORE.len_utf8()));
        text.push(MORE);
    }
    text
}

/// Characters that change how the text around them is shown, or are not shown at all.
fn is_unseen(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}
