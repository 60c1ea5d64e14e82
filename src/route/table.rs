//! Finding the route of a request.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use http::Method;

use super::pattern::{HostPattern, PathPattern, parent};
use super::settings::Route;
use crate::web::path::{CanonicalPath, decoded, without_parameters};

/// Why routes make no table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// A request could take either.
    #[error("routes[{first}] and routes[{second}] are both for {host}, {path} and {methods}")]
    Duplicate {
        /// Place of the one.
        first: usize,
        /// Place of the other.
        second: usize,
        /// Their host.
        host: String,
        /// Their path.
        path: String,
        /// A method that both take, or "every method".
        methods: String,
    },
}

/// All routes, made for finding one.
///
/// The most specific host decides (exact, then wildcard, then any), then the longest path, exact before prefix. Only then
/// the method is looked at, and when it does not fit there is no route: `POST /admin` must never fall through
/// `/admin` to a public `/`.
#[derive(Clone, Debug, Default)]
pub struct Table {
    routes: Vec<Arc<Route>>,
    exact: HashMap<Box<str>, Paths>,
    wildcard: HashMap<Box<str>, Paths>,
    any: Paths,
}

/// Paths of one host pattern, the most specific first.
type Paths = Vec<Entry>;

/// A path and its routes, which differ in their methods.
#[derive(Clone, Debug)]
struct Entry {
    path: PathPattern,
    routes: Vec<Arc<Route>>,
}

impl Table {
    /// Sorts the routes in.
    ///
    /// # Errors
    ///
    /// When two routes are for the same host, path and method.
    pub fn new(routes: Vec<Route>) -> Result<Self, TableError> {
        let mut table = Self { routes: routes.into_iter().map(Arc::new).collect(), ..Self::default() };
        for route in &table.routes {
            let paths = match &route.host {
                HostPattern::Any => &mut table.any,
                HostPattern::Wildcard(domain) => table.wildcard.entry(domain.clone()).or_default(),
                HostPattern::Exact(host) => table.exact.entry(host.clone()).or_default(),
            };
            match paths.iter_mut().find(|entry| entry.path == route.path) {
                None => paths.push(Entry { path: route.path.clone(), routes: vec![Arc::clone(route)] }),
                Some(entry) => {
                    if let Some((other, methods)) =
                        entry.routes.iter().find_map(|other| Some((other, shared_methods(other, route)?)))
                    {
                        return Err(TableError::Duplicate {
                            first: other.index,
                            second: route.index,
                            host: route.host.to_string(),
                            path: route.path.to_string(),
                            methods,
                        });
                    }
                    entry.routes.push(Arc::clone(route));
                }
            }
        }
        let all = table.exact.values_mut().chain(table.wildcard.values_mut()).chain([&mut table.any]);
        for paths in all {
            paths.sort_by_key(|entry| std::cmp::Reverse(entry.path.specificity()));
        }
        Ok(table)
    }

    /// The route of a request, if it has one. `host` is in lower case and without a port.
    ///
    /// Applications differ in whether they decode a path, merge its slashes and drop `;parameters` before they choose what runs.
    /// Where those readings would take different routes there is none (HTTP-06): `/admin;x/users` is no way round the rules for
    /// `/admin`, and neither is `/%61dmin%40x` or an encoded slash that was let through, as in `/%2Fadmin`.
    #[must_use]
    pub fn find(&self, host: &str, path: &CanonicalPath, method: &Method) -> Option<&Arc<Route>> {
        let text = path.as_str();
        let entry = self.entry(host, |pattern| pattern.matches(text))?;
        if text.contains(['%', ';']) && !self.all_readings_take(entry, host, text) {
            return None;
        }
        entry.routes.iter().find(|route| route.methods.as_ref().is_none_or(|methods| methods.contains(method)))
    }

    /// All routes, in the order of the configuration.
    #[must_use]
    pub fn routes(&self) -> &[Arc<Route>] {
        &self.routes
    }

    /// The routes that requests at this host can take, in the order of the configuration.
    pub fn routes_for_host(&self, host: &str) -> impl Iterator<Item = &Arc<Route>> {
        self.routes.iter().filter(move |route| route.host.matches(host))
    }

    fn entry(&self, host: &str, matches: impl Fn(&PathPattern) -> bool) -> Option<&Entry> {
        let exact = self.exact.get(host);
        // To find a host's parent takes longer than all the rest, and most tables have no wildcard.
        let domain = if self.wildcard.is_empty() { None } else { parent(host) };
        let wildcard = domain.and_then(|domain| self.wildcard.get(domain));
        exact.into_iter().chain(wildcard).chain([&self.any]).flatten().find(|entry| matches(&entry.path))
    }

    fn all_readings_take(&self, entry: &Entry, host: &str, text: &str) -> bool {
        let plain = decoded(text);
        let takes = |text: &str| {
            self.entry(host, |pattern| pattern.matches_decoded(text)).is_some_and(|other| std::ptr::eq(other, entry))
        };
        // Only encoded slashes can make two of one: a canonical path has no empty segments.
        let takes_decoded = |text: &str| takes(text) && takes(&merged(text));
        if !takes_decoded(&plain) {
            return false;
        }
        let Cow::Owned(decoded_first) = without_parameters(&plain) else { return true };
        let stripped = without_parameters(text);
        self.entry(host, |pattern| pattern.matches(&stripped)).is_some_and(|other| std::ptr::eq(other, entry))
            && takes_decoded(&decoded(&stripped))
            && takes_decoded(&decoded_first)
    }
}

/// The path with every row of slashes made one, as many servers do after decoding.
fn merged(path: &str) -> Cow<'_, str> {
    if !path.contains("//") {
        return Cow::Borrowed(path);
    }
    let mut out = String::with_capacity(path.len());
    for character in path.chars() {
        if character != '/' || !out.ends_with('/') {
            out.push(character);
        }
    }
    Cow::Owned(out)
}

/// A method that both take.
fn shared_methods(one: &Route, other: &Route) -> Option<String> {
    match (&one.methods, &other.methods) {
        (None, None) => Some("every method".to_owned()),
        (None, Some(methods)) | (Some(methods), None) => methods.first().map(ToString::to_string),
        (Some(one), Some(other)) => one.iter().find(|method| other.contains(method)).map(ToString::to_string),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::route::{AccessMode, CachePolicy, CrossSite, EncodedSlash, Policy, SignedOut};

    fn route(index: usize, host: Option<&str>, path: &str, methods: &[&str]) -> Route {
        Route {
            index,
            host: HostPattern::parse(host).unwrap(),
            path: PathPattern::parse(path).unwrap(),
            methods: (!methods.is_empty()).then(|| methods.iter().map(|method| method.parse().unwrap()).collect()),
            upstream: "app".into(),
            access: AccessMode::Session,
            provider: Some("corp".into()),
            policy: Policy::default(),
            acr: Vec::new(),
            max_age: None,
            signed_out: SignedOut::Auto,
            cross_site: CrossSite::Refuse,
            cors: Vec::new(),
            passive: false,
            cache: CachePolicy::Private,
            security_headers: Vec::new(),
            encoded_slash: EncodedSlash::Refuse,
            body_bytes: None,
        }
    }

    fn table(routes: &[(Option<&str>, &str, &[&str])]) -> Table {
        let routes = routes.iter().enumerate().map(|(n, (host, path, methods))| route(n, *host, path, methods));
        Table::new(routes.collect()).unwrap()
    }

    fn find(table: &Table, host: &str, path: &str, method: &str) -> Option<usize> {
        let path = CanonicalPath::parse(path).unwrap();
        table.find(host, &path, &method.parse().unwrap()).map(|route| route.index)
    }

    /// HTTP-07, ID-14: path and method choose, whatever is in the query; what matches nothing has no route.
    #[test]
    fn public_rules_match_the_path_and_the_method() {
        let table = table(&[(None, "/", &[]), (None, "/public", &["GET"]), (None, "=/status", &[])]);
        for (path, method, index) in [
            ("/public", "GET", Some(1)),
            ("/public/a", "GET", Some(1)),
            ("/publicadmin", "GET", Some(0)),
            ("/adminpublic", "GET", Some(0)),
            ("/admin/public", "GET", Some(0)),
            ("/public/../admin", "GET", Some(0)),
            ("/PUBLIC", "GET", Some(0)),
            ("/status", "GET", Some(2)),
            ("/status/a", "GET", Some(0)),
            // No fall-through to the less specific path.
            ("/public", "POST", None),
            ("/public/a", "HEAD", None),
        ] {
            assert_eq!(find(&table, "a.example", path, method), index, "{method} {path}");
        }
        let query: http::uri::PathAndQuery = "/admin?x=/public".parse().unwrap();
        assert_eq!(table.find("a.example", &CanonicalPath::of(&query).unwrap(), &Method::GET).unwrap().index, 0);
        assert!(find(&Table::default(), "a.example", "/", "GET").is_none());
    }

    /// ID-14: a host is another's only by its own pattern, and where the most specific one takes no such method there is no route.
    #[test]
    fn the_most_specific_host_comes_first() {
        let table = table(&[
            (None, "/a/b/c", &[]),
            (Some("*.example.com"), "/a/b", &[]),
            (Some("app.example.com"), "/a", &["GET"]),
            (Some("app.example.com"), "/a", &["POST"]),
        ]);
        for (host, path, method, index) in [
            ("app.example.com", "/a/b/c", "GET", Some(2)),
            ("app.example.com", "/a/b/c", "POST", Some(3)),
            ("app.example.com", "/a/b/c", "PUT", None),
            ("other.example.com", "/a/b/c", "GET", Some(1)),
            ("other.example.com", "/a", "GET", None),
            ("example.com", "/a/b/c", "GET", Some(0)),
            ("deep.app.example.com", "/a/b/c", "GET", Some(0)),
        ] {
            assert_eq!(find(&table, host, path, method), index, "{host} {method} {path}");
        }
        let here: Vec<_> = table.routes_for_host("other.example.com").map(|route| route.index).collect();
        assert_eq!(here, [0, 1]);
        assert_eq!(table.routes().len(), 4);
    }

    /// HTTP-06: where applications could read a path as that of another route, there is none.
    #[test]
    fn readings_that_differ_have_no_route() {
        let table = table(&[
            (None, "/", &[]),
            (None, "/admin", &[]),
            (None, "/public", &[]),
            (None, "/me@home", &[]),
            (None, "/caf%C3%A9", &[]),
        ]);
        for (path, index) in [
            ("/a;b", Some(0)),
            ("/a%20b", Some(0)),
            ("/admin/a;b/c%20d", Some(1)),
            ("/caf%C3%A9/a", Some(4)),
            ("/me@home", Some(3)),
            ("/admin;x", None),
            ("/admin;x/users", None),
            ("/public;x/users", None),
            ("/admin%3Bx", None),
            ("/me%40home", None),
            ("/admin%2Fusers", None),
            ("/public%2Fusers", None),
            ("/public/a%2Fb", Some(2)),
            ("/%2Fadmin", None),
            ("/public%2F%2Fadmin", None),
            ("/public/https:%2F%2Fadmin", Some(2)),
            ("/%61dmin", Some(1)),
            ("/%2561dmin", Some(0)),
        ] {
            assert_eq!(find(&table, "a.example", path, "GET"), index, "{path}");
        }
    }

    #[test]
    fn two_routes_for_one_request_are_refused() {
        for (one, other, shared) in [
            (&[][..], &[][..], "every method"),
            (&["GET"], &[], "GET"),
            (&[], &["POST"], "POST"),
            (&["GET", "POST"], &["PUT", "POST"], "POST"),
        ] {
            let routes = vec![
                route(0, None, "/x", &[]),
                route(3, Some("a.example"), "/a", one),
                route(7, Some("A.example"), "/a", other),
            ];
            let error = Table::new(routes).unwrap_err().to_string();
            assert_eq!(error, format!("routes[3] and routes[7] are both for a.example, /a and {shared}"));
        }
        let apart = vec![
            route(0, None, "/a", &["GET"]),
            route(1, None, "/a", &["POST"]),
            route(2, None, "=/a", &[]),
            route(3, Some("a"), "/a", &[]),
        ];
        assert!(Table::new(apart).is_ok());
    }

    /// What the table must do, said slowly.
    fn naive(routes: &[Arc<Route>], host: &str, path: &str, method: &Method) -> Option<usize> {
        let rank = |route: &Route| match route.host {
            HostPattern::Exact(_) => 2,
            HostPattern::Wildcard(_) => 1,
            HostPattern::Any => 0,
        };
        let matching: Vec<_> =
            routes.iter().filter(|route| route.host.matches(host) && route.path.matches(path)).collect();
        let best = matching.iter().map(|route| (rank(route), route.path.specificity())).max()?;
        matching
            .into_iter()
            .filter(|route| (rank(route), route.path.specificity()) == best)
            .find(|route| route.methods.as_ref().is_none_or(|methods| methods.contains(method)))
            .map(|route| route.index)
    }

    proptest! {
        /// HTTP-07: the quick table and the slow words agree.
        #[test]
        fn agrees_with_the_slow_way(
            routes in prop::collection::vec((0..4usize, "=?(/[ab]{1,2}){1,3}", 0..4usize), 0..12),
            host in "(a|b)\\.(example|x\\.example)",
            path in "(/[ab]{1,2}){1,3}/?",
            post in any::<bool>(),
        ) {
            let hosts = [None, Some("a.example"), Some("*.example"), Some("*.x.example")];
            let methods: [&[&str]; 4] = [&[], &["GET"], &["POST"], &["GET", "POST"]];
            let mut kept: Vec<Route> = Vec::new();
            for (host, path, method) in routes {
                let mut trial = kept.clone();
                trial.push(route(kept.len(), hosts[host], &path, methods[method]));
                if Table::new(trial.clone()).is_ok() {
                    kept = trial;
                }
            }
            let table = Table::new(kept).unwrap();
            let method = if post { Method::POST } else { Method::GET };
            let canonical = CanonicalPath::parse(&path).unwrap();
            let found = table.find(&host, &canonical, &method).map(|route| route.index);
            prop_assert_eq!(found, naive(table.routes(), &host, &path, &method));
        }
    }
}
