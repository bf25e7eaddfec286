//! Values that have to be unlike any before: what copies of an index are called, and what mailboxes are known by.

use crate::database::Error;
use crate::mail::{MailboxId, UidValidity};

/// A name that no copy of an index had before.
pub(super) fn mark() -> Result<String, Error> {
    let octets: [u8; 16] = random()?;
    Ok(octets.iter().map(|octet| format!("{octet:02x}")).collect())
}

/// An identity that no other mailbox has.
pub(in super::super) fn fresh_identity() -> Result<MailboxId, Error> {
    Ok(MailboxId::new(&mark()?).expect("hexadecimal digits are an identity"))
}

/// A generation that no earlier mailbox of that name is likely to have had, whatever became of the index.
pub(in super::super) fn fresh_uid_validity() -> Result<UidValidity, Error> {
    loop {
        if let Some(uid_validity) = UidValidity::new(u32::from_ne_bytes(random()?)) {
            return Ok(uid_validity);
        }
    }
}

fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut octets = [0; N];
    openssl::rand::rand_bytes(&mut octets)
        .map_err(|_| Error::Contradiction { what: "the system gives no random numbers".to_owned() })?;
    Ok(octets)
}
