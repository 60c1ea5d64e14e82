//! Listeners and the admin listener: addresses that do not collide, certificates that work.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use super::Check;
use crate::admin::AdminSettings;
use crate::config::file::{CertificateFile, FileConfig, ListenerFile};
use crate::server::{CertificateFiles, ListenAddress, ListenerSettings};
use crate::web::PublicOrigin;

impl Check<'_> {
    pub(super) fn listeners(&mut self, file: &FileConfig, origin: Option<&Arc<PublicOrigin>>) -> Vec<ListenerSettings> {
        let Some(written) = file.listeners.as_deref().filter(|listeners| !listeners.is_empty()) else {
            let address = ListenAddress::Tcp(SocketAddr::from(([0, 0, 0, 0], 8080)));
            return vec![ListenerSettings { address, certificates: Vec::new(), redirect_to_https: false }];
        };
        let mut listeners: Vec<ListenerSettings> = Vec::new();
        for (index, written) in written.iter().enumerate() {
            let Some(listener) = self.listener(&format!("listeners[{index}]"), written, origin) else { continue };
            if let Some(other) = listeners.iter().position(|other| collide(&other.address, &listener.address)) {
                let what = format!("This address is that of listeners[{other}] already.");
                self.problem(&format!("listeners[{index}].address"), what, "Give each listener a port of its own.");
            }
            listeners.push(listener);
        }
        if !listeners.is_empty()
            && listeners.iter().all(|listener| listener.redirect_to_https)
            && listeners.len() == written.len()
        {
            self.problem("listeners", "All listeners only redirect; none serves.", "Add one without `redirect`.");
        }
        listeners
    }

    fn listener(
        &mut self,
        key: &str,
        written: &ListenerFile,
        origin: Option<&Arc<PublicOrigin>>,
    ) -> Option<ListenerSettings> {
        let mut certificates = Vec::new();
        for (index, pair) in written.certificates.iter().flatten().enumerate() {
            certificates.extend(self.certificate(&format!("{key}.certificates[{index}]"), pair));
        }
        let redirect_to_https = written.redirect.is_some();
        if redirect_to_https {
            let key = format!("{key}.redirect");
            if written.certificates.as_ref().is_some_and(|pairs| !pairs.is_empty()) {
                self.problem(
                    &key,
                    "A listener that redirects to https speaks plain http; this one has certificates.",
                    "Take one of the two out.",
                );
            }
            if origin.is_some_and(|origin| !origin.https) {
                self.problem(
                    &key,
                    "There is no https to redirect to: `public_url` is http.",
                    "Take it out, or use https:// in `public_url`.",
                );
            }
        }
        let address_key = format!("{key}.address");
        let Some(address) = &written.address else {
            self.missing(&address_key, "Write an address and a port, such as \"0.0.0.0:8443\".");
            return None;
        };
        let address = match address.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') && path.len() <= UNIX_PATH && !path.contains('\0') => {
                ListenAddress::Unix(PathBuf::from(path))
            }
            Some(_) => {
                self.problem(
                    &address_key,
                    "This is not the path of a Unix socket.",
                    "Write an absolute path of up to 100 bytes, such as \"unix:/run/vestibule.sock\".",
                );
                return None;
            }
            None => ListenAddress::Tcp(self.socket_address(&address_key, address)?),
        };
        Some(ListenerSettings { address, certificates, redirect_to_https })
    }

    pub(super) fn certificate(&mut self, key: &str, written: &CertificateFile) -> Option<CertificateFiles> {
        if written.certificate.is_none() {
            self.missing(&format!("{key}.certificate"), "Name the PEM file of the certificate chain.");
        }
        if written.key.is_none() {
            self.missing(&format!("{key}.key"), "Name the PEM file of the private key.");
        }
        let files = CertificateFiles {
            certificate: self.path(written.certificate.as_ref()?),
            key: self.path(written.key.as_ref()?),
        };
        self.certificate_pair(key, &files);
        Some(files)
    }

    fn socket_address(&mut self, key: &str, text: &str) -> Option<SocketAddr> {
        let address = text.parse().ok();
        if address.is_none() {
            let fix = "Write an IP address and a port, such as \"0.0.0.0:8080\" or \"[::]:8080\".";
            self.problem(key, "This is not an address to listen on.", fix);
        }
        address
    }

    pub(super) fn admin(&mut self, file: &FileConfig, listeners: &[ListenerSettings]) -> AdminSettings {
        let written = file.admin.clone().unwrap_or_default();
        let key = "admin.address";
        let address = written.address.and_then(|address| self.socket_address(key, &address));
        let address = address.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 9901)));
        let own = ListenAddress::Tcp(address);
        if let Some(index) = listeners.iter().position(|listener| collide(&listener.address, &own)) {
            let what = format!("The admin listener's address, {address}, is that of the public listeners[{index}].");
            self.problem(key, what, "Give the admin listener a port of its own that strangers cannot reach.");
        }
        let token = written.token.and_then(|source| self.secret_text("admin.token", &source));
        if let Some(token) = &token
            && (token.expose().len() < ADMIN_TOKEN || !token.expose().bytes().all(|byte| byte.is_ascii_graphic()))
        {
            let what =
                format!("The token has fewer than {ADMIN_TOKEN} characters, or some that a header cannot carry.");
            self.problem("admin.token", what, "Make one with: openssl rand -hex 32");
        }
        AdminSettings { address, token, ready_without_store: written.ready_without_store.unwrap_or(false) }
    }
}

/// Whether two listeners cannot both have their address. `[::]` takes in IPv4 as well.
pub(super) fn collide(one: &ListenAddress, other: &ListenAddress) -> bool {
    match (one, other) {
        (ListenAddress::Tcp(one), ListenAddress::Tcp(other)) => {
            let covers = |one: &SocketAddr, other: &SocketAddr| {
                one.ip().is_unspecified() && (one.is_ipv6() || other.is_ipv4() || other.ip().is_unspecified())
            };
            one.port() != 0
                && one.port() == other.port()
                && (one.ip() == other.ip() || covers(one, other) || covers(other, one))
        }
        (ListenAddress::Unix(one), ListenAddress::Unix(other)) => one == other,
        _ => false,
    }
}

/// Characters of the shortest admin token.
const ADMIN_TOKEN: usize = 16;
/// Bytes of the longest path of a Unix socket: the system has 108 on Linux, 104 elsewhere.
const UNIX_PATH: usize = 100;
