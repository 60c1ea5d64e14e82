//! Whose certificates are believed when a provider is called: the system's roots and one configured file.
//!
//! Never turns verification off.

use std::path::Path;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::error::ProviderError;

/// A TLS client that trusts the system's roots and those in `ca`.
///
/// The system's store is taken as far as it can be read: one bad file in it must not keep the gateway from starting. The
/// configured file is the operator's word, so every mistake in it is an error.
pub(super) fn tls(ca: Option<&Path>) -> Result<ClientConfig, ProviderError> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        tracing::warn!(%error, "a certificate of the system's store cannot be read");
    }
    let (_, ignored) = roots.add_parsable_certificates(system.certs);
    if ignored > 0 {
        tracing::debug!(ignored, "certificates of the system's store that cannot be roots");
    }
    if let Some(path) = ca {
        add_file(&mut roots, path)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| ProviderError::Bug("no TLS protocol version"))?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), ProviderError> {
    let wrong = |what: &str| ProviderError::Settings(format!("{}: {what}", path.display()).into());
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(path)
        .map_err(|error| wrong(&format!("cannot be read ({error})")))?
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(&format!("is not a PEM file of certificates ({error})")))?;
    if certificates.is_empty() {
        return Err(wrong("holds no certificate"));
    }
    for certificate in certificates {
        roots
            .add(certificate)
            .map_err(|error| wrong(&format!("holds a certificate that cannot be a root ({error})")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn the_configured_file_must_hold_certificates() {
        assert!(tls(None).is_ok());
        assert!(tls(Some(Path::new("/nowhere/at/all.pem"))).unwrap_err().to_string().contains("/nowhere/at/all.pem"));
        let mut file = tempfile::NamedTempFile::new().unwrap();
        assert!(tls(Some(file.path())).unwrap_err().to_string().contains("no certificate"));
        let own = rcgen::generate_simple_self_signed(["id.example.com".to_owned()]).unwrap();
        file.write_all(own.cert.pem().as_bytes()).unwrap();
        assert!(tls(Some(file.path())).is_ok());
    }
}
