//! Beginning and end: drain, panics, clients that leave, TLS.

use std::path::Path;

use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::UnixStream;
use tokio_rustls::TlsConnector;

use super::*;
use crate::server::ListenError;

/// OPS-04: a panic is a 500 for that request alone, and the connection goes on.
#[tokio::test]
async fn a_panic_costs_one_request() {
    let served = Served::new(LimitSettings::default());
    let answers = served
        .talk("GET /panic HTTP/1.1\r\nHost: a\r\n\r\nGET /after HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!(statuses(&answers), [500, 200]);
    assert!(!answers.contains("planted"));
}

/// HTTP-16: a client that leaves ends the work for it.
#[tokio::test]
async fn a_client_that_leaves_cancels_its_request() {
    let served = Served::new(LimitSettings::default());
    let mut stream = served.connect().await;
    stream.write_all(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    served.service.arrived.notified().await;
    drop(stream);
    timeout(Duration::from_secs(1), served.service.dropped.notified()).await.unwrap();
}

/// HTTP-16: a body that breaks off has no last chunk, and the connection ends.
#[tokio::test]
async fn a_broken_answer_is_incomplete() {
    let served = Served::new(LimitSettings::default());
    let answer = served.talk("GET /broken HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(answer.contains("transfer-encoding: chunked") && !answer.contains("0\r\n\r\n"), "{answer}");
}

/// OPS-08: draining closes idle connections, finishes what is under way, and accepts nobody.
#[tokio::test]
async fn draining_finishes_what_is_under_way() {
    let mut served = Served::new(LimitSettings::default());
    let mut idle = served.connect().await;
    idle.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    read_until(&mut idle, "\r\n\r\n").await;
    let mut silent = served.connect().await;
    let mut busy = served.connect().await;
    busy.write_all(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    served.service.arrived.notified().await;

    served.shutdown.drain.cancel();
    assert_eq!(read_all(&mut idle).await, "");
    assert_eq!(read_all(&mut silent).await, "");
    assert!(!served.task.is_finished());
    served.service.go.notify_one();
    let answer = read_all(&mut busy).await;
    assert_eq!(statuses(&answer), [200]);
    assert!(answer.contains("connection: close"), "{answer}");
    timeout(Duration::from_secs(2), &mut served.task).await.unwrap().unwrap();
}

/// A connection that rests is put down and taken up again: it answers as before, also what comes in pieces, is drained as any
/// other, and ends after its idle time.
#[tokio::test]
async fn a_connection_at_rest_goes_on() {
    let mut served = Served::new(LimitSettings { idle_time: Duration::from_secs(2), ..LimitSettings::default() });
    let (mut patient, mut idle) = (served.connect().await, served.connect().await);
    idle.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    read_until(&mut idle, "\r\n\r\n").await;
    for _ in 0..3 {
        patient.write_all(b"GET / HT").await.unwrap();
        patient.write_all(b"TP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        assert_eq!(statuses(&read_until(&mut patient, "\r\n\r\n").await), [200]);
        // Longer than it takes a connection to come to rest.
        tokio::time::sleep(Duration::from_millis(800)).await;
    }
    assert_eq!(timeout(Duration::from_secs(1), read_all(&mut idle)).await.unwrap(), "");
    served.shutdown.drain.cancel();
    assert_eq!(timeout(Duration::from_secs(1), read_all(&mut patient)).await.unwrap(), "");
    timeout(Duration::from_secs(2), &mut served.task).await.unwrap().unwrap();
}

/// OPS-08: HTTP/2 clients are told to go away, and their open streams are answered.
#[tokio::test]
async fn draining_http2_answers_open_streams() {
    let mut served = Served::new(LimitSettings::default());
    let io = TokioIo::new(served.connect().await);
    let (mut sender, conn) =
        hyper::client::conn::http2::handshake::<_, _, Empty<bytes::Bytes>>(TokioExecutor::new(), io).await.unwrap();
    let conn = tokio::spawn(conn);
    let request = || Request::get("http://a/wait").body(Empty::new()).unwrap();
    let answer = tokio::spawn(sender.send_request(request()));
    served.service.arrived.notified().await;
    served.shutdown.drain.cancel();
    tokio::time::sleep(Duration::from_millis(50)).await;
    served.service.go.notify_one();
    assert_eq!(answer.await.unwrap().unwrap().status(), 200);
    timeout(Duration::from_secs(2), conn).await.unwrap().unwrap().unwrap();
    assert!(sender.send_request(request()).await.is_err());
    timeout(Duration::from_secs(2), &mut served.task).await.unwrap().unwrap();
}

/// OPS-08: what does not finish in time is closed, and so is everything on a hard stop.
#[tokio::test]
async fn draining_has_a_limit() {
    for hard in [true, false] {
        let drain_time = if hard { Duration::from_secs(60) } else { Duration::from_millis(100) };
        let mut served = Served::new(LimitSettings { drain_time, ..LimitSettings::default() });
        let mut busy = served.connect().await;
        busy.write_all(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        served.service.arrived.notified().await;
        served.shutdown.drain.cancel();
        if hard {
            served.shutdown.stop.cancel();
        }
        assert_eq!(read_all(&mut busy).await, "");
        timeout(Duration::from_secs(2), &mut served.task).await.unwrap().unwrap();
    }
}

/// DOS-03: over HTTP/2 fields and targets have the same limits.
#[tokio::test]
async fn http2_heads_have_limits() {
    let served = Served::new(LimitSettings { header_count: 50, header_bytes: 16 * 1024, ..LimitSettings::default() });
    let io = TokioIo::new(served.connect().await);
    let (mut sender, conn) =
        hyper::client::conn::http2::handshake::<_, _, Empty<bytes::Bytes>>(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(conn);
    for (path, fields, value, expected) in [
        ("/".to_owned(), 40, 10, 200),
        ("/".to_owned(), 51, 10, 431),
        ("/".to_owned(), 1, 17_000, 431),
        (format!("/{}", "x".repeat(8_300)), 1, 1, 414),
    ] {
        let mut request = Request::get(format!("http://a{path}"));
        for at in 0..fields {
            request = request.header(format!("x-{at}"), "x".repeat(value));
        }
        let answer = sender.send_request(request.body(Empty::new()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), expected, "{fields} {value}");
    }
}

fn certificate(directory: &Path, name: &str) -> (CertificateFiles, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let files = CertificateFiles {
        certificate: directory.join(format!("{name}.pem")),
        key: directory.join(format!("{name}.key")),
    };
    std::fs::write(&files.certificate, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    (files, made.cert.der().clone())
}

fn connector(
    roots: &[CertificateDer<'static>],
    protocols: &[&str],
    version: Option<&'static rustls::SupportedProtocolVersion>,
) -> TlsConnector {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(root.clone()).unwrap();
    }
    let versions = version.map_or_else(|| rustls::ALL_VERSIONS.to_vec(), |version| vec![version]);
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&versions)
        .unwrap()
        .with_root_certificates(store)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

/// TLS-06, TLS-08: both versions, strict ALPN, certificates by SNI, and a reload that a broken pair cannot hurt.
#[tokio::test]
async fn tls_by_name_and_protocol() {
    let directory = tempfile::tempdir().unwrap();
    let (one, one_root) = certificate(directory.path(), "one.test");
    let (two, two_root) = certificate(directory.path(), "two.test");
    let served = Served::with(LimitSettings::default(), Echo::default(), vec![one.clone(), two.clone()]);
    assert!(served.listener.address().starts_with("https://127.0.0.1:"));
    let dial = async |connector: TlsConnector, name: &'static str| {
        connector.connect(ServerName::try_from(name).unwrap(), served.connect().await).await
    };
    let roots = [one_root, two_root.clone()];
    for (name, offered, version, expected) in [
        ("one.test", &["h2", "http/1.1"][..], None, Some("h2")),
        ("two.test", &["http/1.1"], None, Some("http/1.1")),
        ("two.test", &["h2"], Some(&rustls::version::TLS12), Some("h2")),
        ("one.test", &[], Some(&rustls::version::TLS13), None),
    ] {
        let stream = dial(connector(&roots, offered, version), name).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), expected.map(str::as_bytes), "{name}");
    }
    assert!(dial(connector(&roots, &["smtp"], None), "one.test").await.is_err());

    let mut old = dial(connector(&roots, &["http/1.1"], None), "two.test").await.unwrap();
    std::fs::write(&two.certificate, "no certificate").unwrap();
    assert!(matches!(served.listener.reload(), Err(ListenError::Certificate { path, .. }) if path == two.certificate));
    assert!(dial(connector(&roots, &["h2"], None), "two.test").await.is_ok());

    let (_, new_root) = certificate(directory.path(), "two.test");
    served.listener.reload().unwrap();
    assert!(dial(connector(&[new_root], &["h2"], None), "two.test").await.is_ok());
    assert!(dial(connector(&[two_root], &["h2"], None), "two.test").await.is_err());
    old.write_all(b"GET / HTTP/1.1\r\nHost: two.test\r\nConnection: close\r\n\r\n").await.unwrap();
    assert_eq!(statuses(&read_all(&mut old).await), [200]);

    std::fs::copy(&one.key, &two.key).unwrap();
    let error = served.listener.reload().unwrap_err().to_string();
    assert!(error.contains("does not belong to"), "{error}");
}

#[tokio::test]
async fn says_why_it_cannot_listen() {
    let served = Served::new(LimitSettings::default());
    let directory = tempfile::tempdir().unwrap();
    let bind = |address, certificates| {
        Listener::bind(&ListenerSettings { address, certificates, redirect_to_https: false })
            .map(|it| it.address().to_owned())
    };
    let error = bind(ListenAddress::Tcp(served.address), Vec::new()).unwrap_err();
    assert!(error.to_string().contains(&format!("{}: it is in use", served.address)), "{error}");
    let missing = directory.path().join("missing.pem");
    let pair = CertificateFiles { certificate: missing.clone(), key: missing.clone() };
    let error = bind(ListenAddress::Tcp("127.0.0.1:0".parse().unwrap()), vec![pair]).unwrap_err();
    assert!(error.to_string().contains("missing.pem"), "{error}");
    let taken = directory.path().join("file");
    std::fs::write(&taken, "").unwrap();
    assert!(matches!(bind(ListenAddress::Unix(taken), Vec::new()), Err(ListenError::NotASocket { .. })));
}

#[tokio::test]
async fn serves_a_unix_socket_and_clears_a_stale_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let settings = ListenerSettings {
        address: ListenAddress::Unix(path.clone()),
        certificates: Vec::new(),
        redirect_to_https: false,
    };
    let listener = Listener::bind(&settings).unwrap();
    assert_eq!(listener.address(), format!("unix:{}", path.display()));
    assert!(matches!(Listener::bind(&settings), Err(ListenError::InUse { .. })));
    let shutdown = Shutdown::new();
    let serving = listener.serve(Arc::new(Echo::default()), LimitSettings::default(), shutdown.clone());
    let talking = async {
        let mut stream = UnixStream::connect(&path).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
        assert_eq!(statuses(&read_all(&mut stream).await), [200]);
        shutdown.drain.cancel();
    };
    tokio::join!(serving, talking);
    drop(listener);
    assert!(!path.exists());
}
