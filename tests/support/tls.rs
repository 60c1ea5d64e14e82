//! A certificate authority for one test.
//!
//! Must never be trusted by anything that outlives the test.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;

/// A certificate and its key, as PEM files.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The chain's file.
    pub certificate: PathBuf,
    /// The key's file.
    pub key: PathBuf,
}

/// What an issued certificate is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// Good for servers.
    Server,
    /// Good for clients.
    Client,
    /// Ran out in 2001.
    Expired,
    /// Its name stands in the common name alone.
    CommonNameOnly,
}

/// The authority.
#[derive(Clone)]
pub struct TestCa {
    inner: Arc<Inner>,
}

struct Inner {
    dir: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
    next: std::sync::atomic::AtomicU32,
}

impl TestCa {
    /// A fresh authority; its root is written to [`TestCa::path`].
    pub fn new() -> Self {
        install_crypto();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "Vestibule test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let dir = TempDir::new().unwrap();
        std::fs::write(dir.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { inner: Arc::new(Inner { dir, issuer, next: 0.into() }) }
    }

    /// The root's PEM file.
    pub fn path(&self) -> PathBuf {
        self.inner.dir.path().join("ca.pem")
    }

    /// A server certificate for these names and addresses.
    pub fn issue(&self, names: &[&str]) -> Issued {
        self.issue_flavour(names, Flavour::Server)
    }

    /// A certificate that is wrong in one way, or for another use.
    pub fn issue_flavour(&self, names: &[&str], flavour: Flavour) -> Issued {
        let (certificate, key) = self.make(names, flavour);
        let n = self.inner.next.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let issued = Issued {
            certificate: self.inner.dir.path().join(format!("{n}.pem")),
            key: self.inner.dir.path().join(format!("{n}.key")),
        };
        std::fs::write(&issued.certificate, certificate).unwrap();
        write_secret(&issued.key, key.as_bytes());
        issued
    }

    /// What a TLS server of the test needs; `alpn` in order of preference.
    pub fn server_config(&self, names: &[&str], alpn: &[&str]) -> Arc<rustls::ServerConfig> {
        self.server_config_flavour(names, alpn, Flavour::Server)
    }

    /// The same with a certificate of that flavour.
    pub fn server_config_flavour(&self, names: &[&str], alpn: &[&str], flavour: Flavour) -> Arc<rustls::ServerConfig> {
        let (certificate, key) = self.make(names, flavour);
        let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<Vec<_>, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let mut config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    /// What a TLS server of the test needs that refuses every client without a certificate of `clients`.
    pub fn server_config_for_clients(
        &self,
        names: &[&str],
        alpn: &[&str],
        clients: &Self,
    ) -> Arc<rustls::ServerConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(clients.inner.issuer.der().clone()).unwrap();
        let verifier = rustls::server::WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
        let (certificate, key) = self.make(names, Flavour::Server);
        let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<Vec<_>, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let builder = rustls::ServerConfig::builder().with_client_cert_verifier(verifier);
        let mut config = builder.with_single_cert(chain, key).unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    /// What a TLS client of the test needs to trust this authority alone.
    pub fn client_config(&self, alpn: &[&str]) -> Arc<rustls::ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.inner.issuer.der().clone()).unwrap();
        let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    fn make(&self, names: &[&str], flavour: Flavour) -> (String, String) {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let common_name = names.first().cloned().unwrap_or_default();
        let alternative = if flavour == Flavour::CommonNameOnly { Vec::new() } else { names };
        let mut params = CertificateParams::new(alternative).unwrap();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.extended_key_usages = vec![match flavour {
            Flavour::Client => ExtendedKeyUsagePurpose::ClientAuth,
            _ => ExtendedKeyUsagePurpose::ServerAuth,
        }];
        if flavour == Flavour::Expired {
            (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(2001, 1, 1));
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.inner.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

impl Default for TestCa {
    fn default() -> Self {
        Self::new()
    }
}

/// Sets the process's crypto provider; more than once is fine.
pub fn install_crypto() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// Writes a file that only we can read, as operators should.
pub fn write_secret(path: &Path, bytes: &[u8]) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, bytes).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}
