//! The operator's commands for dead letters, over the emulator's SQS.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sqs::types::MessageAttributeValue;
use erp_aws::batch::REASON_ATTRIBUTE;
use erp_contracts::{Cause, Event, EventKind};
use erp_domain::time::{RandomIds, SystemClock};
use erp_domain::{Clock as _, Ids as _};
use erp_local::broker::{Broker, queue_arn};
use operator::dlq::{Consumer, DeadLetterQueue, DlqError, Selection, messages, queues};
use serde_json::json;

/// The queues of some stacks.
struct Queues {
    sqs: Client,
    broker: Arc<Broker>,
    url: String,
}

impl Queues {
    async fn start(stacks: &[&str]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let broker = Broker::open(None, url.clone()).unwrap();
        let router = broker.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        for stack in stacks {
            for queue in ["stock-queue", "order-status-queue"] {
                let (queue, dead) = (format!("{stack}-{queue}"), format!("{stack}-{queue}-dlq"));
                broker.ensure_queue(&dead, &BTreeMap::new()).unwrap();
                let arn = queue_arn(&dead);
                let policy = format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":1}}"#);
                let redrive = BTreeMap::from([("RedrivePolicy".to_owned(), policy)]);
                broker.ensure_queue(&queue, &redrive).unwrap();
            }
        }
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .endpoint_url(&url)
            .credentials_provider(Credentials::new("test", "test", None, None, "test"));
        Self { sqs: Client::from_conf(config.build()), broker, url }
    }

    fn queue_url(&self, queue: &str) -> String {
        format!("{}/000000000000/{queue}", self.url)
    }

    /// Sends a message to a queue and receives it until it is a dead letter.
    async fn send_dead_letter(&self, queue: &str, body: impl Into<String>) {
        let kind = MessageAttributeValue::builder().data_type("String").string_value("any").build().unwrap();
        let send = self.sqs.send_message().queue_url(self.queue_url(queue)).message_body(body);
        send.message_attributes("type", kind).send().await.unwrap();
        for _ in 0..2 {
            let receive = self.sqs.receive_message().queue_url(self.queue_url(queue)).visibility_timeout(0);
            receive.max_number_of_messages(10).send().await.unwrap();
        }
    }

    /// Returns the number of visible messages and of messages in flight.
    fn depth(&self, queue: &str) -> (u64, u64) {
        let depths = self.broker.depths().unwrap();
        let depth = depths.iter().find(|depth| depth.name == queue).unwrap();
        (depth.visible, depth.in_flight)
    }

    async fn dead_letter_queue(&self, queue: &str) -> DeadLetterQueue {
        queues::find(&self.sqs, "erp", Some(queue)).await.unwrap().remove(0)
    }
}

fn event() -> Event {
    let (id, kind) = (RandomIds.next(), EventKind::SalesConfirmed);
    Event::new(id, kind, "s-1", SystemClock.now(), &Cause::default(), &json!({})).unwrap()
}

#[tokio::test]
async fn dead_letters_are_listed_with_the_fields_of_their_events() {
    let queues = Queues::start(&["erp"]).await;
    let bodies = [
        ("nonsense", None),
        (r#"{"type":"sales.order.confirmed","subject":"s-1"}"#, Some("sales.order.confirmed")),
    ];
    for (body, _) in bodies {
        queues.send_dead_letter("erp-stock-queue", body).await;
    }
    queues.send_dead_letter("erp-stock-queue", event().to_json().unwrap()).await;

    let queue = queues.dead_letter_queue("stock-queue-dlq").await;
    assert_eq!((queue.visible, queue.consumer, queue.sources.len()), (3, Consumer::Inventory, 1));
    let found = messages::receive(&queues.sqs, &queue, &Selection::default()).await.unwrap();
    assert_eq!(queues.depth("erp-stock-queue-dlq"), (0, 3), "invisible to others");
    messages::release(&queues.sqs, &queue, &found).await.unwrap();
    assert_eq!(queues.depth("erp-stock-queue-dlq"), (3, 0), "visible after the release");
    assert_eq!(found.len(), 3);
    for (message, (body, kind)) in found.iter().zip(bodies) {
        assert_eq!((message.body.as_str(), message.kind.as_deref()), (body, kind));
        assert!(message.sent_at.is_some() && message.receives > 0);
    }
}

#[tokio::test]
async fn a_redriven_message_is_in_its_source_queue_with_its_attributes() {
    let queues = Queues::start(&["erp"]).await;
    let event = event();
    queues.send_dead_letter("erp-stock-queue", event.to_json().unwrap()).await;
    queues.send_dead_letter("erp-stock-queue", "nonsense").await;
    let queue = queues.dead_letter_queue("erp-stock-queue-dlq").await;
    let selection = Selection { ids: vec![event.id.to_string()], kind: None };
    let message = messages::receive(&queues.sqs, &queue, &selection).await.unwrap().remove(0);
    assert_eq!(queues.depth("erp-stock-queue-dlq"), (1, 1), "the other message is visible");

    messages::redrive(&queues.sqs, &queue, &message).await.unwrap();
    assert_eq!(queues.depth("erp-stock-queue-dlq"), (1, 0));
    let receive = queues.sqs.receive_message().queue_url(queues.queue_url("erp-stock-queue"));
    let back = receive.message_attribute_names("All").send().await.unwrap().messages.unwrap().remove(0);
    assert_eq!(back.message_attributes.unwrap()["type"].string_value(), Some("any"));
    assert_eq!(Event::parse(&back.body.unwrap()).unwrap().id, event.id);
}

#[tokio::test]
async fn a_message_that_a_worker_has_moved_is_redriven_without_the_reason() {
    let queues = Queues::start(&["erp"]).await;
    let text = |value: &str| {
        let value = MessageAttributeValue::builder().data_type("String").string_value(value);
        value.build().unwrap()
    };
    for body in ["one", "two"] {
        let send = queues.sqs.send_message().queue_url(queues.queue_url("erp-stock-queue-dlq"));
        let send = send.message_body(body).message_attributes("type", text("any"));
        send.message_attributes(REASON_ATTRIBUTE, text("not an event")).send().await.unwrap();
    }
    let queue = queues.dead_letter_queue("stock-queue-dlq").await;
    let found = messages::receive(&queues.sqs, &queue, &Selection::default()).await.unwrap();
    assert!(found.iter().all(|found| found.reason.as_deref() == Some("not an event")), "{found:?}");
    messages::redrive(&queues.sqs, &queue, &found[0]).await.unwrap();
    let receive = queues.sqs.receive_message().queue_url(queues.queue_url("erp-stock-queue"));
    let back = receive.message_attribute_names("All").send().await.unwrap().messages.unwrap().remove(0);
    let attributes = back.message_attributes.unwrap();
    assert_eq!(attributes.keys().collect::<Vec<_>>(), ["type"]);

    // SQS does not know the source of these messages.
    messages::release(&queues.sqs, &queue, &found[1..]).await.unwrap();
    assert_eq!(messages::redrive_all(&queues.sqs, &queue).await.unwrap(), 1);
    assert_eq!(queues.depth("erp-stock-queue-dlq"), (0, 0));
}

#[tokio::test]
async fn redriving_all_messages_affects_only_the_selected_stack() {
    let queues = Queues::start(&["erp", "erp-dev"]).await;
    for stack in ["erp", "erp-dev"] {
        for n in 0..25 {
            queues.send_dead_letter(&format!("{stack}-stock-queue"), format!("{n}")).await;
        }
    }
    let found = queues::find(&queues.sqs, "erp", None).await.unwrap();
    let names: Vec<&str> = found.iter().map(|queue| queue.name.as_str()).collect();
    assert_eq!(names, ["erp-stock-queue-dlq", "erp-order-status-queue-dlq"]);
    let all = messages::receive(&queues.sqs, &found[0], &Selection::default()).await.unwrap();
    assert_eq!(all.len(), 25);
    // The program that received them has ended.
    queues.broker.release_in_flight().unwrap();
    assert_eq!(messages::redrive_all(&queues.sqs, &found[0]).await.unwrap(), 25);
    assert_eq!((queues.depth("erp-stock-queue"), queues.depth("erp-stock-queue-dlq")), ((25, 0), (0, 0)));
    assert_eq!(queues.depth("erp-dev-stock-queue-dlq"), (25, 0));
    let none = queues::find(&queues.sqs, "unknown", None).await;
    assert!(matches!(none, Err(DlqError::Rejected(reason)) if reason.contains("unknown-stock-queue-dlq")));
}

#[tokio::test]
async fn a_discarded_message_is_saved_first() {
    let queues = Queues::start(&["erp"]).await;
    queues.send_dead_letter("erp-stock-queue", "line one\nline two").await;
    let queue = queues.dead_letter_queue("stock-queue-dlq").await;
    let found = messages::receive(&queues.sqs, &queue, &Selection::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("no/such/folder");
    assert!(messages::save(&missing, &found).is_err(), "then nothing is deleted");
    let file = folder.path().join("saved.jsonl");
    for _ in 0..2 {
        messages::save(&file, &found).unwrap();
    }
    messages::delete(&queues.sqs, &queue, &found[0]).await.unwrap();
    assert_eq!(queues.depth("erp-stock-queue-dlq"), (0, 0));
    let saved = std::fs::read_to_string(&file).unwrap();
    assert_eq!(saved.lines().count(), 2, "earlier contents are kept");
    let line: serde_json::Value = serde_json::from_str(saved.lines().next().unwrap()).unwrap();
    assert_eq!(line["body"], "line one\nline two");
}
