//! What carries the octets: TCP, TLS over it, or the pipes of a tunnel command. Knows nothing of IMAP.

use std::net::SocketAddr;
use std::time::Duration;

use openssl::x509::X509;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::endpoint::{Link, Protection, TlsOptions, TlsVersion, Verification};
use super::tunnel::Tunnel;
use super::wire::Wire;
use crate::store::{Cause, Error};

/// However patient the configuration is: a host that has not answered for so long will not.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);

/// After so much silence the system asks whether the peer is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// How much is read at once beneath TLS: one read for four of its records.
const TLS_BUFFER: usize = 64 * 1024;

/// A stream of octets in both directions.
pub(super) trait Octets: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Octets for T {}

/// Whether the octets can be read on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Privacy {
    /// They are encrypted.
    Encrypted,
    /// They are not; what carries them may still be private (a tunnel).
    Clear,
}

/// An open stream, and what is known of it.
pub(super) struct Transport {
    pub(super) wire: Wire,
    pub(super) privacy: Privacy,
    /// The command at whose end the stream is, if any.
    pub(super) tunnel: Option<Tunnel>,
}

impl Transport {
    /// Opens what the configuration describes, with TLS where it stands at the beginning.
    pub(super) async fn open(link: &Link, patience: Duration) -> Result<Transport, Error> {
        match link {
            Link::Tcp { host, port, .. } => {
                let stream = dial(host, *port, patience.min(CONNECT_LIMIT)).await?;
                Transport::over(Box::new(stream), link, patience).await
            }
            Link::Tunnel { command, stderr } => {
                let (tunnel, stream) = Tunnel::start(command, *stderr)?;
                Ok(Transport { wire: Wire::new(Box::new(stream)), privacy: Privacy::Clear, tunnel: Some(tunnel) })
            }
        }
    }

    /// Takes a stream that is open already in place of the connection that `link` names.
    pub(super) async fn over(stream: Box<dyn Octets>, link: &Link, patience: Duration) -> Result<Transport, Error> {
        let transport = Transport { wire: Wire::new(stream), privacy: Privacy::Clear, tunnel: None };
        match link {
            Link::Tcp { host, protection: Protection::Tls(options), .. } => {
                transport.encrypt(options, host, patience).await
            }
            _ => Ok(transport),
        }
    }

    /// Shakes hands, and judges the certificate, before any octet of IMAP goes over.
    pub(super) async fn encrypt(
        self,
        options: &TlsOptions,
        host: &str,
        patience: Duration,
    ) -> Result<Transport, Error> {
        let connector = tokio_native_tls::TlsConnector::from(connector(options)?);
        let name = options.hostname.as_deref().unwrap_or(host);
        let handshake = connector.connect(name, BufReader::with_capacity(TLS_BUFFER, self.wire.into_stream()));
        let stream = match timeout(patience.min(CONNECT_LIMIT), handshake).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(refused_handshake(&error.to_string(), name)),
            Err(_) => return Err(Error::side(Cause::TimedOut, format!("{host} did not finish the TLS handshake"))),
        };
        check_fingerprint(&stream, options, name)?;
        Ok(Transport { wire: Wire::new(Box::new(stream)), privacy: Privacy::Encrypted, tunnel: self.tunnel })
    }
}

async fn dial(host: &str, port: u16, patience: Duration) -> Result<TcpStream, Error> {
    let addresses: Vec<SocketAddr> = match timeout(patience, tokio::net::lookup_host((host, port))).await {
        Ok(Ok(addresses)) => addresses.collect(),
        Ok(Err(error)) => return Err(unknown_host(host, &error.to_string())),
        Err(_) => return Err(Error::side(Cause::Unreachable, format!("nobody answers who {host} is"))),
    };
    let share = patience / addresses.len().clamp(1, 8) as u32;
    let mut failure = unknown_host(host, "it has no address");
    for address in addresses.into_iter().take(8) {
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // An IMAP client talks in small pieces and waits: Nagle's algorithm would delay each of them.
                let _ = stream.set_nodelay(true);
                let _ = rustix::net::sockopt::set_socket_keepalive(&stream, true);
                let _ = rustix::net::sockopt::set_tcp_keepidle(&stream, KEEP_ALIVE);
                return Ok(stream);
            }
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                failure = Error::side(Cause::Unreachable, format!("nobody listens at {host}, port {port}"));
            }
            Ok(Err(error)) => {
                let reason = without_number(&error.to_string());
                failure = Error::side(Cause::Unreachable, format!("{host}, port {port}, cannot be reached: {reason}"));
            }
            Err(_) => {
                let seconds = patience.as_secs_f32();
                let text = format!("{host}, port {port}, did not answer within {seconds:.0} s");
                failure = Error::side(Cause::Unreachable, text);
            }
        }
    }
    Err(failure)
}

fn unknown_host(host: &str, error: &str) -> Error {
    let text = match error.contains("emporary failure") {
        true => format!("the name {host} cannot be looked up at present"),
        false => format!("there is no host called {host}"),
    };
    Error::side(Cause::Unreachable, text)
}

/// Takes Rust's ` (os error 113)` off.
fn without_number(text: &str) -> String {
    text.split(" (os error").next().unwrap_or(text).to_owned()
}

/// TLS itself never compresses: the `openssl` crate's connector sets SSL_OP_NO_COMPRESSION, and TLS 1.3 has no such thing.
/// So COMPRESS (RFC 4978 §3) compresses nothing twice.
fn connector(options: &TlsOptions) -> Result<native_tls::TlsConnector, Error> {
    let unusable = |text: String| Error::side(Cause::Tls, text).for_good();
    let mut builder = native_tls::TlsConnector::builder();
    builder.min_protocol_version(Some(match options.min_version {
        TlsVersion::V1_0 => native_tls::Protocol::Tlsv10,
        TlsVersion::V1_1 => native_tls::Protocol::Tlsv11,
        TlsVersion::V1_2 => native_tls::Protocol::Tlsv12,
        TlsVersion::V1_3 => native_tls::Protocol::Tlsv13,
    }));
    if let Some(path) = &options.ca_file {
        let pem = std::fs::read(path).map_err(|error| {
            unusable(format!("the file of authorities {path:?} cannot be read: {}", without_number(&error.to_string())))
        })?;
        let authorities = native_tls::Certificate::stack_from_pem(&pem).unwrap_or_default();
        if authorities.is_empty() {
            return Err(unusable(format!("the file of authorities {path:?} holds no certificate in PEM form")));
        }
        builder.disable_built_in_roots(true);
        for authority in authorities {
            builder.add_root_certificate(authority);
        }
    }
    let unchecked = options.verification == Verification::Off;
    builder.danger_accept_invalid_certs(unchecked).danger_accept_invalid_hostnames(unchecked);
    builder.build().map_err(|_| unusable("TLS cannot be set up as it is configured".to_owned()))
}

/// What OpenSSL says of a handshake, in one sentence. Only its text tells the verdicts apart.
fn refused_handshake(error: &str, name: &str) -> Error {
    let text = match error {
        _ if error.contains("self-signed") || error.contains("self signed") => {
            format!("the certificate of {name} is signed by itself or by an authority that is not trusted")
        }
        _ if error.contains("has expired") => format!("the certificate of {name} has expired"),
        _ if error.contains("not yet valid") => format!("the certificate of {name} is not valid yet"),
        _ if error.contains("mismatch") => format!("the certificate is not for {name}"),
        _ if ["unable to get", "unable to verify", "signature failure"]
            .iter()
            .any(|verdict| error.contains(verdict)) =>
        {
            format!("the certificate of {name} is signed by an authority that is not trusted")
        }
        _ if error.contains("certificate verify failed") => format!("the certificate of {name} is not valid"),
        _ if error.contains("unsupported protocol") || error.contains("protocol version") => {
            format!("{name} only speaks a version of TLS that is too old, or that our system does not allow")
        }
        _ if error.contains("wrong version number") || error.contains("packet length") => {
            format!("{name} does not answer with TLS at this port")
        }
        _ => return Error::side(Cause::Tls, format!("the TLS handshake with {name} failed")),
    };
    Error::side(Cause::Tls, text).for_good()
}

fn check_fingerprint<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &tokio_native_tls::TlsStream<S>,
    options: &TlsOptions,
    name: &str,
) -> Result<(), Error> {
    if options.fingerprints.is_empty() {
        return Ok(());
    }
    let key = stream.get_ref().peer_certificate().ok().flatten().and_then(|certificate| {
        let certificate = X509::from_der(&certificate.to_der().ok()?).ok()?;
        certificate.public_key().ok()?.public_key_to_der().ok()
    });
    let found: Option<[u8; 32]> = key.map(|key| Sha256::digest(key).into());
    match found {
        Some(digest) if options.fingerprints.contains(&digest) => Ok(()),
        Some(digest) => {
            let hex: String = digest.iter().map(|octet| format!("{octet:02x}")).collect();
            let text = format!("the public key of {name} is none of those in the configuration: sha256:{hex}");
            Err(Error::side(Cause::Tls, text).for_good())
        }
        None => Err(Error::side(Cause::Tls, format!("the public key of {name} cannot be read")).for_good()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Retry;

    #[test]
    fn each_verdict_on_a_certificate_has_its_sentence() {
        for (error, sentence, retry) in [
            (
                "error:0A000086:SSL routines:tls_post_process_server_certificate:certificate verify failed:../ssl/statem/statem_clnt.c:1889: (self-signed certificate)",
                "signed by itself",
                Retry::Never,
            ),
            ("certificate verify failed: (certificate has expired)", "has expired", Retry::Never),
            ("certificate verify failed: (hostname mismatch)", "is not for mail.example.org", Retry::Never),
            ("certificate verify failed: (IP address mismatch)", "is not for mail.example.org", Retry::Never),
            ("certificate verify failed: (unable to get local issuer certificate)", "not trusted", Retry::Never),
            ("ssl/record/ssl3_record.c:354: wrong version number", "does not answer with TLS", Retry::Never),
            ("unexpected EOF", "failed", Retry::Later),
        ] {
            let found = refused_handshake(error, "mail.example.org");
            assert!(found.text.contains(sentence), "{error}: {found}");
            assert_eq!((found.retry, found.cause), (retry, Cause::Tls), "{error}");
        }
    }

    #[tokio::test]
    async fn a_port_without_a_listener_says_so() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let error = dial("127.0.0.1", port, Duration::from_secs(5)).await.unwrap_err();
        assert_eq!(error.text, format!("nobody listens at 127.0.0.1, port {port}"));
        assert_eq!(error.cause, Cause::Unreachable);
    }

    #[tokio::test]
    async fn a_name_that_nobody_bears_says_so() {
        let error = dial("no-such-host.invalid", 143, Duration::from_secs(5)).await.unwrap_err();
        assert_eq!(error.cause, Cause::Unreachable);
        assert!(error.text.contains("no-such-host.invalid"), "{error}");
    }
}
