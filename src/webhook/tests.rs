//! Webhooks at a receiver that answers as it is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;
use crate::base::Timestamp;
use crate::session::Ended;
use crate::testing::{ManualClock, SeededRandom};

/// Answers each request with the next status, the last one for ever, and hands on what it read.
async fn receiver(statuses: &'static [u16]) -> (Url, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/hook", listener.local_addr().unwrap())).unwrap();
    let (sender, read) = mpsc::unbounded_channel();
    let served = Arc::new(AtomicUsize::new(0));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (sender, served) = (sender.clone(), Arc::clone(&served));
            tokio::spawn(async move {
                let (mut seen, mut part) = (Vec::new(), [0; 4096]);
                while let Ok(n @ 1..) = stream.read(&mut part).await {
                    seen.extend_from_slice(&part[..n]);
                    let text = String::from_utf8_lossy(&seen).into_owned();
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                    let length: usize =
                        head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
                    if body.len() < length {
                        continue;
                    }
                    seen.clear();
                    let _ = sender.send(text);
                    let number = served.fetch_add(1, Ordering::SeqCst);
                    let status = statuses.get(number).or(statuses.last()).unwrap();
                    let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 2\r\n\r\nok");
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (url, read)
}

fn settings(url: Url) -> WebhookSettings {
    WebhookSettings {
        name: "siem".into(),
        url,
        secret: Secret::new(vec![7; 32]),
        started: true,
        ended: true,
        ca: None,
        queue: 4,
        give_up: Duration::from_secs(3600),
    }
}

fn webhooks(settings: WebhookSettings) -> Webhooks {
    let clock = Arc::new(ManualClock::at(Timestamp::from_unix_seconds(1_800_000_000)));
    Webhooks::new(vec![settings], clock, Arc::new(SeededRandom::new(1))).unwrap()
}

fn happening(what: What) -> Happening {
    let at = Timestamp::from_unix_seconds(1_800_000_000);
    Happening {
        what,
        at,
        sid: "sid-1".to_owned(),
        provider: "corp".to_owned(),
        issuer: "https://id.example".to_owned(),
        subject: "u1".to_owned(),
        created: at,
        expires: at + Duration::from_secs(60),
    }
}

fn field<'a>(request: &'a str, name: &str) -> &'a str {
    request.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap()
}

#[tokio::test]
async fn a_receiver_can_check_whom_an_event_comes_from() {
    let (url, mut read) = receiver(&[200]).await;
    let webhooks = webhooks(settings(url));
    webhooks.saw(&happening(What::Ended(Ended::Provider)));
    let request = read.recv().await.unwrap();
    webhooks.finish(Duration::from_secs(5)).await;
    assert!(request.starts_with("POST /hook HTTP/1.1\r\n"), "{request}");
    let (_, body) = request.split_once("\r\n\r\n").unwrap();
    let json: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "type": "session.ended", "timestamp": "2027-01-15T08:00:00Z",
            "data": {
                "sid": "sid-1", "provider": "corp", "issuer": "https://id.example", "sub": "u1", "reason": "provider",
                "created": "2027-01-15T08:00:00Z", "expires": "2027-01-15T08:01:00Z"
            }
        })
    );
    let message = Message {
        id: field(&request, "webhook-id").to_owned(),
        since: Timestamp::from_unix_seconds(0),
        body: body.to_owned().into(),
    };
    assert_eq!(field(&request, "webhook-timestamp"), "1800000000");
    assert_eq!(field(&request, "webhook-signature"), message.signature(&Secret::new(vec![7; 32]), 1_800_000_000));
    assert_eq!(webhooks.metrics()[0].delivered, 1);
}

#[tokio::test]
async fn what_is_not_taken_is_tried_again_under_the_same_id() {
    let (url, mut read) = receiver(&[500, 301, 204]).await;
    let webhooks = webhooks(settings(url));
    webhooks.saw(&happening(What::Started));
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(field(&read.recv().await.unwrap(), "webhook-id").to_owned());
    }
    webhooks.finish(Duration::from_secs(600)).await;
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let counted = webhooks.metrics().remove(0);
    assert_eq!((counted.delivered, counted.failed, counted.dropped, counted.waiting), (1, 2, 0, 0));
}

#[tokio::test]
async fn it_is_given_up_in_the_end() {
    let (url, mut read) = receiver(&[503]).await;
    let webhooks = webhooks(WebhookSettings { give_up: Duration::from_millis(400), ..settings(url) });
    webhooks.saw(&happening(What::Started));
    webhooks.finish(Duration::from_secs(600)).await;
    assert!(read.recv().await.is_some());
    let counted = webhooks.metrics().remove(0);
    assert_eq!((counted.delivered, counted.failed, counted.dropped, counted.waiting), (0, 1, 1, 0));
}

#[tokio::test]
async fn a_receiver_that_wants_no_more_is_not_asked_again() {
    let (url, mut read) = receiver(&[410]).await;
    let webhooks = webhooks(settings(url));
    webhooks.saw(&happening(What::Started));
    webhooks.finish(Duration::from_secs(600)).await;
    assert!(read.recv().await.is_some() && read.try_recv().is_err());
    assert_eq!(webhooks.metrics()[0].dropped, 1);
}

#[tokio::test]
async fn a_full_queue_keeps_nobody_waiting() {
    // Nobody answers there.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let webhooks = webhooks(settings(url));
    for _ in 0..100 {
        webhooks.saw(&happening(What::Started));
    }
    let counted = webhooks.metrics().remove(0);
    assert_eq!((counted.waiting, counted.dropped), (4, 96));
}

#[tokio::test]
async fn it_hears_of_what_it_asked_for() {
    let (url, mut read) = receiver(&[200]).await;
    let webhooks = webhooks(WebhookSettings { started: false, ..settings(url) });
    webhooks.saw(&happening(What::Started));
    webhooks.saw(&happening(What::Ended(Ended::Logout)));
    webhooks.finish(Duration::from_secs(5)).await;
    assert!(read.recv().await.unwrap().contains("session.ended"));
    assert!(read.try_recv().is_err());
}
