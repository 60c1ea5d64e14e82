//! Whom we trust to be the application.

use std::path::Path;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use tokio_rustls::TlsAcceptor;

use super::*;

/// A TLS server for `name` that answers every request of a connection; its certificate is written to `pem`.
async fn serve(name: &str, pem: &Path) -> u16 {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    std::fs::write(pem, made.cert.pem()).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut head = Vec::new();
                while let Ok(byte) = stream.read_u8().await {
                    head.push(byte);
                    if head.ends_with(b"\r\n\r\n") {
                        head.clear();
                        stream.write_all(OK.as_bytes()).await.unwrap();
                    }
                }
            });
        }
    });
    port
}

/// TLS-02: an upstream's certificate must be of a trusted root and for its name; `ca` adds a root for that upstream alone.
#[tokio::test]
async fn certificates_and_names_are_verified() {
    let directory = tempfile::tempdir().unwrap();
    let (good, other) = (directory.path().join("good.pem"), directory.path().join("other.pem"));
    let port = serve("localhost", &good).await;
    serve("localhost", &other).await;
    let wrong_name = directory.path().join("wrong.pem");
    let wrong_port = serve("elsewhere.test", &wrong_name).await;
    for (port, ca, expected) in [
        (port, Some(&good), true),
        (port, None, false),
        (port, Some(&other), false),
        (wrong_port, Some(&wrong_name), false),
    ] {
        let mut settings = settings(Target::Https { host: "localhost".to_owned(), port });
        settings.ca = ca.cloned();
        let upstream = Upstream::new(&settings, owned()).unwrap();
        for _ in 0..2 {
            match ask(&upstream, get("/")).await {
                Ok(text) => assert!(expected && text == "ok"),
                Err(error) => assert!(!expected && matches!(error, UpstreamError::Connect { .. }), "{error:?}"),
            }
        }
        assert_eq!(upstream.metrics().connects, u64::from(expected));
    }
    let mut broken = settings(Target::Https { host: "localhost".to_owned(), port });
    let empty = directory.path().join("empty.pem");
    std::fs::write(&empty, "nothing").unwrap();
    broken.ca = Some(empty);
    let error = Upstream::new(&broken, owned()).unwrap_err().to_string();
    assert!(error.contains("empty.pem"), "{error}");
}
