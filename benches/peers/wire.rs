//! Bare conversations with a server: all that is to be said is said at once, and what it answers is read and thrown away.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;

use crate::support::dovecot::PASSWORD;

/// Logs in, says that, and waits until the server has answered all of it.
pub(crate) fn converse(port: u16, user: &str, said: &[Vec<u8>]) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut speaking = stream.try_clone().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            let login = format!("a LOGIN {user} {PASSWORD}\r\n");
            for octets in std::iter::once(login.as_bytes()).chain(said.iter().map(Vec::as_slice)) {
                speaking.write_all(octets).unwrap();
            }
            speaking.write_all(b"z LOGOUT\r\n").unwrap();
        });
        let (mut buffer, mut last) = (vec![0; 1 << 16], Vec::new());
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            last.extend_from_slice(&buffer[..count]);
            last.drain(..last.len().saturating_sub(200));
        }
        let last = String::from_utf8_lossy(&last);
        assert!(last.contains("\r\nz OK"), "the server did not say goodbye: {last}");
    });
}
