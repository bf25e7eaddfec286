//! Letters to fill mailboxes with: real ones where there are some, and as many as are wanted, none like another.

use crate::support::mail::corpus;

/// Where letters come from.
pub(crate) enum Letters {
    /// As mail is: those of an archive in turn, or made up, 5.4 kB on the average.
    Usual(Vec<Vec<u8>>),
    /// Some 240 octets each, for mailboxes that are large by their number.
    Short,
    /// One of that many octets.
    Huge(usize),
}

impl Letters {
    /// Those of the archive that `INTERIMAP_REAL_MAIL` names; made up ones without.
    pub(crate) fn usual() -> Letters {
        Letters::Usual(match std::env::var_os("INTERIMAP_REAL_MAIL") {
            Some(_) => corpus(),
            None => (0..3_000).map(made_up).collect(),
        })
    }

    /// What the table says of them.
    pub(crate) fn kind() -> &'static str {
        match std::env::var_os("INTERIMAP_REAL_MAIL") {
            Some(_) => "real letters",
            None => "generated letters",
        }
    }

    /// The letter with that number.
    pub(crate) fn write(&self, number: u32) -> Vec<u8> {
        let mut letter = format!("X-Number: {number:08}\r\n").into_bytes();
        match self {
            Letters::Usual(some) => letter.extend_from_slice(&some[number as usize % some.len()]),
            Letters::Short => {
                letter.extend_from_slice(&head(number));
                letter.extend_from_slice(format!("This is letter {number}.\r\n").as_bytes());
            }
            Letters::Huge(size) => {
                letter.extend_from_slice(&head(number));
                let line = [[b'x'; 76].as_slice(), b"\r\n"].concat();
                letter.extend(line.iter().cycle().take(size / line.len() * line.len()));
            }
        }
        letter
    }
}

/// Four of five are short, as mail is; the sizes are the same in every run.
fn made_up(number: u32) -> Vec<u8> {
    let spread = number.wrapping_mul(7_919) as usize;
    let size = if number.is_multiple_of(5) { 4_000 + spread % 28_000 } else { 500 + spread % 3_000 };
    let mut letter = head(number);
    let mut line = 0;
    while letter.len() < size {
        line += 1;
        let text = format!("Line {line} of what the sender of letter {number} has to say to Alice about it.\r\n");
        letter.extend_from_slice(text.as_bytes());
    }
    letter
}

fn head(number: u32) -> Vec<u8> {
    format!(
        "From: sender{}@example.net\r\nTo: alice@example.org\r\nSubject: Letter {number}\r\n\
         Date: Mon, {} Mar 2025 10:00:00 +0000\r\nMessage-ID: <{number}@example.net>\r\n\r\n",
        number % 97,
        1 + number % 28,
    )
    .into_bytes()
}
