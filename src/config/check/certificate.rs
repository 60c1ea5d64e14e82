//! PEM files: read, understood, and tried before anything is started with them.

use std::path::Path;

use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::Check;
use crate::server::CertificateFiles;

impl Check<'_> {
    /// A certificate chain and the key that belongs to it.
    pub(super) fn certificate_pair(&mut self, key: &str, files: &CertificateFiles) {
        let chain = self.certificates(&format!("{key}.certificate"), &files.certificate);
        let key_key = format!("{key}.key");
        let Some(contents) = self.secret_file(&key_key, &files.key) else { return };
        let Ok(private) = PrivateKeyDer::from_pem_slice(contents.bytes.expose()) else {
            self.problem(
                &key_key,
                format!("There is no private key in {} that can be read.", files.key.display()),
                UNENCRYPTED,
            );
            return;
        };
        let Some(chain) = chain else { return };
        match CertifiedKey::from_der(chain, private, &aws_lc_rs::default_provider()) {
            Ok(_) => {}
            Err(rustls::Error::InconsistentKeys(_)) => {
                self.problem(
                    &key_key,
                    "This key is not that of the certificate.",
                    "Name the two files that belong together.",
                );
            }
            Err(_) => self.problem(&key_key, "This certificate and key cannot be used for TLS.", ""),
        }
    }

    /// A file of roots that are trusted as well as the system's.
    pub(super) fn roots(&mut self, key: &str, path: &Path) {
        let Some(certificates) = self.certificates(key, path) else { return };
        let mut roots = RootCertStore::empty();
        if certificates.into_iter().any(|certificate| roots.add(certificate).is_err()) {
            self.problem(key, format!("A certificate in {} is not one that can be trusted.", path.display()), "");
        }
    }

    fn certificates(&mut self, key: &str, path: &Path) -> Option<Vec<CertificateDer<'static>>> {
        let contents = self.file(key, path)?;
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(contents.bytes.expose()).collect();
        match certificates {
            Ok(certificates) if !certificates.is_empty() => Some(certificates),
            _ => {
                let what = format!("There is no certificate in {} that can be read.", path.display());
                self.problem(key, what, "It has to be a PEM file with -----BEGIN CERTIFICATE-----.");
                None
            }
        }
    }
}

const UNENCRYPTED: &str = "It has to be a PEM file with a private key (PKCS#8, SEC1 or PKCS#1) that is not encrypted.";
