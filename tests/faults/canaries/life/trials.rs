//! What goes wrong in it.
//!
//! Must never ask for a recovery in no time: that is shown elsewhere.

use super::*;

impl Life {
    /// A cookie that a broken client puts everywhere but where it belongs; heads that are refused; codes that are none.
    pub(super) async fn secrets_in_wrong_places(&mut self) {
        let browser = self.gateway.browser();
        self.sign_in(&browser).await;
        let cookie = Self::cookie(&browser);
        let stranger = browser.stranger();
        let host = self.gateway.address();
        for path in [
            format!("/oauth2/userinfo?vestibule={cookie}"),
            format!("/oauth2/login?rd=/x%3Fvestibule={cookie}"),
            format!("/oauth2/nothing?{cookie}"),
            format!("/oauth2/callback?state={cookie}&code={cookie}"),
            format!("/oauth2/handoff?code={cookie}"),
            format!("/oauth2/auth?vestibule={cookie}"),
            format!("/private?vestibule={cookie}"),
        ] {
            self.get(&stranger, &path).await;
        }
        for (name, value) in [
            ("referer", format!("{}/x?vestibule={cookie}", self.gateway.public_url())),
            ("user-agent", format!("Script/1.0 ({cookie})")),
            ("authorization", format!("Bearer {cookie}")),
            ("authorization", format!("Basic {}", b64(format!("me:{cookie}").as_bytes()))),
            ("x-vestibule-identity", cookie.clone()),
            ("x-request-id", cookie.clone()),
            ("x-forwarded-for", cookie.clone()),
            ("origin", format!("https://{cookie}.example")),
            ("accept-language", cookie.clone()),
            ("cookie", format!("{cookie}=vestibule; vestibule")),
            ("cookie", format!("vestibule=\"{cookie}\"; vestibule={cookie}; vestibule=x{cookie}")),
            ("sec-fetch-site", cookie.clone()),
            ("traceparent", format!("00-{cookie}-x-01")),
            ("if-none-match", format!("\"{cookie}\"")),
        ] {
            for path in ["/private", "/oauth2/userinfo", "/oauth2/jwks"] {
                let ask = Ask::fetch(Method::GET, self.url(path)).header(name, &value);
                self.ask(&stranger, ask).await;
            }
        }
        let [target, name, value, line, late, path] =
            ["target", "field name", "field value", "request line", "after a body", "path"]
                .map(|what| self.strange(what));
        for bytes in [
            format!("GET /?{target}\0 HTTP/1.1\r\nHost: {host}\r\n\r\n"),
            format!("GET / HTTP/1.1\r\nHost: {host}\r\nX {name}: x\r\n\r\n"),
            format!("GET / HTTP/1.1\r\nHost: {host}\r\nCookie: vestibule={cookie}\r\nX-Bad: {value}\0\r\n\r\n"),
            format!("{line} / HTTP/1.1\r\nHost: {host}\r\n\r\n"),
            format!(
                "POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1\r\nContent-Length: 2\r\nCookie: {late}\r\n\r\n{late}"
            ),
            format!("GET /..%00/{path} HTTP/1.1\r\nHost: {host}\r\n\r\n"),
            format!(
                "GET / HTTP/1.1\r\nHost: {host}\r\nCookie: vestibule={cookie}\r\nTransfer-Encoding: {late}\r\n\r\n"
            ),
            format!("GET / HTTP/1.1\nHost: {host}\nCookie: vestibule={cookie}\n\n"),
            format!("GET / HTTP/1.1\r\nHost: {host}\r\nCookie: vestibule={cookie}; x={}\r\n\r\n", "x".repeat(70_000)),
            format!("\x16\x03\x01{cookie}"),
        ] {
            self.raw(bytes).await;
        }
    }

    pub(super) async fn bad_callbacks(&mut self) {
        let browser = self.gateway.browser();
        let back = self.callback(&browser, "/x").await;
        let [code, state, description] =
            ["code from nowhere", "state from nowhere", "error from nowhere"].map(|what| self.strange(what));
        for query in [
            format!("code={code}&state={state}"),
            format!("code={code}"),
            format!("code={code}&code={code}&state={state}&state={state}"),
            format!("error={description}&state={state}&error_uri={description}"),
            format!("code={code}&state={state}&iss=https://{}.example", description.to_lowercase()),
            format!("code={code}&state={state}&id_token={description}&access_token={description}"),
        ] {
            self.get(&browser, &format!("/oauth2/callback?{query}")).await;
            self.step(&browser, self.url(&format!("/oauth2/callback?{query}"))).await;
            // A form that comes without its attempt's cookie is sent round once more, and its state with it.
            let query = query.replace(&state, "a-state-from-nowhere");
            let ask = Ask::form(self.url("/oauth2/callback"), &[("x", "y")]).body(query);
            self.ask(&browser, ask).await;
        }
        // The right attempt, and another issuer; then another code; then the whole of it in another browser.
        let mut other = back.clone();
        let pairs: Vec<_> = back.query_pairs().into_owned().filter(|(name, _)| name != "iss").collect();
        other.query_pairs_mut().clear().extend_pairs(pairs).append_pair("iss", "https://evil.example");
        self.step(&browser, other).await;
        self.step(&browser.stranger(), back.clone()).await;
        let browser = self.gateway.browser();
        let back = self.callback(&browser, "/x").await;
        self.step(&browser, back.as_str().replace("code=", "code=x")).await;
        for change in ["nonce", "aud", "iss", "at_hash"] {
            let wrong = self.strange("a claim that does not hold");
            self.op.script(|script| _ = script.id_token_claims(move |claims| claims[change] = wrong.clone().into()));
            let browser = self.gateway.browser();
            let back = self.callback(&browser, "/x").await;
            assert!(self.step(&browser, back).await.status >= 400);
            self.good_again();
        }
        // Claims of somebody else.
        let wrong = self.strange("another subject");
        self.op.script(|script| _ = script.userinfo_answer(move |answer| answer["sub"] = wrong.clone().into()));
        let browser = self.gateway.browser();
        let back = self.callback(&browser, "/x").await;
        assert!(self.step(&browser, back).await.status >= 400);
        self.good_again();
    }

    fn good_again(&self) {
        self.op.behave();
        let endpoint = self.token.url("/token");
        self.op.script(|script| {
            script.user(&self.sub).discovery(move |document| document["token_endpoint"] = endpoint.clone().into());
        });
    }

    /// Tokens inside of answers that are none, at login and at refresh.
    pub(super) async fn bad_answers(&mut self) {
        let [access, refresh, id] =
            ["access", "refresh", "id"].map(|what| random_name(&format!("canary-garbage-{what}-")));
        for token in [&access, &refresh, &id] {
            self.sweep.plant(Kind::TokenInGarbage, "token in an answer that is none", token.clone());
        }
        let good = json!({"access_token": access, "token_type": "Bearer", "refresh_token": refresh, "id_token": id});
        let person = self.gateway.browser();
        self.sign_in(&person).await;
        let mut ways = broken(&good.to_string());
        for (what, body) in [
            ("wrong types", json!({"access_token": [access], "token_type": refresh, "id_token": {"x": id}})),
            ("an error of its own", json!({"error": access, "error_description": refresh, "error_uri": id})),
            ("an ID token that is none", json!({"access_token": access, "token_type": "Bearer", "id_token": id})),
        ] {
            ways.push((what, crate::detour::Way::answer(200, &["Content-Type: application/json"], body.to_string())));
            ways.push((what, crate::detour::Way::answer(400, &["Content-Type: application/json"], body.to_string())));
        }
        for (_, way) in ways {
            let browser = self.gateway.browser();
            let back = self.callback(&browser, "/x").await;
            self.token.set(way);
            assert!(self.step(&browser, back).await.status >= 400);
            if person.cookie("vestibule").is_some() {
                self.post(&person, "/oauth2/session/refresh").await;
            }
            self.token.set(crate::detour::Way::Open);
        }
        // A refresh that ends the session, and one whose grant has ended.
        for ends in [true, false] {
            let browser = self.gateway.browser();
            self.sign_in(&browser).await;
            if ends {
                self.op.end_grants();
            } else {
                self.op.script(|script| _ = script.id_token_claims(|claims| claims["sub"] = "mallory".into()));
            }
            self.post(&browser, "/oauth2/session/refresh").await.expect_status(401);
            self.good_again();
        }
    }

    pub(super) async fn a_store_that_dies(&mut self) {
        let person = self.gateway.browser();
        self.sign_in(&person).await;
        for mode in [Mode::Cut, Mode::SwallowAnswers] {
            // Between the provider's answer and the store's.
            let browser = self.gateway.browser();
            let back = self.callback(&browser, "/x").await;
            let gate = self.op.hold(Endpoint::Token);
            let waiting = tokio::spawn({
                let browser = browser.clone();
                async move { browser.step(back).await }
            });
            gate.arrived().await;
            self.way.set(mode);
            gate.open();
            let page = waiting.await.unwrap().expect_status(503);
            self.sweep.see(Place::Page, format!("{:?}", page.headers));
            self.sweep.see(Place::Page, &page.body);
            for path in [APP, "/oauth2/userinfo", "/oauth2/session"] {
                self.get(&person, path).await;
            }
            self.post(&person, "/oauth2/logout").await;
            for (method, path) in [("GET", "/api/sessions"), ("DELETE", "/api/sessions/none")] {
                self.admin(method, path, None).await;
            }
            // How long a broken way takes to be noticed is shown elsewhere.
            self.way.cut_once();
            self.good_again();
            self.store_is_back().await;
            // A logout whose answer was lost has happened.
            if self.get(&person, "/oauth2/session").await.status == 401 {
                self.sign_in(&person).await;
            }
            // A refresh whose tokens have to wait.
            let gate = self.op.hold(Endpoint::Token);
            let waiting = tokio::spawn({
                let (browser, url) = (person.clone(), self.url("/oauth2/session/refresh"));
                async move { browser.ask(Ask::fetch(Method::POST, url)).await.status }
            });
            gate.arrived().await;
            self.way.set(mode);
            let said = self.gateway.output().matches("renewed tokens are not stored yet").count();
            gate.open();
            eventually("tokens that wait", SOON, || async {
                (self.gateway.output().matches("renewed tokens are not stored yet").count() > said).then_some(())
            })
            .await;
            self.way.cut_once();
            assert!(matches!(waiting.await.unwrap(), 200 | 503));
            self.good_again();
            self.store_is_back().await;
        }
        self.look_at_the_store();
    }

    /// Somebody can sign in: that needs everything of the store.
    async fn store_is_back(&self) {
        eventually("the store", Duration::from_secs(15), || async {
            let page = self.gateway.browser().navigate(self.url(APP)).await;
            assert!(matches!(page.status, 200 | 503), "{page:?}");
            (page.status == 200).then_some(())
        })
        .await;
    }

    pub(super) async fn an_upstream_that_is_away(&mut self) {
        let browser = self.gateway.browser();
        self.sign_in(&browser).await;
        for path in ["/drop", "/malformed?kind=status-line", "/malformed?kind=header-bytes", "/drop-mid?mode=chunked"] {
            self.get(&browser, path).await;
        }
        for seen in self.echo.requests() {
            self.sweep.see(Place::Upstream, format!("{}\n{}", seen.raw_head, seen.body));
            if let Some(token) = seen.identity_token() {
                self.sweep.plant(Kind::IdentityToken, "identity token", token);
            }
        }
        self.echo.stop().await;
        self.get(&browser, "/away").await.expect_status(502);
        self.step(&browser, self.url("/away")).await.expect_status(502);
        self.echo.start_again().await;
        self.get(&browser, APP).await.expect_status(200);
    }

    async fn admin(&mut self, method: &str, path: &str, body: Option<&serde_json::Value>) -> Page {
        let page = self.gateway.admin(method, path, body).await;
        self.sweep.see(Place::Admin, format!("{:?}", page.headers));
        self.sweep.see(Place::Admin, &page.body);
        page
    }

    pub(super) async fn operators(&mut self) {
        let browser = self.gateway.browser();
        self.sign_in(&browser).await;
        let sub = self.sub.clone();
        for path in ["/api/sessions", "/api/config", "/api/keys", "/api/nothing"] {
            self.admin("GET", path, None).await;
        }
        self.admin("GET", &format!("/api/sessions?provider=corp&sub={sub}"), None).await.expect_status(200);
        let strange = self.strange("asked of the API");
        self.admin("GET", &format!("/api/sessions?cursor={strange}"), None).await;
        self.admin("DELETE", &format!("/api/sessions/{strange}"), None).await;
        self.admin("POST", "/api/revocations", Some(&json!({"provider": strange, "sub": strange}))).await;
        self.admin("POST", "/api/revocations", Some(&json!({ "x": strange }))).await;
        self.admin("POST", "/api/revocations", Some(&json!({"provider": "corp", "provider_sid": strange}))).await;
        for wrong in [format!("Bearer {strange}"), strange.clone(), format!("Basic {strange}")] {
            let ask = Ask::plain(Method::GET, format!("{}/api/sessions", self.gateway.admin_url()));
            let page = Browser::new().ask(ask.header("authorization", &wrong)).await.expect_status(401);
            self.sweep.see(Place::Admin, format!("{:?} {}", page.headers, page.text()));
        }
        let sid = self.get(&browser, "/oauth2/session").await.json()["sid"].as_str().unwrap().to_owned();
        self.admin("DELETE", &format!("/api/sessions/{sid}"), None).await.expect_status(204);
        let browser = self.gateway.browser();
        self.sign_in(&browser).await;
        self.admin("POST", "/api/revocations", Some(&json!({"provider": "corp", "sub": sub}))).await.expect_status(200);
        self.get(&browser, "/private").await.expect_status(401);
    }

    pub(super) async fn back_channel(&mut self) {
        let browser = self.gateway.browser();
        self.sign_in(&browser).await;
        let good = self.op.logout_token(Some(&self.sub), None);
        let mut bent = self.op.logout_token(Some(&self.sub), None);
        bent.truncate(bent.len() - 24);
        bent.push_str(&b64url(&random_bytes(18)));
        self.op.script(|script| _ = script.logout_token_claims(|claims| claims["aud"] = "somebody else".into()));
        let wrong = self.op.logout_token(Some(&self.sub), None);
        self.good_again();
        let url = self.url("/oauth2/logout/backchannel");
        for token in [&bent, &wrong, &good, &good] {
            self.sweep.plant(Kind::LogoutToken, "logout token", token.clone());
            let form = crate::support::codec::form(&[("logout_token", token)]);
            let ask = Ask::plain(Method::POST, url.clone())
                .without_cookies()
                .header("content-type", "application/x-www-form-urlencoded")
                .body(form);
            self.ask(&Browser::new(), ask).await.expect("an answer");
        }
        self.get(&browser, "/private").await.expect_status(401);
        let strange = self.strange("iss and sid of a frame");
        self.get(&browser, &format!("/oauth2/logout/frontchannel?iss={strange}&sid={strange}")).await;
        let issuer: String = url::form_urlencoded::byte_serialize(self.op.issuer().as_bytes()).collect();
        self.get(&browser, &format!("/oauth2/logout/frontchannel?iss={issuer}&sid={strange}")).await;
    }

    pub(super) async fn sign_out(&mut self) {
        for fault in [false, true] {
            for script in [false, true] {
                let browser = self.gateway.browser();
                self.sign_in(&browser).await;
                let strange = self.strange("where to after the logout");
                if fault {
                    self.op.script(|script| _ = script.fail(Endpoint::Revocation, 500));
                }
                let url = self.url(&format!("/oauth2/logout?state={strange}"));
                let ask = if script {
                    Ask::fetch(Method::POST, url)
                } else {
                    Ask::form(url, &[("rd", &*format!("https://evil.example/{strange}"))])
                };
                let page = self.ask(&browser, ask).await.unwrap();
                assert!(matches!(page.status, 200 | 303), "{page:?}");
                self.step(&browser, self.url("/oauth2/signed_out")).await.expect_status(200);
                self.good_again();
            }
        }
    }
}
