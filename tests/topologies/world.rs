//! Two replicas of the gateway on whatever store, and the accounts that the documentation names.
//!
//! Must never look into a replica: what it knows shows in what it answers.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::json;

use crate::support::redis::Setup;
use crate::support::{Ask, BadOp, Browser, ConfigBuilder, Echo, Page, Redis, Replicas, Site, eventually, sign_in};

/// The default of `session.near_cache.staleness`, and what a busy machine adds.
pub(crate) const STALENESS: Duration = Duration::from_secs(2);
pub(crate) const SLACK: Duration = Duration::from_millis(1500);
/// Long enough for anything that is going to happen.
pub(crate) const LONG: Duration = Duration::from_secs(30);

pub(crate) struct World {
    pub(crate) op: BadOp,
    _echo: Echo,
    pub(crate) replicas: Replicas,
}

/// Somebody who is signed in.
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) browser: Browser,
    cookies: String,
}

impl World {
    pub(crate) async fn start(store: &str) -> Self {
        Self::with(store, |config| config).await
    }

    /// With what `change` adds.
    pub(crate) async fn with(store: &str, change: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> Self {
        let (op, echo) = (BadOp::start().await, Echo::start().await);
        let replicas = Replicas::start(change(ConfigBuilder::usual(&op, &echo).store(store)), 2).await;
        let world = Self { op, _echo: echo, replicas };
        for replica in [0, 1] {
            eventually("a ready gateway", LONG, || async { (world.readyz(replica).await == 200).then_some(()) }).await;
        }
        world
    }

    async fn readyz(&self, replica: usize) -> u16 {
        let url = format!("{}/readyz", self.replicas[replica].admin_url());
        Browser::new().ask(Ask::plain(Method::GET, url)).await.status
    }

    /// Somebody new signs in at a replica.
    pub(crate) async fn person(&self, name: &str, replica: usize) -> Person {
        self.op.script(|script| {
            script.user(name).new_sid_each_time();
        });
        let browser = self.replicas[replica].browser();
        sign_in(&browser, &self.replicas, "/").await;
        let cookies: Vec<_> =
            browser.cookies().iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        Person { name: name.to_owned(), browser, cookies: cookies.join("; ") }
    }

    pub(crate) async fn people(&self, number: usize) -> Vec<Person> {
        let mut people = Vec::new();
        for n in 0..number {
            people.push(self.person(&format!("person{n}"), n % 2).await);
        }
        people
    }

    /// What a script of that person gets from one replica, with the cookie from the sign-in, whatever became of the jar.
    pub(crate) async fn ask(&self, replica: usize, person: &Person) -> Page {
        let ask = Ask::fetch(Method::GET, self.replicas.url("/")).header("cookie", &person.cookies);
        self.replicas[replica].browser().ask(ask).await
    }

    pub(crate) async fn refresh(&self, replica: usize, person: &Person) -> Page {
        let ask = Ask::fetch(Method::POST, self.replicas.url("/oauth2/session/refresh"));
        self.replicas[replica].through(&person.browser).ask(ask).await
    }

    /// Ends everything of a person, by way of one replica.
    pub(crate) async fn revoke(&self, replica: usize, person: &Person) -> Page {
        let who = json!({"provider": "corp", "sub": person.name});
        self.replicas[replica].admin("POST", "/api/revocations", Some(&who)).await
    }

    /// Waits until both replicas refuse a person, no longer than the bound from now, and asks once more.
    pub(crate) async fn refused_everywhere(&self, person: &Person) {
        let since = Instant::now();
        for replica in [0, 1] {
            let limit = STALENESS.saturating_sub(since.elapsed()) + SLACK;
            eventually("a refusal of a session that has ended", limit, || async {
                let status = self.ask(replica, person).await.status;
                assert!(matches!(status, 200 | 401 | 503), "{status}");
                (status == 401).then_some(())
            })
            .await;
        }
        for replica in [0, 1] {
            assert_eq!(self.ask(replica, person).await.status, 401, "refused once, and then let in");
        }
    }

    /// Waits until everybody is served everywhere.
    pub(crate) async fn all_served(&self, people: &[Person], limit: Duration) {
        for person in people {
            for replica in [0, 1] {
                eventually("service", limit, || async {
                    let page = self.ask(replica, person).await;
                    assert!(matches!(page.status, 200 | 503), "{}: {page:?}", person.name);
                    (page.status == 200).then_some(())
                })
                .await;
            }
        }
    }

    /// Since when the near cache of a replica has not been confirmed.
    pub(crate) async fn confirmed_age(&self, replica: usize) -> Option<Duration> {
        const NAME: &str = "vestibule_near_cache_confirmed_age_milliseconds";
        let metrics = self.replicas[replica].metrics().await;
        metrics.has(NAME).then(|| Duration::from_secs_f64(metrics.sum(NAME, &[]) / 1000.0))
    }

    /// Waits until the near caches of both replicas may be trusted.
    pub(crate) async fn near(&self, limit: Duration) {
        for replica in [0, 1] {
            eventually("a near cache that is confirmed", limit, || async {
                self.confirmed_age(replica).await.filter(|age| *age < STALENESS)
            })
            .await;
        }
    }
}

/// A line of docs/operations.md behind these words.
fn documented(begin: &str) -> &'static str {
    let lines = include_str!("../../docs/operations.md").lines();
    let mut found = lines.filter_map(|line| line.strip_prefix(begin));
    found.next().unwrap_or_else(|| panic!("no line in the documentation begins with {begin:?}"))
}

/// What stands before a remark.
fn rights(line: &str) -> &str {
    line.split('#').next().unwrap_or_default().trim()
}

/// The rights of the documented account, with those that `more` adds ("behind Sentinel", "in a cluster", …).
pub(crate) fn documented_rights(more: &[&str]) -> String {
    let mut all = rights(documented("ACL SETUSER vestibule on >… ")).to_owned();
    for remark in more {
        let lines = include_str!("../../docs/operations.md").lines();
        let mut added = lines.filter_map(|line| line.strip_prefix("ACL SETUSER vestibule +"));
        let line = added.find(|line| line.ends_with(&format!("# {remark}")));
        all = format!("{all} +{}", rights(line.unwrap_or_else(|| panic!("the documentation adds nothing {remark}"))));
    }
    all
}

/// The rights of the account at the sentinels.
pub(crate) fn sentinel_rights() -> &'static str {
    rights(documented("ACL SETUSER watcher on >… "))
}

pub(crate) fn single() -> Setup {
    Redis::setup().user("gateway", "pass-word", &documented_rights(&[]))
}

pub(crate) fn behind_sentinel() -> Setup {
    let rights = documented_rights(&["with near_cache.replicas", "behind Sentinel"]);
    Redis::setup().user("gateway", "pass-word", &rights)
}

pub(crate) fn in_cluster() -> Setup {
    Redis::setup().user("gateway", "pass-word", &documented_rights(&["with near_cache.replicas", "in a cluster"]))
}

/// What a sentinel's account adds to the URL of [`crate::support::redis::Sentinel`].
pub(crate) const AS_WATCHED: &str = "&sentinelUsername=watched&sentinelPassword=watch-word";

/// The sentinels' account.
pub(crate) fn watched() -> Option<(&'static str, &'static str)> {
    Some(("watch-word", sentinel_rights()))
}
