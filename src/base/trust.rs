//! Whose certificates are believed when somebody is called: the system's roots, and those of a configured file.
//!
//! Never turns verification off.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

/// Why a TLS file cannot be used; names it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TrustError(pub String);

/// A TLS client that trusts [`roots`] and shows no certificate of its own.
///
/// # Errors
/// As for [`roots`].
pub fn client(ca: Option<&Path>) -> Result<ClientConfig, TrustError> {
    Ok(ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| TrustError(error.to_string()))?
        .with_root_certificates(roots(ca)?)
        .with_no_client_auth())
}

/// The system's roots and those in `ca`.
///
/// The system's store is taken as far as it can be read: one bad file in it must not keep the gateway from starting. The
/// configured file is the operator's word, so every mistake in it is an error.
///
/// # Errors
/// When `ca` cannot be read, or holds something else than certificates, or none.
pub fn roots(ca: Option<&Path>) -> Result<RootCertStore, TrustError> {
    let mut roots = system().clone();
    let Some(path) = ca else { return Ok(roots) };
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| {
            TrustError(format!("{}: holds a certificate that cannot be a root ({error})", path.display()))
        })?;
    }
    Ok(roots)
}

/// All certificates of a PEM file, of which there is one at least.
///
/// # Errors
/// When there is none, or the file cannot be read.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let wrong = |what: &str| TrustError(format!("{}: {what}", path.display()));
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(|error| wrong(&format!("cannot be read ({error})")))?
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(&format!("is not a PEM file of certificates ({error})")))?;
    if certificates.is_empty() { Err(wrong("holds no certificate")) } else { Ok(certificates) }
}

/// Read once: there are many, and they change with the system only.
fn system() -> &'static RootCertStore {
    static ROOTS: OnceLock<RootCertStore> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        let system = rustls_native_certs::load_native_certs();
        for error in &system.errors {
            tracing::warn!(%error, "a certificate of the system's store cannot be read");
        }
        let (_, ignored) = roots.add_parsable_certificates(system.certs);
        if ignored > 0 {
            tracing::debug!(ignored, "certificates of the system's store that cannot be roots");
        }
        roots
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn the_configured_file_must_hold_certificates() {
        assert!(client(None).is_ok());
        assert!(
            client(Some(Path::new("/nowhere/at/all.pem"))).unwrap_err().to_string().contains("/nowhere/at/all.pem")
        );
        let mut file = tempfile::NamedTempFile::new().unwrap();
        assert!(client(Some(file.path())).unwrap_err().to_string().contains("no certificate"));
        let own = rcgen::generate_simple_self_signed(["id.example.com".to_owned()]).unwrap();
        file.write_all(own.cert.pem().as_bytes()).unwrap();
        assert!(client(Some(file.path())).is_ok());
    }
}
