//! A life in which everything goes wrong, and a record of all that was secret in it and of all that came out.
//!
//! Must never plant a secret in a place that the gateway has to repeat: what is repeated then says nothing.

mod trials;

use std::process::Stdio;
use std::time::Duration;

use http::{Method, Request};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::json;
use url::Url;

use super::search::{Kind, Place, Sweep};
use crate::detour::{Detour, broken};
use crate::support::client::{Ask, Browser, Page};
use crate::support::codec::{b64, b64url, random_bytes, random_name};
use crate::support::fault_proxy::Mode;
use crate::support::h2::H2;
use crate::support::raw::Raw;
use crate::support::{BadOp, ConfigBuilder, Echo, Endpoint, FaultProxy, Gateway, Redis, Site, eventually};
use crate::world::{SOON, ready, with_public};

/// The application says nothing about what it got: what came to it is looked at there.
const APP: &str = "/status?code=200&body=ok";

pub(super) struct Life {
    op: BadOp,
    echo: Echo,
    redis: Redis,
    way: FaultProxy,
    token: Detour,
    gateway: Gateway,
    sub: String,
    sweep: Sweep,
}

impl Life {
    /// From the start to SIGTERM.
    pub(super) async fn live(format: &str) -> Sweep {
        let mut life = Self::begin(format).await;
        life.logins().await;
        life.ordinary_requests().await;
        life.secrets_in_wrong_places().await;
        life.bad_callbacks().await;
        life.bad_answers().await;
        life.a_store_that_dies().await;
        life.an_upstream_that_is_away().await;
        life.operators().await;
        life.back_channel().await;
        life.sign_out().await;
        life.commands();
        life.end().await
    }

    async fn begin(format: &str) -> Self {
        let (op, echo) = (BadOp::start().await, Echo::start().await);
        let mut sweep = Sweep::default();
        let password = random_name("canary-redis-password-");
        sweep.plant(Kind::RedisPassword, "Redis password", password.clone());
        let redis = Redis::setup().user("gateway", &password, "~* &* +@all").start().await;
        let way = FaultProxy::start(redis.address()).await;
        let token = Detour::to(op.address()).await;
        let endpoint = token.url("/token");
        op.script(|script| _ = script.discovery(move |document| document["token_endpoint"] = endpoint.clone().into()));

        let sub = random_name("canary-subject-");
        sweep.plant(Kind::Subject, "sub", sub.clone());
        op.script(|script| _ = script.user(&sub));
        for (claim, value) in [
            ("email", random_name("canary-mail-") + "@example.test"),
            ("name", random_name("Canary Surname-")),
            ("preferred_username", random_name("canary-login-")),
        ] {
            sweep.plant(Kind::Person, claim, value.clone());
            op.set_claim(&sub, claim, value);
        }
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let pem = pair.serialize_pem();
        for line in pem.lines().filter(|line| line.len() >= 40 && !line.starts_with('-')) {
            sweep.plant(Kind::PrivateKey, "a line of the PEM", line);
        }
        let der = pair.serialize_der();
        // RFC 5915: the scalar is an OCTET STRING of 32 bytes.
        let at = der.windows(2).position(|two| two == [0x04, 0x20]).expect("a private key") + 2;
        sweep.plant(Kind::PrivateKey, "the scalar", &der[at..at + 32]);

        let config = with_public(ConfigBuilder::usual(&op, &echo))
            .store(&redis.url_at(way.address))
            .file("signing-key", &pem)
            .with(&format!("telemetry.format = \"{format}\""))
            .with(
                r#"
                telemetry.log = "trace"
                [identity]
                algorithm = "ES256"
                keys = [{ file = "@DIR@/signing-key" }]
                [providers.corp]
                userinfo = true
                [upstreams.app.identity]
                claims = ["email", "name", "preferred_username"]
                headers = { "X-Forwarded-Email" = "email" }
                "#,
            );
        let gateway = Gateway::start(config).await;
        ready(&gateway).await;
        for secret in gateway.secrets() {
            match () {
                () if secret.contains("admin-token") => sweep.plant(Kind::AdminToken, "admin token", secret),
                () if secret.contains("server-secret") => sweep.plant(Kind::ServerSecret, "server secret", secret),
                () => {}
            }
        }
        let client = op.client();
        let form = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let basic = b64(format!("{}:{}", form(&client.id), form(&client.secret)).as_bytes());
        sweep.plant(Kind::ClientSecret, "client secret in Basic", basic);
        sweep.plant(Kind::ClientSecret, "client secret", client.secret);
        Self { op, echo, redis, way, token, gateway, sub, sweep }
    }

    fn url(&self, path: &str) -> String {
        self.gateway.url(path)
    }

    /// Asks, and keeps what came back by where it stood; and what the browser has to keep to itself.
    async fn ask(&mut self, browser: &Browser, ask: Ask) -> Option<Page> {
        let page = browser.attempt(ask).await;
        for cookie in browser.cookies() {
            match cookie.name.as_str() {
                "vestibule" => self.sweep.plant(Kind::SessionCookie, "session cookie", cookie.value),
                name if name.contains("vestibule") => {
                    self.sweep.plant(Kind::OtherCookie, "another cookie", cookie.value)
                }
                _ => {}
            }
        }
        let page = page.ok()?;
        for (name, value) in &page.headers {
            let place = match name.as_str() {
                "set-cookie" => Place::SetCookie,
                "location" if value.as_bytes().starts_with(self.op.issuer().as_bytes()) => Place::ToProvider,
                _ => Place::Page,
            };
            self.sweep.see(place, [name.as_str().as_bytes(), b": ", value.as_bytes()].concat());
        }
        let place = match (page.url.path(), page.status) {
            ("/oauth2/userinfo" | "/oauth2/session" | "/oauth2/session/refresh" | "/oauth2/sessions", 200) => {
                Place::Claims
            }
            // A script is told where to go.
            ("/oauth2/logout", 200) => Place::ToProvider,
            _ => Place::Page,
        };
        self.sweep.see(place, &page.body);
        Some(page)
    }

    async fn get(&mut self, browser: &Browser, path: &str) -> Page {
        let ask = Ask::fetch(Method::GET, self.url(path));
        self.ask(browser, ask).await.expect("an answer")
    }

    async fn post(&mut self, browser: &Browser, path: &str) -> Page {
        let ask = Ask::fetch(Method::POST, self.url(path));
        self.ask(browser, ask).await.expect("an answer")
    }

    async fn step(&mut self, browser: &Browser, url: impl Into<String>) -> Page {
        self.ask(browser, Ask::navigation(url)).await.expect("an answer")
    }

    /// Bytes that no client library would send.
    async fn raw(&mut self, bytes: impl AsRef<[u8]>) {
        let mut raw = Raw::connect(self.gateway.address()).await;
        raw.send(bytes).await;
        raw.half_close().await;
        let (answer, _) = raw.rest(Duration::from_secs(2)).await;
        self.sweep.see(Place::Page, answer);
    }

    /// Begins a login and lets the provider say yes: where it sends the browser back to.
    async fn callback(&mut self, browser: &Browser, path: &str) -> Url {
        let login = self.step(browser, self.url(path)).await.expect_status(303);
        // The provider's own page is none of ours.
        let back = browser.step(login.location().unwrap()).await.expect_status(303).location().unwrap();
        for (name, value) in back.query_pairs().into_owned() {
            match name.as_str() {
                "code" => self.sweep.plant(Kind::Code, "code", value),
                "state" => self.sweep.plant(Kind::State, "state", value),
                _ => {}
            }
        }
        back
    }

    async fn sign_in(&mut self, browser: &Browser) {
        let back = self.callback(browser, APP).await;
        self.step(browser, back).await.expect_status(303);
        self.get(browser, APP).await.expect_status(200);
    }

    fn cookie(browser: &Browser) -> String {
        browser.cookie("vestibule").expect("a session")
    }

    /// Something of a stranger's that goes no further than the gateway.
    fn strange(&mut self, what: &'static str) -> String {
        let value = random_name("canary-strange-");
        self.sweep.plant(Kind::Strangers, what, value.clone());
        value
    }

    fn callers(&mut self, what: &'static str) -> String {
        let value = random_name("canary-callers-");
        self.sweep.plant(Kind::Callers, what, value.clone());
        value
    }

    fn look_at_the_store(&mut self) {
        let dump = self.redis.dump_all();
        self.sweep.see(Place::Store, dump);
        assert_eq!(self.redis.cli(&["SAVE"]), "OK");
        let file = self.redis.socket().with_file_name("dump.rdb");
        self.sweep.see(Place::Store, std::fs::read(file).expect("what Redis has saved"));
    }

    async fn logins(&mut self) {
        let browser = self.gateway.browser();
        self.step(&browser, self.url("/abandoned")).await.expect_status(303);
        self.sign_in(&browser).await;
        // Again over a session that is there: the old one ends.
        let back = self.callback(&browser, "/oauth2/login?rd=/status%3Fbody=ok").await;
        self.step(&browser, back.clone()).await.expect_status(303);
        // And the same callback again.
        self.step(&browser, back).await;
        self.look_at_the_store();
    }

    async fn ordinary_requests(&mut self) {
        let browser = self.gateway.browser();
        self.sign_in(&browser).await;
        for path in [
            "/oauth2/userinfo",
            "/oauth2/session",
            "/oauth2/sessions",
            "/oauth2/jwks",
            "/oauth2/nothing",
            "/oauth2/signed_out",
        ] {
            self.get(&browser, path).await;
        }
        for _ in 0..2 {
            self.post(&browser, "/oauth2/session/refresh").await.expect_status(200);
        }
        self.get(&browser, APP).await.expect_status(200);
        let (query, key, body) = (self.callers("query"), self.callers("X-Api-Key"), self.callers("body"));
        let ask = Ask::fetch(Method::POST, self.url(&format!("{APP}&q={query}"))).header("x-api-key", &key).body(body);
        self.ask(&browser, ask).await.unwrap().expect_status(200);
        let (query, bearer) = (self.callers("query over HTTP/2"), self.callers("bearer token"));
        let h2 = H2::connect(self.gateway.address()).await;
        for target in [format!("{APP}&q={query}"), format!("/public{APP}&q={query}")] {
            let request = Request::get(self.url(&target))
                .header("cookie", format!("vestibule={}", Self::cookie(&browser)))
                .header("authorization", format!("Bearer {bearer}"));
            let answer = h2.send(request.body("").unwrap()).await.unwrap();
            self.sweep.see(Place::Page, format!("{:?}", answer.headers));
            self.sweep.see(Place::Page, &answer.body);
        }
        self.look_at_the_store();
    }

    /// The same configuration, seen by others; and one in which every secret stands where it must not.
    fn commands(&mut self) {
        let text = std::fs::read_to_string(self.gateway.file()).unwrap();
        let inline = self.gateway.dir().join("inline.toml");
        let mut wrong = text.clone();
        for (name, secret) in [
            ("admin-token", self.gateway.secrets().into_iter().find(|secret| secret.contains("admin-token"))),
            ("server-secret", self.gateway.secrets().into_iter().find(|secret| secret.contains("server-secret"))),
            ("corp-client-secret", Some(self.op.client().secret)),
        ] {
            let path = self.gateway.dir().join(name).display().to_string();
            assert!(wrong.contains(&path), "{name}");
            wrong = wrong.replace(&format!("file = \"{path}\""), &format!("value = \"{}\"", secret.unwrap()));
        }
        assert_ne!(wrong, text);
        std::fs::write(&inline, wrong).unwrap();
        let unfinished = self.gateway.dir().join("unfinished.toml");
        std::fs::write(&unfinished, format!("{text}\n[session\nsecrets = ")).unwrap();
        for (file, arguments) in [
            (self.gateway.file(), &["check"][..]),
            (self.gateway.file(), &["check", "--print"]),
            (&inline, &["check", "--print"]),
            (&inline, &["serve", "--config"]),
            (&unfinished, &["check"]),
        ] {
            let mut command = Gateway::command();
            let output =
                command.args(arguments).arg(file).env("RUST_LOG", "trace").stdin(Stdio::null()).output().unwrap();
            self.sweep.see(Place::Command, &output.stdout);
            self.sweep.see(Place::Command, &output.stderr);
            assert_eq!(output.status.success(), file == self.gateway.file(), "{arguments:?} {file:?}");
        }
    }

    /// SIGTERM with people signed in and a request under way; then what the provider has issued and been shown.
    async fn end(mut self) -> Sweep {
        let browser = self.gateway.browser();
        self.sign_in(&browser).await;
        let query = self.callers("query of the last request");
        let slow = tokio::spawn({
            let (browser, url) = (browser.clone(), self.url(&format!("/slow?ms=500&q={query}")));
            async move { browser.attempt(Ask::fetch(Method::GET, url)).await.map(|page| page.status) }
        });
        eventually("the last request", SOON, || async {
            self.echo.requests().iter().any(|seen| seen.target.contains(&query)).then_some(())
        })
        .await;
        self.look_at_the_store();
        let metrics = Ask::plain(Method::GET, format!("{}/metrics", self.gateway.admin_url()));
        self.sweep.see(Place::Metrics, Browser::new().ask(metrics).await.expect_status(200).body);
        assert!(self.gateway.stop().await.success());
        assert_eq!(slow.await.unwrap(), Ok(200));
        self.sweep.see(Place::Log, self.gateway.output());
        for seen in self.echo.requests() {
            self.sweep.see(Place::Upstream, format!("{}\n{}", seen.raw_head, seen.body));
            if let Some(token) = seen.identity_token() {
                self.sweep.plant(Kind::IdentityToken, "identity token", token);
            }
        }
        for token in self.op.issued_tokens() {
            let kind = match () {
                () if token.starts_with("canary-access-") => Kind::AccessToken,
                () if token.starts_with("canary-refresh-") => Kind::RefreshToken,
                () => Kind::IdToken,
            };
            self.sweep.plant(kind, "issued", token);
        }
        for request in self.op.all_requests() {
            for (name, kind) in [("state", Kind::State), ("nonce", Kind::Nonce), ("code_verifier", Kind::Verifier)] {
                if let (Some(value), true) = (request.param(name), request.endpoint != Endpoint::EndSession) {
                    self.sweep.plant(kind, name, value);
                }
            }
        }
        self.sweep
    }
}
