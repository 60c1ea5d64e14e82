//! From the configured URL to the client's configuration.
//!
//! Nothing of the URL is ever quoted: it may hold a password.

use std::path::Path;
use std::sync::Arc;

use fred::types::config::{Config, ServerConfig, TlsConfig};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use url::Url;

use crate::base::Secret;

/// Why a store's URL cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// It is not a URL that we understand.
    #[error("the session store's URL cannot be used: {0}")]
    Url(&'static str),
    /// There is nothing to trust.
    #[error("the session store's certificate cannot be checked: {0}")]
    Trust(&'static str),
}

impl AddressError {
    /// The reason alone, where the rest is said already.
    #[must_use]
    pub fn why(&self) -> &'static str {
        match self {
            Self::Url(why) | Self::Trust(why) => why,
        }
    }
}

/// Reads `redis:`, `redis-sentinel:`, `redis-cluster:` and their `rediss` forms with TLS, and `redis+unix:`.
///
/// Beyond what the client reads, `ca=/path.pem` names roots to trust as well as the system's, and `db=1` the database behind
/// a Unix socket, whose URL has its path taken.
pub(super) fn read(url: &Secret<String>) -> Result<Config, AddressError> {
    let (parsed, tls, mut config) = parse(url)?;
    if tls {
        let ca = parameter(&parsed, "ca");
        config.tls = Some(TlsConfig::from(client_config(ca.as_deref().map(Path::new))?));
    }
    Ok(config)
}

/// Whether a URL names a store. Looks at nothing else: not whether there is one, nor at files.
pub(super) fn check(url: &Secret<String>) -> Result<(), AddressError> {
    parse(url).map(drop)
}

fn parse(url: &Secret<String>) -> Result<(Url, bool, Config), AddressError> {
    let parsed = Url::parse(url.expose()).map_err(|_| AddressError::Url("it is no URL"))?;
    let scheme = parsed.scheme();
    // The client would load the system's roots by itself, and fail when any one of them is bad.
    let (tls, plain) = match scheme.strip_prefix("rediss") {
        Some(_) => (true, Secret::new(url.expose().replacen("rediss", "redis", 1))),
        None => (false, url.clone()),
    };
    match scheme {
        "redis" | "rediss" => known_parameters(&parsed, &["ca"])?,
        "redis+unix" => known_parameters(&parsed, &["ca", "db"])?,
        "redis-sentinel" | "rediss-sentinel" => check_sentinel(&parsed)?,
        "redis-cluster" | "rediss-cluster" => check_cluster(&parsed)?,
        _ => {
            return Err(AddressError::Url(
                "its scheme is none of redis, rediss, their -sentinel and -cluster, redis+unix",
            ));
        }
    }
    if !parsed.username().is_empty() && parsed.password().is_none() {
        return Err(AddressError::Url("it names a user and no password"));
    }
    let mut config = Config::from_url(plain.expose())
        .map_err(|_| AddressError::Url("host, port, database or parameters are wrong"))?;
    // The client says hello in a line of words, so these would end the word, or the line.
    let unspeakable =
        |text: &String| text.contains(|one: char| one.is_whitespace() || one.is_control() || "\"'\\".contains(one));
    if config.username.iter().chain(&config.password).any(unspeakable) {
        return Err(AddressError::Url(
            "its user or password holds a space, a quote, a backslash or a control character",
        ));
    }
    if let ServerConfig::Unix { path } = &config.server {
        if path.as_os_str().is_empty() {
            return Err(AddressError::Url("it names no socket"));
        }
        if let Some(database) = parameter(&parsed, "db") {
            config.database = Some(database.parse().map_err(|_| AddressError::Url("its database is no number"))?);
        }
    }
    Ok((parsed, tls, config))
}

fn check_sentinel(url: &Url) -> Result<(), AddressError> {
    known_parameters(url, &["ca", "node", "sentinelServiceName", "sentinelUsername", "sentinelPassword"])?;
    check_hosts(url)?;
    if parameter(url, "sentinelServiceName").is_none_or(|name| name.is_empty()) {
        return Err(AddressError::Url("it has no sentinelServiceName, which is what the sentinels call the primary"));
    }
    if parameter(url, "sentinelUsername").is_some() && parameter(url, "sentinelPassword").is_none() {
        return Err(AddressError::Url("it has a sentinelUsername and no sentinelPassword"));
    }
    Ok(())
}

fn check_cluster(url: &Url) -> Result<(), AddressError> {
    known_parameters(url, &["ca", "node"])?;
    check_hosts(url)?;
    match url.path() {
        "" | "/" | "/0" => Ok(()),
        _ => Err(AddressError::Url("it names a database, and a cluster has none but 0")),
    }
}

/// One that is misspelt would else say nothing.
fn known_parameters(url: &Url, known: &[&str]) -> Result<(), AddressError> {
    match url.query_pairs().all(|(name, _)| known.contains(&name.as_ref())) {
        true => Ok(()),
        false => Err(AddressError::Url("it has a parameter that means nothing to such a store")),
    }
}

fn check_hosts(url: &Url) -> Result<(), AddressError> {
    if url.host_str().is_none_or(str::is_empty) {
        return Err(AddressError::Url("it names no host"));
    }
    let is_place = |node: &str| {
        node.split_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0))
    };
    match nodes(url).all(|node| is_place(&node)) {
        true => Ok(()),
        false => Err(AddressError::Url("a node in it is not host:port")),
    }
}

/// The further places that a URL names.
fn nodes(url: &Url) -> impl Iterator<Item = String> + '_ {
    url.query_pairs().filter(|(name, _)| name == "node").map(|(_, value)| value.into_owned())
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

fn client_config(ca: Option<&Path>) -> Result<ClientConfig, AddressError> {
    let mut roots = RootCertStore::empty();
    // One bad file among the system's roots is no reason not to start.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(ca) = ca {
        let own = CertificateDer::pem_file_iter(ca)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|_| AddressError::Trust("the CA file cannot be read"))?;
        if own.is_empty() || roots.add_parsable_certificates(own).0 == 0 {
            return Err(AddressError::Trust("the CA file holds no certificate"));
        }
    }
    if roots.is_empty() {
        return Err(AddressError::Trust("there are no trusted roots"));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| AddressError::Trust("no protocol version is left"))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: &str) -> Result<Config, AddressError> {
        read(&Secret::new(url.to_owned()))
    }

    #[test]
    fn user_password_and_database_are_read() {
        let config = address("redis://app:p%40ss@redis.example:6380/3").unwrap();
        assert_eq!(config.username.as_deref(), Some("app"));
        assert_eq!(config.password.as_deref(), Some("p@ss"));
        assert_eq!(config.database, Some(3));
        assert!(config.tls.is_none());
        let account = address("redis+unix://app:p%40ss@localhost/run/redis.sock").unwrap();
        assert_eq!((account.username.as_deref(), account.password.as_deref()), (Some("app"), Some("p@ss")));
        let socket = address("redis+unix:///run/redis.sock?db=2").unwrap();
        assert!(matches!(&socket.server, ServerConfig::Unix { path } if path == Path::new("/run/redis.sock")));
        assert_eq!(socket.database, Some(2));
    }

    #[test]
    fn topologies_are_read_by_scheme() {
        let sentinel = address("redis-sentinel://h1:26379/0?node=h2:26379&sentinelServiceName=main").unwrap();
        assert!(matches!(&sentinel.server, ServerConfig::Sentinel { hosts, .. } if hosts.len() == 2));
        let cluster = address("redis-cluster://h1:7000?node=h2:7001").unwrap();
        assert!(matches!(&cluster.server, ServerConfig::Clustered { hosts, .. } if hosts.len() == 2));
    }

    /// A parameter that is misspelt, or a database that is not there, is no store of another kind.
    #[test]
    fn what_a_topology_does_not_know_is_refused() {
        for (url, why) in [
            ("redis-sentinel://h:26379", "sentinelServiceName"),
            ("redis-sentinel://h?sentinelServiceName=", "sentinelServiceName"),
            ("redis-sentinel://h?sentinelMasterName=main", "means nothing"),
            ("redis-sentinel://h?sentinelServiceName=main&sentinelUsername=u", "sentinelPassword"),
            ("redis-sentinel://h?sentinelServiceName=main&node=h2", "host:port"),
            ("redis-sentinel://h/x?sentinelServiceName=main", "database"),
            ("redis-sentinel:///0?sentinelServiceName=main", "no host"),
            ("redis-cluster://h:7000/3", "none but 0"),
            ("redis-cluster://h:7000?node=h2:0", "host:port"),
            ("redis-cluster://h:7000?sentinelServiceName=main", "means nothing"),
            ("redis-cluster://?node=h2:7000", "no host"),
            ("redis://h?node=h2:6379", "means nothing"),
            ("redis://user@h", "no password"),
        ] {
            let said = check(&Secret::new(url.to_owned())).unwrap_err().to_string();
            assert!(said.contains(why), "{url}: {said}");
        }
        let secured =
            "rediss-sentinel://u:p@h/2?sentinelServiceName=main&node=h2:1&sentinelUsername=a&sentinelPassword=b";
        for url in [secured, "rediss-cluster://u:p@h:1/0?node=h2:1&ca=/c.pem", "redis+unix:///run/redis.sock?db=2"] {
            check(&Secret::new(url.to_owned())).unwrap();
        }
    }

    /// TLS-09: `rediss` means TLS, and the certificate is checked.
    #[test]
    fn rediss_means_tls() {
        let key = rcgen::generate_simple_self_signed(["redis.example".to_owned()]).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), key.cert.pem()).unwrap();
        let url = format!("rediss://redis.example?ca={}", file.path().display());
        assert!(address(&url).unwrap().tls.is_some());
        assert!(matches!(address("rediss://redis.example?ca=/nowhere.pem"), Err(AddressError::Trust(_))));
    }

    /// The client would send `HELLO 3 AUTH app a b` for the password `a b`.
    #[test]
    fn what_the_client_cannot_say_is_refused_at_the_start() {
        for password in ["a%20b", "a%22b", "a%27b", "a%0D%0AFLUSHALL", "a%5Cb"] {
            assert!(address(&format!("redis://app:{password}@h")).is_err(), "{password}");
        }
        assert!(address("redis://app:a%2Fb%25%C3%A9@h").is_ok());
    }

    /// OPS-01: what is wrong with a URL is said without the URL.
    #[test]
    fn errors_do_not_quote_the_url() {
        for url in ["redis://u:canary@h:port", "http://u:canary@h", "canary", "redis://u:canary@h/not-a-number"] {
            let said = address(url).unwrap_err().to_string();
            assert!(!said.contains("canary"), "{said}");
        }
    }
}
