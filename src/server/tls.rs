//! TLS towards the clients: versions, ALPN, and certificates that can be changed while connections are open.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, version};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use super::listener::ListenError;
use super::settings::CertificateFiles;

/// The certificates of a listener. New handshakes see a reload at once, open connections never.
pub struct Certificates {
    files: Vec<CertificateFiles>,
    keys: ArcSwap<Vec<Arc<CertifiedKey>>>,
    provider: Arc<CryptoProvider>,
}

impl Certificates {
    /// Reads all files.
    ///
    /// # Errors
    /// A file that cannot be read, holds no certificate or key, or a pair that does not belong together.
    pub fn load(files: Vec<CertificateFiles>) -> Result<Self, ListenError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let keys = files.iter().map(|pair| read(pair, &provider)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { files, keys: ArcSwap::from_pointee(keys), provider })
    }

    /// Reads all files again; when any of them is bad, everything stays as it was.
    ///
    /// # Errors
    /// As [`Certificates::load`].
    pub fn reload(&self) -> Result<(), ListenError> {
        let keys = self.files.iter().map(|pair| read(pair, &self.provider)).collect::<Result<Vec<_>, _>>()?;
        self.keys.store(Arc::new(keys));
        Ok(())
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let keys = self.keys.load();
        let named = hello.server_name().filter(|_| keys.len() > 1).and_then(|name| {
            let name = ServerName::try_from(name).ok()?;
            keys.iter().find(|key| {
                let parsed = key.cert.first().and_then(|cert| ParsedCertificate::try_from(cert).ok());
                parsed.is_some_and(|cert| verify_server_name(&cert, &name).is_ok())
            })
        });
        named.or_else(|| keys.first()).map(Arc::clone)
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("files", &self.files).finish_non_exhaustive()
    }
}

/// TLS 1.3 and 1.2, `h2` and `http/1.1` and no third (RFC 7301 section 3.2: no overlap is an alert), no early data.
///
/// # Errors
/// When the crypto library lacks a version.
pub fn server_config(certificates: Arc<Certificates>) -> Result<ServerConfig, ListenError> {
    let builder = ServerConfig::builder_with_provider(Arc::clone(&certificates.provider))
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .map_err(|error| ListenError::Tls(error.to_string()))?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // Resumption without a memory of clients; the key is this process's own and changes by itself.
    config.ticketer = aws_lc_rs::Ticketer::new().map_err(|error| ListenError::Tls(error.to_string()))?;
    Ok(config)
}

fn read(pair: &CertificateFiles, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, ListenError> {
    let bad = |path: &std::path::Path, why: String| ListenError::Certificate { path: path.to_owned(), why };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&pair.certificate)
        .and_then(Iterator::collect)
        .map_err(|error| bad(&pair.certificate, error.to_string()))?;
    if chain.is_empty() {
        return Err(bad(&pair.certificate, "it holds no PEM certificate".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(&pair.key).map_err(|error| bad(&pair.key, error.to_string()))?;
    CertifiedKey::from_der(chain, key, provider).map(Arc::new).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            bad(&pair.key, format!("the key does not belong to {}", pair.certificate.display()))
        }
        other => bad(&pair.certificate, other.to_string()),
    })
}
