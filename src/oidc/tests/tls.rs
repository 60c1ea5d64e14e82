//! The provider behind TLS, as it is in production.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::PrivateKeyDer;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// Takes TLS off and passes the bytes on to `op`. Gives the https issuer, which `op` announces from now on, and the certificate.
async fn front(op: &TestProvider) -> (String, String) {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(own.signing_key.serialize_der().into());
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let behind = op.issuer().strip_prefix("http://").unwrap().to_owned();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, behind) = (acceptor.clone(), behind.clone());
            tokio::spawn(async move {
                let Ok(mut outside) = acceptor.accept(stream).await else { return };
                let mut inside = TcpStream::connect(behind).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
            });
        }
    });
    op.announce(json!({
        "issuer": issuer, "authorization_endpoint": format!("{issuer}/authorize"), "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/jwks"), "userinfo_endpoint": format!("{issuer}/userinfo"),
        "end_session_endpoint": format!("{issuer}/logout"), "revocation_endpoint": format!("{issuer}/revoke"),
    }));
    (issuer, own.cert.pem())
}

/// CLI-10: nothing is sent to a provider whose certificate does not verify; the configured roots are trusted beside the system's.
#[tokio::test]
async fn only_a_verified_provider_is_spoken_to() {
    let op = TestProvider::start().await;
    let (issuer, pem) = front(&op).await;
    let clock = ManualClock::default();

    let strange = client_of(settings(&issuer), &clock);
    match strange.warm().await.unwrap_err() {
        ProviderError::Unavailable { endpoint: Endpoint::Discovery, outage: Outage::Connect(why) } => {
            assert!(why.contains("certificate"), "{why}");
        }
        other => panic!("{other}"),
    }
    assert_eq!(op.count(provider::DISCOVERY), 0);

    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(pem.as_bytes()).unwrap();
    let mut trusting = settings(&issuer);
    trusting.ca = Some(file.path().to_owned());
    let bench = Bench { provider: client_of(trusting.clone(), &clock), op, clock };
    let attempt = bench.attempt();
    let mut claims = bench.id_claims(&attempt);
    claims["iss"] = json!(issuer);
    bench.sign_in_as(&attempt, &claims).await.unwrap();
    assert!(bench.provider.revoke(&Secret::new("t".to_owned()), TokenKind::Access).await.unwrap());

    // LOGIN-18: a plain token endpoint in the metadata of an https provider: nobody is sent there.
    let before = bench.op.count("/token");
    bench.op.announce(json!({"issuer": issuer, "authorization_endpoint": format!("{issuer}/authorize")}));
    let plain = client_of(trusting, &bench.clock);
    let error = plain.authorization_url(&attempt).await.unwrap_err();
    assert!(matches!(error, ProviderError::EndpointUrl("token_endpoint")), "{error}");
    bench.clock.advance(Duration::from_secs(60));
    assert!(plain.exchange(&Secret::new("c".to_owned()), &attempt).await.is_err());
    assert_eq!(bench.op.count("/token"), before);
}
