//! What people, providers and operators do, drawn from a seed.
//!
//! Must never wait for good weather: who is refused goes on with something else.

use std::time::Instant;

use http::Method;
use serde_json::json;

use crate::history::{Return, Visit, Whom};
use crate::support::codec::{form, random_name};
use crate::support::{Ask, Browser};
use crate::weather::Dice;
use crate::world::{World, cookie_of};

/// Values that no application may ever see: what a client writes into our headers.
pub(crate) const FORGED: &str = "forged-by-a-client";

/// One person, and who acts on their behalf.
pub(crate) struct Person {
    name: String,
    dice: Dice,
    /// Her sessions, also those that have ended.
    sessions: Vec<usize>,
    /// Logout tokens that were acknowledged.
    spent: Vec<String>,
    acts: usize,
    /// Nobody ever ends her sessions, herself included.
    quiet: bool,
}

impl Person {
    pub(crate) fn new(seed: u64, number: usize) -> Self {
        let dice = Dice::new(seed.wrapping_mul(0x1_0000_0001).wrapping_add(number as u64));
        Self {
            name: format!("person-{number}"),
            dice,
            sessions: Vec::new(),
            spent: Vec::new(),
            acts: 0,
            quiet: number.is_multiple_of(3),
        }
    }

    /// Does one thing after the other until then.
    pub(crate) async fn live(mut self, world: &World, until: Instant) {
        while Instant::now() < until {
            self.acts += 1;
            self.act(world).await;
        }
    }

    async fn act(&mut self, world: &World) {
        let replica = self.dice.below(2);
        // The newest, or any that there ever was.
        let any =
            if self.dice.below(3) == 0 { self.dice.below(self.sessions.len().max(1)) } else { self.sessions.len() };
        let session = self.sessions.get(any).or(self.sessions.last()).copied();
        let act = self.dice.below(if self.quiet { 82 } else { 100 });
        match (act, session) {
            (0..10, _) | (_, None) => self.sign_in(world).await,
            (10..55, Some(session)) => self.visit(world, replica, session).await,
            (55..70, Some(session)) => self.try_what_may_not_be(world, replica, session).await,
            (70..82, Some(session)) => self.renew(world, session).await,
            (82..88, Some(session)) => {
                let line = world.history().sessions[session].line.clone();
                let ask = world.with_cookie(Method::POST, "/oauth2/logout", &line);
                world.end(Whom::Session(session), replica, ask).await;
            }
            (88..94, Some(session)) => self.signed_out_by_the_provider(world, session).await,
            (94..97, Some(_)) => self.revoked(world, replica).await,
            (_, Some(_)) => self.replay(world, replica).await,
        }
    }

    /// A login, begun at one replica and finished at any, or at both at once, and once more when nobody could.
    async fn sign_in(&mut self, world: &World) {
        let (browser, sid) = (world.replicas[0].browser(), random_name("provider-sid-"));
        let Some(callback) = world.begin(self.dice.below(2), &browser, &self.name, &sid).await else { return };
        let state = callback.query_pairs().find(|(name, _)| name == "state").expect("a state").1.into_owned();
        let mut attempt = Return { state, statuses: Vec::new(), opened: 0 };
        for _ in 0..3 {
            let at: Vec<usize> = if self.dice.below(2) == 0 { vec![0, 1] } else { vec![self.dice.below(2)] };
            let sent = Instant::now();
            let come_back = at.iter().map(|replica| {
                let browser: Browser = world.replicas[*replica].through(&browser);
                let ask = Ask::navigation(callback.clone());
                async move { browser.attempt(ask).await }
            });
            for page in futures_util::future::join_all(come_back).await.into_iter().flatten() {
                attempt.statuses.push(page.status);
                if let Some(line) = cookie_of(&page) {
                    attempt.opened += 1;
                    self.sessions.push(world.let_in(&self.name, line, &sid, sent));
                }
            }
            // What came of a 503 may be tried again; everything else is an answer.
            if attempt.opened > 0 || !attempt.statuses.iter().all(|status| *status == 503) {
                break;
            }
        }
        world.history().returns.push(attempt);
    }

    /// A request with forged headers in every spelling.
    async fn visit(&mut self, world: &World, replica: usize, session: usize) {
        let (name, line) = (self.fresh("visit"), world.history().sessions[session].line.clone());
        let ask = forging(world.with_cookie(Method::GET, &format!("/page/{name}"), &line));
        look(world, (replica, name, Some(session), "a visit"), ask).await;
    }

    /// Requests that never reach an application.
    async fn try_what_may_not_be(&mut self, world: &World, replica: usize, session: usize) {
        let line = world.history().sessions[session].line.clone();
        let name = self.fresh("never");
        let page = format!("/page/{name}");
        let (what, ask) = match self.dice.below(6) {
            0 => ("nobody's", Ask::fetch(Method::GET, world.url(&page))),
            1 => {
                let guess = random_name("");
                ("a guess", world.with_cookie(Method::GET, &page, &format!("vestibule={guess}AAAAAAAAAAA")))
            }
            2 => ("half a cookie", world.with_cookie(Method::GET, &page, &line[..line.len() - 4])),
            3 => ("without a right", world.with_cookie(Method::GET, &format!("/root/{name}"), &line)),
            4 => {
                let page = format!("/%72oot/{name}");
                ("without a right, by another spelling", world.with_cookie(Method::GET, &page, &line))
            }
            _ => {
                let ask = world.with_cookie(Method::POST, &page, &line).caused_by("https://elsewhere.example");
                ("from another site", ask)
            }
        };
        look(world, (replica, name, None, what), forging(ask)).await;
    }

    /// Tokens are renewed, at one replica or at both at once.
    async fn renew(&mut self, world: &World, session: usize) {
        let line = {
            let mut history = world.history();
            history.sessions[session].renewed = true;
            history.sessions[session].line.clone()
        };
        let at: Vec<usize> = if self.dice.below(2) == 0 { vec![0, 1, 0] } else { vec![self.dice.below(2)] };
        let asked = at
            .into_iter()
            .map(|replica| world.ask(replica, world.with_cookie(Method::POST, "/oauth2/session/refresh", &line)));
        for page in futures_util::future::join_all(asked).await.into_iter().flatten() {
            world.history().renewals.push((session, page.status));
        }
    }

    /// A logout token, which the network delivers at both replicas at once. Who is told that it has done its work may sign in
    /// again while the other delivery is still on its way.
    async fn signed_out_by_the_provider(&mut self, world: &World, session: usize) {
        let sid = world.history().sessions[session].provider_sid.clone();
        let (whom, token) = if self.dice.below(3) == 0 {
            (Whom::ProviderSid(sid.clone()), world.op.logout_token(None, Some(&sid)))
        } else {
            (Whom::User(self.name.clone()), world.op.logout_token(Some(&self.name), None))
        };
        let (number, replica) = (world.end_begins(whom), self.dice.below(2));
        let second = world.ask(1 - replica, logout(world, &token));
        let first = async {
            let page = world.ask(replica, logout(world, &token)).await;
            if page.is_some_and(|page| world.end_answered(number, page.status)) {
                self.sign_in(world).await;
            }
        };
        let ((), second) = tokio::join!(first, second);
        if let Some(page) = second {
            world.end_answered(number, page.status);
        }
        if world.end_is_over(number) {
            self.spent.push(token);
        }
    }

    async fn revoked(&mut self, world: &World, replica: usize) {
        let number = world.end_begins(Whom::User(self.name.clone()));
        let whom = json!({"provider": "corp", "sub": self.name});
        let status = world.replicas[replica].admin("POST", "/api/revocations", Some(&whom)).await.status;
        world.end_answered(number, status);
        world.end_is_over(number);
    }

    /// A logout token that has done its work comes again. It is none of the history's ends: it must end nothing.
    async fn replay(&mut self, world: &World, replica: usize) {
        if !self.spent.is_empty() {
            let token = self.dice.pick(&self.spent).clone();
            world.ask(replica, logout(world, &token)).await;
        }
    }

    fn fresh(&self, what: &str) -> String {
        format!("{what}-{}-{}", self.name, self.acts)
    }
}

fn logout(world: &World, token: &str) -> Ask {
    Ask::plain(Method::POST, world.url("/oauth2/logout/backchannel"))
        .without_cookies()
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form(&[("logout_token", token)]))
}

fn forging(ask: Ask) -> Ask {
    let names = [
        "X-Vestibule-Identity",
        "x_vestibule_identity",
        "X-Vestibule_Identity",
        "X-Forwarded-User",
        "X_FORWARDED_USER",
        "x-forwarded_user",
    ];
    names.into_iter().fold(ask, |ask, name| ask.header(name, FORGED))
}

async fn look(world: &World, (replica, name, session, what): (usize, String, Option<usize>, &'static str), ask: Ask) {
    let asked = Instant::now();
    let page = world.ask(replica, ask).await;
    let sets_cookie =
        page.as_ref().is_some_and(|page| page.set_cookies().iter().any(|line| line.starts_with("vestibule=")));
    let status = page.map(|page| page.status);
    world.history().visits.push(Visit { name, replica, session, what, asked, status, sets_cookie });
}
