//! Certificates made for one test: an authority, and what it signed for right and wrong hosts.

use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509NameBuilder};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// An authority whose certificates exist as long as it does.
#[derive(Clone)]
pub(crate) struct Authority {
    directory: Rc<TempDir>,
    certificate: X509,
    key: PKey<Private>,
}

/// A server's certificate and key, as files.
#[derive(Clone)]
pub(crate) struct Certificate {
    directory: Rc<TempDir>,
    name: &'static str,
    certificate: X509,
}

/// What a certificate says of its server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// For localhost and 127.0.0.1, valid today.
    Good,
    /// For another host.
    OtherHost,
    /// Valid until yesterday.
    Expired,
    /// For localhost and 127.0.0.1, signed by nobody else.
    SelfSigned,
}

impl Authority {
    /// Makes a new authority in a directory of its own.
    pub(crate) fn new() -> Authority {
        let key = new_key();
        let certificate = Draft { subject: "Test authority", host: None, first_day: -2, last_day: 30 }.sign(&key, None);
        let directory = super::host::short_directory();
        fs::write(directory.path().join("ca.pem"), certificate.to_pem().unwrap()).unwrap();
        Authority { directory: Rc::new(directory), certificate, key }
    }

    /// The file that holds the authority's certificate.
    pub(crate) fn file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// Makes a certificate for a server.
    pub(crate) fn issue(&self, kind: Kind) -> Certificate {
        let key = new_key();
        let (name, host, first_day, last_day) = match kind {
            Kind::Good => ("good", "localhost", -2, 30),
            Kind::OtherHost => ("other", "imap.example.net", -2, 30),
            Kind::Expired => ("expired", "localhost", -3, -1),
            Kind::SelfSigned => ("self", "localhost", -2, 30),
        };
        let draft = Draft { subject: host, host: Some(host), first_day, last_day };
        let issuer = (kind != Kind::SelfSigned).then_some((&self.certificate, &self.key));
        let certificate = draft.sign(&key, issuer);
        let file = |ending: &str| self.directory.path().join(format!("{name}.{ending}"));
        fs::write(file("pem"), certificate.to_pem().unwrap()).unwrap();
        fs::write(file("key"), key.private_key_to_pem_pkcs8().unwrap()).unwrap();
        Certificate { directory: Rc::clone(&self.directory), name, certificate }
    }
}

impl Certificate {
    /// The files with the certificate and its key.
    pub(crate) fn files(&self) -> (PathBuf, PathBuf) {
        let path: &Path = self.directory.path();
        (path.join(format!("{}.pem", self.name)), path.join(format!("{}.key", self.name)))
    }

    /// The SHA-256 of the public key (SubjectPublicKeyInfo), in hexadecimal.
    pub(crate) fn fingerprint(&self) -> String {
        let key = self.certificate.public_key().unwrap().public_key_to_der().unwrap();
        Sha256::digest(&key).iter().map(|octet| format!("{octet:02x}")).collect()
    }
}

struct Draft {
    subject: &'static str,
    host: Option<&'static str>,
    /// Days from today, may be negative.
    first_day: i64,
    last_day: i64,
}

impl Draft {
    fn sign(&self, key: &PKey<Private>, issuer: Option<(&X509, &PKey<Private>)>) -> X509 {
        let mut subject = X509NameBuilder::new().unwrap();
        subject.append_entry_by_text("CN", self.subject).unwrap();
        let subject = subject.build();
        let mut serial = BigNum::new().unwrap();
        serial.rand(120, MsbOption::MAYBE_ZERO, false).unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let day = |offset: i64| Asn1Time::from_unix(now.cast_signed() + offset * 86_400).unwrap();

        let mut builder = X509::builder().unwrap();
        builder.set_version(2).unwrap();
        builder.set_serial_number(&serial.to_asn1_integer().unwrap()).unwrap();
        builder.set_subject_name(&subject).unwrap();
        builder.set_issuer_name(issuer.map_or(&*subject, |(certificate, _)| certificate.subject_name())).unwrap();
        builder.set_pubkey(key).unwrap();
        builder.set_not_before(&day(self.first_day)).unwrap();
        builder.set_not_after(&day(self.last_day)).unwrap();
        match self.host {
            None => {
                builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
                let usage = KeyUsage::new().critical().key_cert_sign().crl_sign().build().unwrap();
                builder.append_extension(usage).unwrap();
            }
            Some(host) => {
                builder.append_extension(ExtendedKeyUsage::new().server_auth().build().unwrap()).unwrap();
                let mut names = SubjectAlternativeName::new();
                names.dns(host);
                if host == "localhost" {
                    names.ip("127.0.0.1");
                }
                let names = names.build(&builder.x509v3_context(None, None)).unwrap();
                builder.append_extension(names).unwrap();
            }
        }
        builder.sign(issuer.map_or(key, |(_, key)| key), MessageDigest::sha256()).unwrap();
        builder.build()
    }
}

fn new_key() -> PKey<Private> {
    let curve = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&curve).unwrap()).unwrap()
}
