//! TLS from the first octet and by STARTTLS: whom the session trusts, and that nothing is said to anybody else.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/script.rs"]
mod script;

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use interimap::store::imap::{
    Compression, Endpoint, Link, Login, Mechanism, PasswordSource, Protection, TlsOptions, TlsVersion, Verification,
    connect_over,
};
use interimap::store::{Cause, Error, Retry, Store};
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509Name};
use script::play_on;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};
use zeroize::Zeroizing;

/// What follows TLS: a login, and what a session asks first.
const SESSION: &str = "C: a1 LOGIN \"alice\" \"secret\"\n\
    S: a1 OK [CAPABILITY IMAP4rev1 ENABLE CONDSTORE QRESYNC UIDPLUS LIST-EXTENDED LIST-STATUS] welcome\n\
    C: a2 ENABLE QRESYNC\nC: a3 LIST \"\" \"\"\nS: * ENABLED QRESYNC\nS: a2 OK done\nS: a3 OK done\n";

#[tokio::test]
async fn a_certificate_that_is_trusted_opens_the_session() {
    let authority = Authority::new("Example Authority");
    let ca_file = authority.file();
    let options = TlsOptions { ca_file: Some(ca_file.path().to_owned()), ..TlsOptions::default() };
    for (server, options) in [
        (authority.issue("mail.example.org", 1), options.clone()),
        (
            authority.issue("other.example.org", 1),
            TlsOptions { hostname: Some("other.example.org".to_owned()), ..options.clone() },
        ),
        (authority.issue("x.example.org", -1), TlsOptions { verification: Verification::Off, ..TlsOptions::default() }),
    ] {
        let script = format!("S: * OK [CAPABILITY IMAP4rev1] ready\n{SESSION}");
        let (stream, player) = tls_server(&server, &script, "");
        let store = connect_over(stream, &endpoint(Protection::Tls(options))).await.unwrap();
        assert_eq!(store.profile().protection, "TLS");
        assert_eq!(store.profile().address, "imaps://mail.example.org");
        drop(store);
        player.await.unwrap();
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_hears_nothing() {
    let authority = Authority::new("Example Authority");
    let ca_file = authority.file();
    let trusting = TlsOptions { ca_file: Some(ca_file.path().to_owned()), ..TlsOptions::default() };
    let pinned = TlsOptions { fingerprints: vec![[7; 32]], ..trusting.clone() };
    let pinned_only = TlsOptions { verification: Verification::Off, ..pinned.clone() };
    // The acceptor of these tests knows no TLS 1.3.
    let modern = TlsOptions { min_version: TlsVersion::V1_3, ..trusting.clone() };
    for (server, options, sentence) in [
        (authority.issue("mail.example.org", 1), modern, "too old"),
        (Authority::new("Another Authority").itself("mail.example.org"), trusting.clone(), "signed by itself"),
        (Authority::new("Another Authority").issue("mail.example.org", 1), trusting.clone(), "not trusted"),
        (authority.issue("mail.example.org", 1), TlsOptions::default(), "not trusted"),
        (authority.issue("mail.example.com", 1), trusting.clone(), "is not for mail.example.org"),
        (authority.issue("mail.example.org", -1), trusting.clone(), "has expired"),
        (authority.issue("mail.example.org", 1), pinned, "none of those in the configuration"),
        (authority.issue("mail.example.org", 1), pinned_only, "none of those in the configuration"),
    ] {
        let greeting = "S: * OK [CAPABILITY IMAP4rev1] ready\n";
        let (stream, player) = tls_server(&server, greeting, "");
        let error = refused(stream, Protection::Tls(options.clone())).await;
        assert!(error.text.contains(sentence), "{sentence}: {error}");
        assert_eq!((error.cause, error.retry), (Cause::Tls, Retry::Never), "{error}");
        player.await.unwrap();

        let (stream, player) = tls_server(&server, "", "S: * OK [CAPABILITY STARTTLS] ready");
        let error = refused(stream, Protection::StartTls(options)).await;
        assert!(error.text.contains(sentence), "STARTTLS, {sentence}: {error}");
        player.await.unwrap();
    }
}

#[tokio::test]
async fn a_pinned_key_is_enough_where_nothing_else_is_checked() {
    let server = Authority::new("Another Authority").itself("x.example.org");
    let digest = Sha256::digest(server.key.public_key_to_der().unwrap()).into();
    let options =
        TlsOptions { fingerprints: vec![[7; 32], digest], verification: Verification::Off, ..TlsOptions::default() };
    let (stream, player) = tls_server(&server, &format!("S: * OK [CAPABILITY IMAP4rev1] ready\n{SESSION}"), "");
    drop(connect_over(stream, &endpoint(Protection::Tls(options))).await.unwrap());
    player.await.unwrap();
}

#[tokio::test]
async fn what_was_said_before_starttls_is_forgotten() {
    let authority = Authority::new("Example Authority");
    let ca_file = authority.file();
    let options = TlsOptions { ca_file: Some(ca_file.path().to_owned()), ..TlsOptions::default() };
    let server = authority.issue("mail.example.org", 1);
    let before = "S: * OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN SASL-IR] [ALERT] call this number\n\
                  S: * LIST () \"/\" forged\nS: * 5 EXISTS\nS: * STATUS INBOX (MESSAGES 9)\nS: * FLAGS (\\Seen)";
    // AUTH=PLAIN was forged: asked again, the server offers only LOGIN.
    let script = format!("C: b1 CAPABILITY\nS: * CAPABILITY IMAP4rev1\nS: b1 OK done\n{SESSION}");
    let (stream, player) = tls_server(&server, &script, before);
    let store = connect_over(stream, &endpoint(Protection::StartTls(options))).await.unwrap();
    assert_eq!((store.profile().protection.as_str(), store.profile().login.as_str()), ("STARTTLS, TLS", "LOGIN"));
    assert!(!store.profile().server.contains("call"), "{}", store.profile().server);
    drop(store);
    player.await.unwrap();
}

#[tokio::test]
async fn what_is_injected_behind_starttls_is_fatal_in_any_segment() {
    for (pause, injected) in [(false, "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] ready\r\n"), (true, "* PREAUTH x\r\n")] {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let server = tokio::spawn(async move {
            let mut stream = BufReader::new(theirs);
            stream.write_all(b"* OK [CAPABILITY STARTTLS] ready\r\n").await.unwrap();
            let mut line = String::new();
            stream.read_line(&mut line).await.unwrap();
            let tag = line.split(' ').next().unwrap();
            stream.write_all(format!("{tag} OK begin\r\n").as_bytes()).await.unwrap();
            if pause {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            stream.write_all(injected.as_bytes()).await.unwrap();
            let mut said = Vec::new();
            let _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut said).await;
            said
        });
        let error = refused(ours, Protection::StartTls(TlsOptions::default())).await;
        assert_eq!(error.cause, Cause::Tls, "{error}");
        let said = server.await.unwrap();
        let said = String::from_utf8_lossy(&said);
        assert!(!said.contains("LOGIN") && !said.contains("secret"), "{said}");
    }
}

#[tokio::test]
async fn a_file_of_authorities_that_holds_none_says_so() {
    let (ours, _theirs) = tokio::io::duplex(1 << 16);
    let file = NamedTempFile::new().unwrap();
    let options = TlsOptions { ca_file: Some(file.path().to_owned()), ..TlsOptions::default() };
    let error = refused(ours, Protection::Tls(options)).await;
    assert!(error.text.contains("holds no certificate"), "{error}");
    let (ours, _theirs) = tokio::io::duplex(1 << 16);
    let options = TlsOptions { ca_file: Some("/nonexistent/ca.pem".into()), ..TlsOptions::default() };
    let error = refused(ours, Protection::Tls(options)).await;
    assert!(error.text.contains("cannot be read"), "{error}");
}

async fn refused(stream: DuplexStream, protection: Protection) -> Error {
    match connect_over(stream, &endpoint(protection)).await {
        Ok(_) => panic!("the session was opened"),
        Err(error) => error,
    }
}

/// A server that says `before` in the clear, if that is anything, and then plays `script` under TLS.
fn tls_server(server: &Server, script: &str, before: &str) -> (DuplexStream, tokio::task::JoinHandle<()>) {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let acceptor = tokio_native_tls::TlsAcceptor::from(native_tls::TlsAcceptor::new(server.identity()).unwrap());
    let (script, before) = (script.to_owned(), before.to_owned());
    let player = tokio::spawn(async move {
        let mut stream = BufReader::new(theirs);
        if !before.is_empty() {
            for line in before.lines() {
                stream.write_all(format!("{}\r\n", line.strip_prefix("S: ").unwrap()).as_bytes()).await.unwrap();
            }
            let mut line = String::new();
            stream.read_line(&mut line).await.unwrap();
            let (tag, command) = line.trim_end().split_once(' ').unwrap();
            assert_eq!(command, "STARTTLS");
            stream.write_all(format!("{tag} OK begin\r\n").as_bytes()).await.unwrap();
        }
        // A client that does not trust us ends the handshake, or the connection right behind it.
        match acceptor.accept(stream).await {
            Ok(stream) => play_on(stream, &script).finish().await,
            Err(_) => assert!(!script.contains("C: "), "the handshake failed"),
        }
    });
    (ours, player)
}

struct Secret;

impl PasswordSource for Secret {
    fn password(&self) -> Result<Zeroizing<String>, String> {
        Ok(Zeroizing::new("secret".to_owned()))
    }
}

fn endpoint(protection: Protection) -> Endpoint {
    let port = if matches!(protection, Protection::Tls(_)) { 993 } else { 143 };
    Endpoint {
        link: Link::Tcp { host: "mail.example.org".to_owned(), port, protection },
        login: Some(Login {
            username: "alice".to_owned(),
            password: Arc::new(Secret),
            mechanisms: vec![Mechanism::Plain, Mechanism::Login],
        }),
        timeout: Duration::from_secs(10),
        compression: Compression::Wanted,
        disable_extensions: Vec::new(),
        prefix: None,
        trace: None,
    }
}

/// A certificate with its key.
struct Server {
    key: PKey<Private>,
    certificate: X509,
}

impl Server {
    fn identity(&self) -> native_tls::Identity {
        let key = self.key.private_key_to_pem_pkcs8().unwrap();
        native_tls::Identity::from_pkcs8(&self.certificate.to_pem().unwrap(), &key).unwrap()
    }
}

struct Authority(Server);

impl Authority {
    fn new(name: &str) -> Authority {
        Authority(certificate(name, None, 1))
    }

    /// A certificate for a host, signed by us; valid until so many days from now.
    fn issue(&self, host: &str, days: i64) -> Server {
        certificate(host, Some(&self.0), days)
    }

    /// A certificate that is signed by itself.
    fn itself(&self, host: &str) -> Server {
        certificate(host, None, 1)
    }

    fn file(&self) -> NamedTempFile {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(&self.0.certificate.to_pem().unwrap()).unwrap();
        file
    }
}

fn certificate(name: &str, issuer: Option<&Server>, days: i64) -> Server {
    let group = openssl::ec::EcGroup::from_curve_name(openssl::nid::Nid::X9_62_PRIME256V1).unwrap();
    let key = PKey::from_ec_key(openssl::ec::EcKey::generate(&group).unwrap()).unwrap();
    let mut subject = X509Name::builder().unwrap();
    subject.append_entry_by_text("CN", name).unwrap();
    let subject = subject.build();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    let mut serial = BigNum::new().unwrap();
    serial.rand(64, openssl::bn::MsbOption::MAYBE_ZERO, false).unwrap();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_serial_number(&serial.to_asn1_integer().unwrap()).unwrap();
    builder.set_subject_name(&subject).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder.set_not_before(&Asn1Time::from_unix(now - 7 * 86400).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::from_unix(now + days * 86400).unwrap()).unwrap();
    match issuer {
        None => builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap(),
        Some(_) => {
            let context = builder.x509v3_context(None, None);
            let names = SubjectAlternativeName::new().dns(name).build(&context).unwrap();
            builder.append_extension(names).unwrap();
        }
    }
    let (issuer_name, signer) = match issuer {
        Some(issuer) => (issuer.certificate.subject_name(), &issuer.key),
        None => (subject.as_ref(), &key),
    };
    builder.set_issuer_name(issuer_name).unwrap();
    builder.sign(signer, MessageDigest::sha256()).unwrap();
    Server { certificate: builder.build(), key }
}
