//! Making tokens.
//!
//! Must never make a token that is not remembered among the issued ones.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::keys::Key;
use super::state::{AccessToken, Grant, RefreshToken, State, now};
use crate::support::codec::{b64url, random_name, sha256};

impl State {
    pub(super) fn sign(&self, key: &Key, header: Value, payload: &str) -> String {
        let mut whole = self.keys.header(key);
        if let (Some(whole), Value::Object(header)) = (whole.as_object_mut(), header) {
            for (name, value) in header {
                // A null takes a member away.
                if value.is_null() {
                    whole.remove(&name);
                } else {
                    whole.insert(name, value);
                }
            }
        }
        let signed = format!("{}.{}", b64url(whole.to_string().as_bytes()), b64url(payload.as_bytes()));
        let signature = self.keys.sign(key, signed.as_bytes());
        format!("{signed}.{}", b64url(&signature))
    }

    /// The token endpoint's answer to a grant.
    pub(super) fn tokens(&mut self, grant: &Grant, refreshed: bool) -> Value {
        let access = random_name("canary-access-");
        let seconds = self.script.expires_in.unwrap_or(300);
        let until = Instant::now() + Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        self.issued.push(access.clone());
        self.access.insert(access.clone(), AccessToken { grant: grant.clone(), until });
        let mut answer = json!({
            "access_token": access, "token_type": "Bearer", "expires_in": seconds, "scope": grant.scope,
        });
        let keeps_old = self.script.without_rotation && refreshed;
        if !self.script.without_refresh_token && !keeps_old {
            let refresh = random_name("canary-refresh-");
            self.issued.push(refresh.clone());
            self.refresh.insert(refresh.clone(), RefreshToken { grant: grant.clone(), used: false });
            answer["refresh_token"] = refresh.into();
        }
        if !(refreshed && self.script.without_id_token_on_refresh) {
            answer["id_token"] = self.id_token(grant, &access, refreshed).into();
        }
        let script = self.script.clone();
        script.token.iter().for_each(|change| change(&mut answer));
        if refreshed {
            script.refresh.iter().for_each(|change| change(&mut answer));
        }
        answer
    }

    fn id_token(&mut self, grant: &Grant, access_token: &str, refreshed: bool) -> String {
        let half = &sha256(access_token.as_bytes())[..16];
        let mut claims = json!({
            "iss": self.issuer, "aud": grant.client, "sub": grant.sub, "sid": grant.sid,
            "iat": now(), "exp": now() + 300, "auth_time": grant.auth_time, "at_hash": b64url(half),
        });
        if let (Some(nonce), false) = (&grant.nonce, refreshed) {
            claims["nonce"] = nonce.as_str().into();
        }
        if let Some(acr) = &grant.acr {
            claims["acr"] = acr.as_str().into();
        }
        if let (Some(claims), Some(user)) = (claims.as_object_mut(), self.user(&grant.sub).as_object()) {
            claims.extend(user.clone());
        }
        let script = self.script.clone();
        script.claims.iter().for_each(|change| change(&mut claims));
        let mut header = json!({});
        script.header.iter().for_each(|change| change(&mut header));
        let mut payload = claims.to_string();
        script.payload.iter().for_each(|change| change(&mut payload));
        let token = self.sign(&script.sign_with.unwrap_or(Key::Es256), header, &payload);
        self.issued.push(token.clone());
        self.id_tokens.push(token.clone());
        token
    }

    pub(super) fn logout_token(&mut self, sub: Option<&str>, sid: Option<&str>) -> String {
        let mut claims = json!({
            "iss": self.issuer, "aud": self.clients[0].id, "iat": now(), "exp": now() + 120,
            "jti": random_name("logout-"), "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        });
        for (name, value) in [("sub", sub), ("sid", sid)] {
            if let Some(value) = value {
                claims[name] = value.into();
            }
        }
        let script = self.script.clone();
        script.logout_claims.iter().for_each(|change| change(&mut claims));
        let mut header = json!({"typ": "logout+jwt"});
        script.logout_header.iter().for_each(|change| change(&mut header));
        self.sign(&script.sign_with.unwrap_or(Key::Es256), header, &claims.to_string())
    }

    pub(super) fn jwt_access_token(&mut self, audience: &str, change: impl FnOnce(&mut Value)) -> String {
        let mut claims = json!({
            "iss": self.issuer, "aud": audience, "sub": "alice", "client_id": "machine", "iat": now(),
            "exp": now() + 300, "jti": random_name("at-"), "scope": "openid",
        });
        change(&mut claims);
        let key = self.script.sign_with.clone().unwrap_or(Key::Es256);
        let token = self.sign(&key, json!({"typ": "at+jwt"}), &claims.to_string());
        self.issued.push(token.clone());
        token
    }
}
