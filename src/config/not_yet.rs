//! Keys of the product's interface that this version does not act on. Writing one is a problem: nothing is silently ignored.
//!
//! When a feature arrives, its line leaves this table, and only then.

use toml::de::DeValue;

/// A key, or some of its values, that has no effect yet.
#[derive(Debug)]
pub struct NotYet {
    /// Path of the key; `*` is any name, `[]` any index.
    pub key: &'static str,
    /// Which of its values.
    pub when: When,
    /// What it is for.
    pub what: &'static str,
}

/// Which values of a key are refused.
#[derive(Debug)]
pub enum When {
    /// All.
    Always,
    /// All but these.
    Not(&'static [&'static str]),
    /// These.
    Is(&'static [&'static str]),
}

/// Every key that is not supported yet.
pub const NOT_YET: &[NotYet] = &[
    not_yet("listeners[].client_ca", When::Always, "client certificates"),
    not_yet("listeners[].proxy_protocol", When::Not(&["false"]), "the PROXY protocol"),
    not_yet("providers.*.client_certificate", When::Always, "client authentication by certificate"),
    not_yet(
        "providers.*.client_auth",
        When::Is(&["tls_client_auth", "self_signed_tls_client_auth"]),
        "client authentication by certificate",
    ),
    not_yet("providers.*.profile", When::Not(&["oidc"]), "the FAPI 2.0 profile"),
    not_yet("providers.*.pushed_authorization", When::Not(&["auto", "off"]), "pushed authorization requests"),
    not_yet("providers.*.dpop", When::Not(&["false"]), "DPoP"),
    not_yet("upstreams.*.urls", When::Always, "balancing over several addresses"),
    not_yet("upstreams.*.health", When::Always, "health checks"),
    not_yet("upstreams.*.identity.access_token", When::Not(&["none"]), "forwarding or exchanging access tokens"),
    not_yet("routes[].access", When::Is(&["bearer", "session-or-bearer"]), "bearer tokens"),
    not_yet("routes[].when", When::Always, "conditions in CEL"),
    not_yet("bearer", When::Always, "bearer tokens"),
    not_yet("handoff", When::Always, "the handoff to another domain"),
    not_yet("telemetry.traces", When::Always, "traces"),
    not_yet("telemetry.audit", When::Not(&["[log]", "[]"]), "an audit trail of its own"),
];

/// What the value of `key` (with `*` and `[]`) would ask for, if that is not supported yet.
pub fn refused(key: &str, value: &DeValue<'_>) -> Option<&'static NotYet> {
    NOT_YET.iter().filter(|entry| entry.key == key).find(|entry| entry.when.holds(value))
}

/// Whether the table speaks of `key` at all, so that a harmless value of it is not an unknown key.
pub fn known(key: &str) -> bool {
    NOT_YET.iter().any(|entry| entry.key == key)
}

impl NotYet {
    /// What to do about it.
    pub fn fix(&self) -> String {
        match self.when {
            When::Always => "Take it out.".to_owned(),
            When::Not(values) => format!("Take it out; for now it can only be {}.", values.join(" or ")),
            When::Is(_) => "Choose another value for now.".to_owned(),
        }
    }
}

impl When {
    fn holds(&self, value: &DeValue<'_>) -> bool {
        let written = written(value);
        match self {
            Self::Always => true,
            Self::Not(values) => !values.contains(&written.as_str()),
            Self::Is(values) => values.contains(&written.as_str()),
        }
    }
}

/// A value in the words of the table above.
fn written(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Boolean(yes) => yes.to_string(),
        DeValue::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| written(item.get_ref())).collect();
            format!("[{}]", items.join(","))
        }
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Table(_) => String::new(),
    }
}

const fn not_yet(key: &'static str, when: When, what: &'static str) -> NotYet {
    NotYet { key, when, what }
}
