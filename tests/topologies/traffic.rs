//! People who go on while something happens to the store.
//!
//! Must never accept more than "here it is" and "not now": whoever is signed in stays so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http::Method;
use tokio::task::JoinHandle;

use crate::support::{Ask, Endpoint, Page, Site};
use crate::world::{Person, World};

/// The people; they stop with [`Traffic::stop`].
pub(crate) struct Traffic {
    seen: Arc<Seen>,
    people: Vec<JoinHandle<()>>,
    logins: usize,
}

#[derive(Default)]
struct Seen {
    over: AtomicBool,
    served: AtomicUsize,
    unavailable: AtomicUsize,
}

impl Traffic {
    /// Everybody asks every replica in turn, as a script and as a page.
    pub(crate) fn start(world: &World, people: &[Person]) -> Self {
        let seen = Arc::new(Seen::default());
        let tasks = people.iter().map(|person| {
            let (seen, url) = (Arc::clone(&seen), world.replicas.url("/"));
            let ways = [0, 1].map(|replica| world.replicas[replica].through(&person.browser));
            tokio::spawn(async move {
                while !seen.over.load(Ordering::Relaxed) {
                    for way in &ways {
                        for ask in [Ask::fetch(Method::GET, url.clone()), Ask::navigation(url.clone())] {
                            match is_served(&way.ask(ask).await) {
                                true => &seen.served,
                                false => &seen.unavailable,
                            }
                            .fetch_add(1, Ordering::Relaxed);
                        }
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                }
            })
        });
        Self { people: tasks.collect(), seen, logins: world.op.count(Endpoint::Authorize) }
    }

    /// Nobody was sent to sign in, nobody was signed out. Answers how often there was service, and how often none.
    pub(crate) async fn stop(self, world: &World) -> (usize, usize) {
        self.seen.over.store(true, Ordering::Relaxed);
        for person in self.people {
            person.await.expect("somebody got another answer than 200 and 503");
        }
        assert_eq!(world.op.count(Endpoint::Authorize), self.logins, "somebody was sent to the provider");
        (self.seen.served.load(Ordering::Relaxed), self.seen.unavailable.load(Ordering::Relaxed))
    }
}

/// 200, or else a 503 that leaves everything as it is.
pub(crate) fn is_served(page: &Page) -> bool {
    assert!(matches!(page.status, 200 | 503), "{page:?}");
    if page.status == 503 {
        assert!(page.header("retry-after").is_some(), "{page:?}");
    }
    assert_eq!(page.set_cookies(), [""; 0], "{page:?}");
    assert!(page.location().is_none(), "{page:?}");
    page.status == 200
}
