//! Whom we trust to be an application, and how we show it who we are.

use std::fmt::Display;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::{AlertDescription, ClientConfig, version};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;

use super::settings::UpstreamSettings;
use crate::base::trust;

/// RFC 9325: TLS 1.3 and 1.2, the name checked, the system's roots and those of `ca`; our certificate where there is one.
pub(super) fn client_config(settings: &UpstreamSettings) -> Result<ClientConfig, String> {
    let roots = trust::roots(settings.ca.as_deref()).map_err(|error| error.to_string())?;
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_protocol_versions(&[&version::TLS13, &version::TLS12]);
    let builder = builder.map_err(|error| error.to_string())?.with_root_certificates(roots);
    let Some(own) = &settings.client_certificate else { return Ok(builder.with_no_client_auth()) };
    let chain = trust::certificates(&own.certificate).map_err(|error| error.to_string())?;
    let key = PrivateKeyDer::from_pem_file(&own.key).map_err(|error| cannot_use(&own.key, &error))?;
    builder.with_client_auth_cert(chain, key).map_err(|error| cannot_use(&own.key, &error))
}

/// Whether a server that was offered HTTP/1.1 alone wants another protocol (RFC 7301 section 3.2).
pub(super) fn speaks_http2_only(error: &io::Error) -> bool {
    let error = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    matches!(error, Some(rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)))
}

fn cannot_use(path: &Path, error: &dyn Display) -> String {
    format!("cannot use {}: {error}", path.display())
}
