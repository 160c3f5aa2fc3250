//! A certificate authority made for one test, and what it signed.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use std::path::{Path, PathBuf};

/// An own authority with a server's and a client's certificate, as PEM files in one folder.
#[derive(Debug, Clone)]
pub struct Certificates {
    /// The authority's certificate.
    pub ca: PathBuf,
    /// For `localhost` and 127.0.0.1.
    pub server: Identity,
    /// Common name `client`.
    pub client: Identity,
}

/// A certificate and its key.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate file.
    pub certificate: PathBuf,
    /// The key file (PKCS#8).
    pub key: PathBuf,
}

impl Certificates {
    /// Makes an authority and both certificates in `folder`, which must exist.
    pub fn generate(folder: &Path) -> Self {
        Self::generate_valid(folder, (1975, 1, 1), (4096, 1, 1))
    }

    /// The same, which are valid from the one day (year, month, day) until the other begins.
    pub fn generate_valid(folder: &Path, from: (i32, u8, u8), until: (i32, u8, u8)) -> Self {
        let valid = (from, until);
        let ca_key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "a test's own authority");
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&ca_key).unwrap();
        let ca = folder.join("ca.pem");
        std::fs::write(&ca, certificate.pem()).unwrap();
        let issuer = Issuer::new(params, ca_key);
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let server = signed(folder, "server", names, ExtendedKeyUsagePurpose::ServerAuth, valid, &issuer);
        let names = vec!["client".to_owned()];
        let client = signed(folder, "client", names, ExtendedKeyUsagePurpose::ClientAuth, valid, &issuer);
        Self { ca, server, client }
    }
}

fn signed(
    folder: &Path,
    name: &str,
    alternative_names: Vec<String>,
    usage: ExtendedKeyUsagePurpose,
    ((year, month, day), until): ((i32, u8, u8), (i32, u8, u8)),
    issuer: &Issuer<'_, KeyPair>,
) -> Identity {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(alternative_names).unwrap();
    params.not_before = date_time_ymd(year, month, day);
    params.not_after = date_time_ymd(until.0, until.1, until.2);
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    let certificate = params.signed_by(&key, issuer).unwrap();
    let identity = Identity {
        certificate: folder.join(format!("{name}.pem")),
        key: folder.join(format!("{name}.key.pem")),
    };
    std::fs::write(&identity.certificate, certificate.pem()).unwrap();
    std::fs::write(&identity.key, key.serialize_pem()).unwrap();
    identity
}
