//! The broker through the AWS SDKs over HTTP, and its interface within the process.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_sns::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sns::types::MessageAttributeValue as SnsAttribute;
use aws_sdk_sqs::types::{MessageSystemAttributeName, QueueAttributeName};
use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::{Broker, ReceivedMessage, queue_arn, topic_arn};
use crate::iam::Iam;

mod database;
mod decoding;
mod durability;
mod filters;
mod protocol;
mod publishing;

/// An in-memory broker on a TCP socket, with SDK clients.
struct Server {
    broker: Arc<Broker>,
    url: String,
    sqs: aws_sdk_sqs::Client,
    sns: aws_sdk_sns::Client,
}

impl Server {
    async fn start() -> Self {
        Self::serve(Broker::open(None, String::new()).unwrap(), 0).await
    }

    async fn serve(broker: Arc<Broker>, port: u16) -> Self {
        let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        broker.set_base_url(url.clone());
        let router = broker.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let (sqs, sns) = clients(&url);
        Self { broker, url, sqs, sns }
    }

    async fn queue(&self, name: &str, attributes: &[(QueueAttributeName, &str)]) -> String {
        let mut create = self.sqs.create_queue().queue_name(name);
        for (name, value) in attributes {
            create = create.attributes(name.clone(), *value);
        }
        create.send().await.unwrap().queue_url.unwrap()
    }

    /// Creates a topic with subscribed queues.
    async fn topic(&self, name: &str, subscribers: &[(&str, &[(&str, &str)])]) -> String {
        let topic = self.sns.create_topic().name(name).send().await.unwrap().topic_arn.unwrap();
        for (queue, attributes) in subscribers {
            self.queue(queue, &[]).await;
            let mut subscribe =
                self.sns.subscribe().topic_arn(&topic).protocol("sqs").endpoint(queue_arn(queue));
            for (name, value) in *attributes {
                subscribe = subscribe.attributes(*name, *value);
            }
            subscribe.send().await.unwrap();
        }
        topic
    }

    /// Receives and deletes all messages of a queue.
    async fn drain(&self, queue: &str) -> Vec<super::ReceivedMessage> {
        let mut all = Vec::new();
        loop {
            let got = self.broker.receive(queue, 10, Duration::ZERO).await.unwrap();
            if got.is_empty() {
                return all;
            }
            let handles: Vec<String> = got.iter().map(|m| m.receipt_handle.clone()).collect();
            self.broker.delete(queue, &handles).unwrap();
            all.extend(got);
        }
    }
}

fn clients(url: &str) -> (aws_sdk_sqs::Client, aws_sdk_sns::Client) {
    clients_with(url, "test", "test")
}

fn clients_with(url: &str, key: &str, secret: &str) -> (aws_sdk_sqs::Client, aws_sdk_sns::Client) {
    let credentials = Credentials::new(key, secret, None, None, "test");
    let sqs = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(url)
        .region(Region::new("us-east-1"))
        .credentials_provider(credentials.clone())
        .retry_config(aws_sdk_sqs::config::retry::RetryConfig::disabled())
        .build();
    let sns = aws_sdk_sns::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(url)
        .region(Region::new("us-east-1"))
        .credentials_provider(credentials)
        .retry_config(aws_sdk_sns::config::retry::RetryConfig::disabled())
        .build();
    (aws_sdk_sqs::Client::from_conf(sqs), aws_sdk_sns::Client::from_conf(sns))
}

fn http() -> reqwest::Client {
    reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap()
}

fn attributes(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
}

fn redrive(target: &str, max_receives: u32) -> String {
    json!({ "deadLetterTargetArn": queue_arn(target), "maxReceiveCount": max_receives }).to_string()
}

fn text(value: &str) -> SnsAttribute {
    SnsAttribute::builder().data_type("String").string_value(value).build().unwrap()
}

/// A manual clock, in milliseconds since the Unix epoch.
fn manual_clock() -> (Arc<AtomicI64>, super::store::Clock) {
    let now = Arc::new(AtomicI64::new(1_700_000_000_000));
    let read = Arc::clone(&now);
    (now, Arc::new(move || read.load(Ordering::SeqCst)))
}

#[tokio::test]
async fn a_long_poll_wakes_when_a_message_is_sent() {
    let server = Server::start().await;
    let url = server.queue("q", &[]).await;
    let (sqs, poll_url) = (server.sqs.clone(), url.clone());
    let started = Instant::now();
    let mut poll =
        tokio::spawn(
            async move { sqs.receive_message().queue_url(poll_url).wait_time_seconds(20).send().await },
        );
    // Time for the poll to find the queue empty and wait. If it is too short, the test still passes.
    assert!(tokio::time::timeout(Duration::from_millis(100), &mut poll).await.is_err());
    server.sqs.send_message().queue_url(&url).message_body("m").send().await.unwrap();
    let got = poll.await.unwrap().unwrap();
    assert_eq!(got.messages()[0].body(), Some("m"));
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_long_poll_without_a_message_returns_at_its_deadline() {
    let broker = Broker::open(None, String::new()).unwrap();
    broker.ensure_queue("q", &BTreeMap::new()).unwrap();
    let started = Instant::now();
    assert!(broker.receive("q", 1, Duration::from_millis(50)).await.unwrap().is_empty());
    assert!(started.elapsed() >= Duration::from_millis(50));
}

#[tokio::test]
async fn an_undeleted_message_is_received_again_and_then_moves_to_the_dead_letter_queue() {
    let server = Server::start().await;
    server.queue("dead", &[]).await;
    let policy = redrive("dead", 2);
    let url = server
        .queue(
            "q",
            &[(QueueAttributeName::VisibilityTimeout, "1"), (QueueAttributeName::RedrivePolicy, &policy)],
        )
        .await;
    server.sqs.send_message().queue_url(&url).message_body("poison").send().await.unwrap();
    for count in ["1", "2"] {
        // The poll ends when the visibility timeout of the previous receive expires.
        let got = server
            .sqs
            .receive_message()
            .queue_url(&url)
            .wait_time_seconds(10)
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .send()
            .await
            .unwrap();
        let attributes = got.messages()[0].attributes().unwrap();
        assert_eq!(attributes[&MessageSystemAttributeName::ApproximateReceiveCount], count);
    }
    let dead = tokio::spawn({
        let broker = Arc::clone(&server.broker);
        async move { broker.receive("dead", 1, Duration::from_secs(10)).await }
    });
    assert!(server.broker.receive("q", 1, Duration::from_millis(1_500)).await.unwrap().is_empty());
    let dead = dead.await.unwrap().unwrap();
    assert_eq!(dead[0].body, "poison");
    assert_eq!(dead[0].attributes["ApproximateReceiveCount"], "1");
    assert_eq!(dead[0].attributes["DeadLetterQueueSourceArn"], queue_arn("q"));
}

#[tokio::test]
async fn a_message_move_task_returns_dead_letters_to_their_source_queue() {
    let (now, clock) = manual_clock();
    let server = Server::serve(Broker::open_with_clock(None, String::new(), clock).unwrap(), 0).await;
    server.queue("dead", &[]).await;
    let policy = redrive("dead", 1);
    let url = server.queue("q", &[(QueueAttributeName::RedrivePolicy, &policy)]).await;
    server.sqs.send_message().queue_url(&url).message_body("m").send().await.unwrap();
    assert_eq!(server.broker.receive("q", 1, Duration::ZERO).await.unwrap().len(), 1);
    now.fetch_add(30_000, Ordering::SeqCst);
    assert!(server.broker.receive("q", 1, Duration::ZERO).await.unwrap().is_empty());

    server.sqs.start_message_move_task().source_arn(queue_arn("dead")).send().await.unwrap();
    let tasks = server.sqs.list_message_move_tasks().source_arn(queue_arn("dead")).send().await.unwrap();
    assert_eq!(tasks.results()[0].status(), Some("COMPLETED"));
    assert_eq!(tasks.results()[0].approximate_number_of_messages_moved(), 1);
    let back = server.drain("q").await;
    assert_eq!(back[0].body, "m");
    assert_eq!(back[0].attributes["ApproximateReceiveCount"], "1");
    assert!(!back[0].attributes.contains_key("DeadLetterQueueSourceArn"));

    let none = server.sqs.start_message_move_task().source_arn(queue_arn("q")).send().await.unwrap_err();
    assert!(none.into_service_error().meta().message().unwrap().contains("Dead Letter Queue"));
}

#[tokio::test]
async fn only_the_latest_receipt_changes_visibility_and_any_receipt_deletes() {
    let (now, clock) = manual_clock();
    let broker = Broker::open_with_clock(None, String::new(), clock).unwrap();
    broker.ensure_queue("q", &attributes(&[("VisibilityTimeout", "10")])).unwrap();
    let topic = broker.ensure_topic("t").unwrap();
    broker.ensure_subscription(&topic, &queue_arn("q"), &BTreeMap::new()).unwrap();
    let server = Server::serve(Arc::clone(&broker), 0).await;
    server.sns.publish().topic_arn(&topic).message("m").send().await.unwrap();
    let url = server.sqs.get_queue_url().queue_name("q").send().await.unwrap().queue_url.unwrap();
    let change = async |message: &ReceivedMessage, seconds| {
        let request = server.sqs.change_message_visibility().queue_url(&url).visibility_timeout(seconds);
        request.receipt_handle(&message.receipt_handle).send().await
    };

    let first = broker.receive("q", 1, Duration::ZERO).await.unwrap().remove(0);
    change(&first, 0).await.unwrap();
    assert!(change(&first, 0).await.is_err(), "not in flight");
    let second = broker.receive("q", 1, Duration::ZERO).await.unwrap().remove(0);
    assert_ne!(first.receipt_handle, second.receipt_handle);
    assert_eq!(first.message_id, second.message_id);
    assert!(change(&first, 0).await.is_err(), "an old receipt");
    change(&second, 60).await.unwrap();
    now.fetch_add(59_999, Ordering::SeqCst);
    assert!(broker.receive("q", 1, Duration::ZERO).await.unwrap().is_empty());
    now.fetch_add(1, Ordering::SeqCst);
    assert_eq!(broker.receive("q", 1, Duration::ZERO).await.unwrap().len(), 1);

    broker.delete("q", std::slice::from_ref(&first.receipt_handle)).unwrap();
    assert_eq!(broker.depths().unwrap()[0].in_flight, 0);
    broker.delete("q", &[first.receipt_handle]).unwrap();
}

#[tokio::test]
async fn a_release_keeps_what_the_receiver_has_done() {
    let (now, clock) = manual_clock();
    let broker = Broker::open_with_clock(None, String::new(), clock).unwrap();
    broker.ensure_queue("q", &attributes(&[("VisibilityTimeout", "100")])).unwrap();
    let server = Server::serve(Arc::clone(&broker), 0).await;
    let url = server.sqs.get_queue_url().queue_name("q").send().await.unwrap().queue_url.unwrap();
    for body in ["deleted", "delayed", "untouched"] {
        server.sqs.send_message().queue_url(&url).message_body(body).send().await.unwrap();
    }
    let messages = broker.receive("q", 10, Duration::ZERO).await.unwrap();
    let [deleted, delayed, untouched] = messages.as_slice() else { panic!("{messages:?}") };
    server.sqs.delete_message().queue_url(&url).receipt_handle(&deleted.receipt_handle).send().await.unwrap();
    let request = server.sqs.change_message_visibility().queue_url(&url).visibility_timeout(50);
    request.receipt_handle(&delayed.receipt_handle).send().await.unwrap();
    for message in &messages {
        broker.release("q", message, Duration::from_secs(1)).unwrap();
    }
    for (seconds, expected) in [(0, None), (1, Some(untouched)), (49, Some(delayed)), (1000, None)] {
        now.fetch_add(seconds * 1000, Ordering::SeqCst);
        let received = broker.receive("q", 10, Duration::ZERO).await.unwrap();
        let received: Vec<_> = received.iter().map(|message| &message.message_id).collect();
        assert_eq!(received, expected.map(|message| &message.message_id).into_iter().collect::<Vec<_>>());
        broker.store().write(|c, _| Ok(c.execute("DELETE FROM messages WHERE receives = 2", [])?)).unwrap();
    }
}

#[tokio::test]
async fn delay_and_retention_period_are_exact() {
    let (now, clock) = manual_clock();
    let broker = Broker::open_with_clock(None, String::new(), clock).unwrap();
    broker.ensure_queue("q", &attributes(&[("MessageRetentionPeriod", "60")])).unwrap();
    let server = Server::serve(Arc::clone(&broker), 0).await;
    let url = server.sqs.get_queue_url().queue_name("q").send().await.unwrap().queue_url.unwrap();
    server.sqs.send_message().queue_url(&url).message_body("m").delay_seconds(5).send().await.unwrap();
    assert!(broker.receive("q", 1, Duration::ZERO).await.unwrap().is_empty());
    assert_eq!(broker.depths().unwrap()[0].delayed, 1);
    now.fetch_add(5_000, Ordering::SeqCst);
    assert_eq!(broker.depths().unwrap()[0].visible, 1);
    now.fetch_add(55_000, Ordering::SeqCst);
    assert_eq!(broker.depths().unwrap()[0].visible, 0);
    assert!(broker.receive("q", 1, Duration::ZERO).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_receivers_never_get_the_same_message() {
    let server = Server::start().await;
    let topic = server.topic("t", &[("q", &[("RawMessageDelivery", "true")])]).await;
    for number in 0..300 {
        server.sns.publish().topic_arn(&topic).message(number.to_string()).send().await.unwrap();
    }
    let receivers = (0..8).map(|_| {
        let broker = Arc::clone(&server.broker);
        tokio::spawn(async move {
            let mut mine = Vec::new();
            loop {
                let got = broker.receive("q", 3, Duration::ZERO).await.unwrap();
                if got.is_empty() {
                    return mine;
                }
                mine.extend(got.into_iter().map(|m| m.message_id));
            }
        })
    });
    let all: Vec<String> =
        futures_util::future::join_all(receivers).await.into_iter().flat_map(Result::unwrap).collect();
    assert_eq!(all.len(), 300);
    assert_eq!(all.into_iter().collect::<HashSet<_>>().len(), 300);
}

#[tokio::test]
async fn an_unauthorized_request_gets_the_error_of_its_protocol() {
    let server = Server::start().await;
    let allowed = server.queue("allowed", &[]).await;
    let denied = server.queue("denied", &[]).await;
    let (iam, keys) = Iam::allowing("sqs:SendMessage", &queue_arn("allowed"));
    server.broker.set_iam(Arc::new(iam));
    let (sqs, sns) = clients_with(&server.url, &keys.access_key_id, &keys.secret_access_key);
    sqs.send_message().queue_url(&allowed).message_body("m").send().await.unwrap();
    let error = sqs.send_message().queue_url(&denied).message_body("m").send().await.unwrap_err();
    assert_eq!(error.raw_response().unwrap().status().as_u16(), 403);
    let error = error.into_service_error();
    assert_eq!(error.meta().code(), Some("AccessDenied"));
    let message = error.meta().message().unwrap();
    assert!(message.contains(&format!("sqs:SendMessage on resource: {}", queue_arn("denied"))), "{message}");
    let error = sns.publish().topic_arn(topic_arn("t")).message("m").send().await.unwrap_err();
    assert_eq!(error.raw_response().unwrap().status().as_u16(), 403);
    assert_eq!(error.into_service_error().meta().code(), Some("AccessDenied"));
}

/// A broker process for manual tests and for the test that kills it: serves `BROKER_SECONDS` seconds at
/// `BROKER_PORT` (default: a free port), stores its data at `BROKER_PATH` (default: in memory) and writes its
/// URL to `BROKER_URL_FILE`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a helper process, not a test"]
async fn serve_for_a_while() {
    let number = |name: &str| -> Option<u16> {
        std::env::var_os(name).map(|value| value.to_str().unwrap().parse().unwrap())
    };
    let path = std::env::var_os("BROKER_PATH").map(std::path::PathBuf::from);
    let broker = Broker::open(path.as_deref(), String::new()).unwrap();
    let server = Server::serve(broker, number("BROKER_PORT").unwrap_or(0)).await;
    if let Some(file) = std::env::var_os("BROKER_URL_FILE").map(std::path::PathBuf::from) {
        // Renamed, so that a reader never gets a partial URL.
        std::fs::write(file.with_extension("part"), &server.url).unwrap();
        std::fs::rename(file.with_extension("part"), file).unwrap();
    }
    tokio::time::sleep(Duration::from_secs(number("BROKER_SECONDS").unwrap_or(60).into())).await;
}
