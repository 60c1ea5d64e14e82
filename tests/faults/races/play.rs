//! One race as it is run, and all that was asked and answered in it.
//!
//! Must never wait for anything that its plan does not name, so that things really happen at once.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{OnceCell, Semaphore};
use tokio::time::{sleep, timeout};

use super::journal::now;
use super::plan::{Activity, Ending, Plan, Start};
use super::world::{Asked, STALENESS, Seat, World};
use crate::support::codec::random_name;

/// What came of the other login.
pub(crate) struct Login {
    /// When the browser came back from the provider, and when it was answered.
    pub(crate) sent: u64,
    pub(crate) answered: u64,
    pub(crate) status: u16,
    pub(crate) seat: Option<Seat>,
}

/// A race that is over.
pub(crate) struct Played {
    pub(crate) plan: Plan,
    pub(crate) first: Seat,
    /// When the end was asked for, and when it was acknowledged.
    pub(crate) asked: u64,
    pub(crate) acknowledged: u64,
    /// Whether the provider had been asked for the other login's tokens before the end was asked for.
    pub(crate) login_was_begun: bool,
    /// When all was answered.
    pub(crate) over: u64,
    pub(crate) ending: u16,
    /// The answers to what used the session meanwhile.
    pub(crate) uses: Vec<u16>,
    /// The replicas' answers to the session's cookie right after the end, once `STALENESS` has passed if need be.
    pub(crate) after_end: Vec<u16>,
    pub(crate) login: Option<Login>,
    /// What the replicas answer to the other login's cookie when all is over, and whether its tokens can be renewed.
    pub(crate) login_opens: Vec<u16>,
    pub(crate) login_refreshes: Option<u16>,
    /// The same of a login that began when all was over.
    pub(crate) afterwards: Option<(Seat, Vec<u16>)>,
    events: Events,
}

impl Played {
    /// The sessions whose cookies somebody was given.
    pub(crate) fn held(&self) -> Vec<&str> {
        let seats = [
            Some(&self.first),
            self.login.as_ref().and_then(|login| login.seat.as_ref()),
            self.afterwards.as_ref().map(|(seat, _)| seat),
        ];
        seats.into_iter().flatten().map(|seat| seat.key.as_str()).collect()
    }

    /// What happened, in order, in milliseconds since the end was asked for.
    pub(crate) fn history(&self) -> String {
        let mut events = self.events.0.lock().unwrap().clone();
        events.sort();
        let mut text = String::new();
        for (at, what) in events {
            let _ = writeln!(text, "{:>9} {what}", since(at, self.asked));
        }
        text
    }
}

/// Milliseconds from one moment to another.
pub(crate) fn since(at: u64, start: u64) -> String {
    #[allow(clippy::cast_precision_loss, reason = "for people")]
    let millis = (at as f64 - start as f64) / 1000.0;
    format!("{millis:.2}")
}

#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<(u64, String)>>>);

impl Events {
    fn note(&self, what: impl Into<String>) -> u64 {
        let at = now();
        self.note_at(at, what);
        at
    }

    fn note_at(&self, at: u64, what: impl Into<String>) {
        self.0.lock().unwrap().push((at, what.into()));
    }
}

/// What the ending may wait for.
struct Signals {
    tokens: Arc<Asked>,
    answered: Semaphore,
}

/// The session that is to end.
pub(crate) struct Ready {
    plan: Plan,
    first: Seat,
    public_sid: String,
    since: Instant,
    shared: Arc<OnceCell<Ended>>,
}

/// An end that was asked for: when, when it was acknowledged, and with what status.
type Ended = (u64, u64, u16);

impl Ready {
    pub(crate) async fn new(world: &World, plan: Plan) -> Self {
        let first = world.sign_in(plan.begins_at, &plan.user).await;
        let since = Instant::now();
        let mut public_sid = String::new();
        if plan.ending == Ending::AdminSession {
            public_sid = world.public_sid(plan.begins_at, &first).await;
        }
        Self { plan, first, public_sid, since, shared: Arc::default() }
    }

    /// Has several races ended by one end: that of whichever asks first.
    pub(crate) fn share(all: &mut [Self]) {
        let shared = Arc::<OnceCell<Ended>>::default();
        for one in all {
            one.shared = Arc::clone(&shared);
        }
    }
}

/// Runs one race. Uses are noted only of sessions that are `noted` old.
pub(crate) async fn play(world: &World, ready: Ready, noted: Duration) -> Played {
    let Ready { plan, first, public_sid, since, shared } = ready;
    if plan.activity == Activity::Touch {
        sleep(noted.saturating_sub(since.elapsed())).await;
    }
    let events = Events::default();
    let login_browser = if plan.same_browser { first.browser.clone() } else { world.browser() };
    let login_sid = if plan.same_sid { first.provider_sid.clone() } else { random_name("provider-sid-") };
    let mut callback = None;
    if plan.activity == Activity::Login {
        callback = Some(world.begin(plan.login_at.0, &login_browser, &plan.user, &login_sid).await);
    }
    let signals = Signals { tokens: world.slow(&plan.user, plan.tokens_take), answered: Semaphore::new(0) };

    let uses = futures_util::future::join_all(plan.uses.iter().map(|(at, offset)| {
        let (plan, first, events, signals) = (&plan, &first, &events, &signals);
        async move {
            sleep(*offset).await;
            events.note(format!("{:?} at {at}", plan.activity));
            let status = match plan.activity {
                Activity::Refresh => world.refresh(*at, first).await,
                _ => world.ask(*at, first).await,
            };
            signals.answered.add_permits(1);
            events.note(format!("{:?} at {at}: {status}", plan.activity));
            status
        }
    }));
    let login = async {
        let callback = callback?;
        let at = plan.login_at.1;
        let sent = events.note(format!("callback at {at}"));
        let back = world.come_back(at, &login_browser, callback, &login_sid).await;
        let status = back.page.status;
        let key = back.seat.as_ref().map(|seat| seat.key.as_str());
        let answered = events.note(format!("callback at {at}: {status}, session {key:?}"));
        Some(Login { sent, answered, status, seat: back.seat })
    };
    let ending = async {
        let ended = shared.get_or_init(|| async {
            wait(plan.start, &signals).await;
            let asked = now();
            let status = end(world, &plan, &first, &public_sid).await;
            (asked, now(), status)
        });
        let (asked, acknowledged, status) = *ended.await;
        events.note_at(asked, format!("{:?} at {}", plan.ending, plan.ends_at));
        events.note_at(acknowledged, format!("{:?}: {status}", plan.ending));
        let after_end = refused(world, &first).await;
        events.note(format!("the ended session {} opens {after_end:?}", first.key));
        (asked, status, acknowledged, after_end)
    };
    let (uses, login, (asked, ending, acknowledged, after_end)) = tokio::join!(uses, login, ending);
    world.no_longer_slow(&plan.user);

    let (mut login_opens, mut login_refreshes) = (Vec::new(), None);
    if let Some(seat) = login.as_ref().and_then(|login| login.seat.as_ref()) {
        login_opens = world.ask_all(seat).await;
        events.note(format!("the other login's session opens {login_opens:?}"));
        if login_opens.iter().all(|status| *status == 200) {
            login_refreshes = Some(world.refresh(plan.ends_at, seat).await);
            events.note(format!("the other login's tokens are renewed: {login_refreshes:?}"));
        }
    }
    let mut afterwards = None;
    if let Some(at) = plan.afterwards {
        let seat = world.sign_in(at, &plan.user).await;
        let opens = world.ask_all(&seat).await;
        events.note(format!("a login afterwards at {at}, session {}, opens {opens:?}", seat.key));
        afterwards = Some((seat, opens));
    }
    Played {
        plan,
        first,
        asked,
        acknowledged,
        login_was_begun: signals.tokens.first.get().is_some_and(|first| *first < asked),
        over: now(),
        ending,
        uses,
        after_end,
        login,
        login_opens,
        login_refreshes,
        afterwards,
        events,
    }
}

async fn wait(start: Start, signals: &Signals) {
    // What is waited for may not come: then it has been long enough.
    let (signal, after) = match start {
        Start::After(after) => return sleep(after).await,
        Start::AtTokens(after) => (&signals.tokens.times, after),
        Start::AtAnswer(after) => (&signals.answered, after),
    };
    let _ = timeout(Duration::from_secs(1), signal.acquire()).await;
    sleep(after).await;
}

async fn end(world: &World, plan: &Plan, first: &Seat, public_sid: &str) -> u16 {
    let at = plan.ends_at;
    match plan.ending {
        Ending::Logout => world.log_out(at, first).await,
        Ending::BackchannelSub => world.send_logout_token(at, Some(&plan.user), None).await,
        Ending::BackchannelSid => world.send_logout_token(at, None, Some(&first.provider_sid)).await,
        Ending::Frame => world.show_frame(at, &first.provider_sid).await,
        Ending::AdminSession => world.end_by_operator(at, public_sid).await,
        Ending::AdminUser => world.revoke_user(at, &plan.user).await,
        Ending::Everybody => world.revoke_everybody(at).await,
    }
}

/// Asks all replicas at once, and again those that still let the session in, for as long as they may.
async fn refused(world: &World, seat: &Seat) -> Vec<u16> {
    let acknowledged = Instant::now();
    loop {
        // Before the answers: what is asked in time may be answered with the old state.
        let late = acknowledged.elapsed() > STALENESS;
        let answers = world.ask_all(seat).await;
        if late || answers.iter().all(|status| *status == 401) {
            return answers;
        }
        sleep(Duration::from_millis(20)).await;
    }
}
