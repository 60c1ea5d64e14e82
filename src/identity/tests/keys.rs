//! Keys from files and from the vault, over rotations, conflicts and outages.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64};

use super::*;
use crate::identity::key_ring::{JWKS_MAX_AGE, KEEP, PUBLISH_LEAD};
use crate::identity::vault::LocalVault;

/// A vault that other replicas reach too: slow, sometimes away, sometimes contended.
#[derive(Debug, Default)]
struct RoughVault {
    inner: LocalVault,
    away: AtomicBool,
    calls: AtomicU64,
    conflicts: AtomicU64,
}

#[async_trait::async_trait]
impl KeyVault for RoughVault {
    async fn read(&self) -> Result<Option<(Secret<Vec<u8>>, u64)>, VaultError> {
        if self.away.load(Ordering::SeqCst) {
            return Err(VaultError::new("away"));
        }
        let read = self.inner.read().await;
        tokio::task::yield_now().await;
        read
    }

    async fn swap(&self, expected: Option<u64>, value: &Secret<Vec<u8>>) -> Result<bool, VaultError> {
        // The first try of each pair loses to an invisible neighbour.
        if self.calls.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
            self.conflicts.fetch_add(1, Ordering::SeqCst);
            return Ok(false);
        }
        let swapped = self.inner.swap(expected, value).await?;
        if !swapped {
            self.conflicts.fetch_add(1, Ordering::SeqCst);
        }
        Ok(swapped)
    }
}

/// An application that keeps the JWKS for as long as it may, and not a second less.
struct Validator {
    jwks: Arc<Jwks>,
    fetched: Timestamp,
}

/// ID-07: over ten rotations, two replicas with clocks a minute apart, conflicts and an outage, no validator ever refuses a token, from
/// its first second to its last; and no private member is ever published.
#[tokio::test]
async fn rotations_never_fail_a_caching_validator() {
    let minute = Duration::from_secs(60);
    let start = ManualClock::default().now();
    let vault = Arc::new(RoughVault::default());
    let clocks = [ManualClock::at(start), ManualClock::at(start + minute)];
    let replicas = clocks.clone().map(|clock| {
        let keys = KeySource::Managed { rotate_every: Duration::from_secs(2 * 3600) };
        let settings = IdentitySettings { keys, ..settings(Algorithm::EdDsa) };
        let vault: Arc<dyn KeyVault> = Arc::clone(&vault) as _;
        let random = Arc::new(SeededRandom::new(5));
        Identity::new(settings, vec![upstream("a")], Some(vault), Arc::new(clock), random).unwrap()
    });
    let known = session_claims();
    let dice = SeededRandom::new(2026);
    let mut validators: Vec<Validator> = Vec::new();
    let mut alive: Vec<(String, Timestamp)> = Vec::new();
    let mut kids = std::collections::BTreeSet::new();

    for tick in 0..22 * 60_u64 {
        // A quarter of an hour without the store, once right where a key is to be published.
        vault.away.store((90..105).contains(&tick) || (500..515).contains(&tick), Ordering::SeqCst);
        let (one, two) = tokio::join!(replicas[0].refresh_keys(), replicas[1].refresh_keys());
        assert_eq!(one.is_err() && two.is_err(), vault.away.load(Ordering::SeqCst), "{one:?} {two:?}");
        let now = clocks[0].now();
        let jwks = |dice: &SeededRandom| replicas[usize::from(dice.next().is_multiple_of(2))].jwks();
        if validators.is_empty() {
            // They ask at different moments of the caching time.
            validators = (0..5).map(|n| Validator { jwks: jwks(&dice), fetched: now - minute * n }).collect();
        }
        for (replica, clock) in replicas.iter().zip(&clocks) {
            let sid = format!("sid-{tick}");
            let life = Subject { sid: &sid, session_expires: now + Duration::from_secs(1_000_000), ..subject(&known) };
            let token = replica.mint("a", &life, clock.now()).unwrap();
            kids.insert(header_of(bearer(&token))["kid"].as_str().unwrap().to_owned());
            alive.push((bearer(&token).to_owned(), token.expires));
        }
        for validator in &mut validators {
            if now.since(validator.fetched) >= JWKS_MAX_AGE {
                *validator = Validator { jwks: jwks(&dice), fetched: now };
                let document = std::str::from_utf8(&validator.jwks.body).unwrap();
                for private in ["\"d\"", "\"p\"", "\"q\"", "\"dp\"", "\"dq\"", "\"qi\"", "\"k\""] {
                    assert!(!document.contains(private), "{document}");
                }
            }
            for (token, _) in &alive {
                // Allowing for the replicas' clocks is not what is shown here.
                let kid = &header_of(token)["kid"];
                let document: Value = serde_json::from_slice(&validator.jwks.body).unwrap();
                let known = document["keys"].as_array().unwrap().iter().any(|key| &key["kid"] == kid);
                assert!(known, "minute {tick}: a validator does not know {kid}");
            }
        }
        let newest = alive.last().unwrap();
        let trust = Trust::Jwks(&validators[0].jwks.body);
        claims(trust, ISSUER, "a", &newest.0, clocks[1].now()).unwrap();
        alive.retain(|(_, expires)| *expires > now + minute);
        clocks.iter().for_each(|clock| clock.advance(minute));
    }
    assert!(kids.len() >= 10, "{} keys signed", kids.len());
    assert!(vault.conflicts.load(Ordering::SeqCst) >= 10);
    assert!(replicas.iter().all(|replica| replica.jwks().max_age == JWKS_MAX_AGE));
    assert!(
        replicas[0].jwks().etag == replicas[1].jwks().etag && PUBLISH_LEAD >= JWKS_MAX_AGE * 2 && KEEP > JWKS_MAX_AGE
    );
}

/// ID-07: a token is minted anew once the next key signs, and the old one's key is still published.
#[tokio::test]
async fn a_new_key_ends_reuse() {
    let keys = KeySource::Managed { rotate_every: Duration::from_secs(3600) };
    let setup = Setup::with(IdentitySettings { keys, ..settings(Algorithm::Es256) }, vec![upstream("a")]).await;
    let known = session_claims();
    let subject = Subject { session_expires: setup.clock.now() + Duration::from_secs(86_400), ..subject(&known) };
    setup.clock.advance(Duration::from_secs(1800));
    setup.identity.refresh_keys().await.unwrap();
    setup.clock.advance(Duration::from_millis(1_799_900));
    let before = setup.mint("a", &subject);
    let states = |now| setup.identity.key_states(now).into_iter().map(|key| key.status).collect::<Vec<_>>();
    assert_eq!(states(setup.clock.now()), [KeyStatus::Signing, KeyStatus::Published]);
    setup.clock.advance(Duration::from_millis(100));
    let after = setup.mint("a", &subject);
    assert_eq!(states(setup.clock.now()), [KeyStatus::Retiring, KeyStatus::Signing]);
    assert_ne!(header_of(bearer(&before))["kid"], header_of(bearer(&after))["kid"]);
    assert!(setup.claims("a", &before).is_ok() && setup.claims("a", &after).is_ok());
}

#[tokio::test]
async fn keys_outlive_the_stores_troubles() {
    let vault = Arc::new(RoughVault::default());
    vault.away.store(true, Ordering::SeqCst);
    let clock = ManualClock::default();
    let make = |vault: &Arc<RoughVault>| {
        let vault: Arc<dyn KeyVault> = Arc::clone(vault) as _;
        let random = Arc::new(SeededRandom::new(5));
        Identity::new(settings(Algorithm::EdDsa), vec![upstream("a")], Some(vault), Arc::new(clock.clone()), random)
            .unwrap()
    };
    let (identity, known) = (make(&vault), session_claims());
    assert_eq!(identity.refresh_keys().await.unwrap_err().blame(), Blame::Store);
    assert!(!identity.ready());
    let error = identity.mint("a", &subject(&known), clock.now()).unwrap_err();
    assert!(matches!(error, IdentityError::NotReady) && error.blame() == Blame::Store);

    vault.away.store(false, Ordering::SeqCst);
    identity.refresh_keys().await.unwrap();
    let etag = identity.jwks().etag.clone();
    vault.away.store(true, Ordering::SeqCst);
    assert!(identity.refresh_keys().await.is_err());
    assert!(identity.ready() && identity.mint("a", &subject(&known), clock.now()).is_ok());

    // A store that lost everything gets the known keys back, and a new replica signs with them.
    let emptied = Arc::new(RoughVault::default());
    let survivor = {
        let (json, _) = vault.inner.read().await.unwrap().unwrap();
        emptied.inner.swap(None, &json).await.unwrap();
        let survivor = make(&emptied);
        survivor.refresh_keys().await.unwrap();
        emptied.inner.clear();
        survivor
    };
    survivor.refresh_keys().await.unwrap();
    let newcomer = make(&emptied);
    newcomer.refresh_keys().await.unwrap();
    assert_eq!(newcomer.jwks().etag, etag);
}

fn pem_file(key: &SigningKey) -> tempfile::NamedTempFile {
    use base64::Engine as _;
    let der = key.to_pkcs8().unwrap().unwrap();
    let body = base64::engine::general_purpose::STANDARD.encode(der.expose());
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----").unwrap();
    file
}

/// OPS-02: keys come from files; an error names the file and nothing of what it holds.
#[tokio::test]
async fn keys_from_files() {
    let key = |algorithm| SigningKey::generate(algorithm, &SeededRandom::new(1)).unwrap();
    let (new, old) = (key(Algorithm::Es256), key(Algorithm::EdDsa));
    let (new_file, old_file) = (pem_file(&new), pem_file(&old));
    let from = |algorithm, paths: &[&std::path::Path]| {
        let keys = KeySource::Files(paths.iter().map(|path| path.to_path_buf()).collect());
        let settings = IdentitySettings { keys, ..settings(algorithm) };
        let (clock, random) = (Arc::new(ManualClock::default()), Arc::new(SeededRandom::new(1)));
        Identity::new(settings, vec![upstream("a")], None, clock, random)
    };
    let identity = from(Algorithm::Es256, &[new_file.path(), old_file.path()]).unwrap();
    assert!(identity.ready());
    identity.refresh_keys().await.unwrap();
    let document: Value = serde_json::from_slice(&identity.jwks().body).unwrap();
    assert_eq!(document, json!({"keys": [new.public_jwk(), old.public_jwk()]}));
    let known = session_claims();
    let token = identity.mint("a", &subject(&known), ManualClock::default().now()).unwrap();
    assert_eq!(header_of(bearer(&token))["kid"], json!(new.kid()));

    let name = |file: &tempfile::NamedTempFile| file.path().display().to_string();
    let wrong = from(Algorithm::Es256, &[old_file.path(), new_file.path()]).unwrap_err().to_string();
    assert!(wrong.contains(&name(&old_file)) && wrong.contains("ES256 needs an EC key on P-256"), "{wrong}");
    let mut junk = tempfile::NamedTempFile::new().unwrap();
    write!(junk, "hunter2").unwrap();
    let wrong = from(Algorithm::Es256, &[new_file.path(), junk.path()]).unwrap_err().to_string();
    assert!(wrong.contains(&name(&junk)) && !wrong.contains("hunter2"), "{wrong}");
    let absent = from(Algorithm::Es256, &[std::path::Path::new("/nowhere/key.pem")]).unwrap_err().to_string();
    assert!(absent.contains("/nowhere/key.pem"), "{absent}");
    assert!(from(Algorithm::Es256, &[]).is_err());
}

#[tokio::test]
async fn shared_keys_publish_nothing_and_settings_must_agree() {
    let setup = Setup::with(settings(Algorithm::Hs256), vec![upstream("a")]).await;
    assert_eq!(&*setup.identity.jwks().body, b"{\"keys\":[]}");
    let shared = settings(Algorithm::Hs256).keys;
    let managed = settings(Algorithm::Es256).keys;
    for (algorithm, keys) in
        [(Algorithm::Es256, shared), (Algorithm::Hs256, managed), (Algorithm::Hs256, KeySource::Shared(Vec::new()))]
    {
        let settings = IdentitySettings { keys, ..settings(algorithm) };
        let (clock, random) = (Arc::new(ManualClock::default()), Arc::new(SeededRandom::new(1)));
        assert!(Identity::new(settings, Vec::new(), None, clock, random).is_err(), "{algorithm}");
    }
}
