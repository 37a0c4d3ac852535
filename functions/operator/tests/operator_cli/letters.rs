//! Dead letters, over the SQS of one machine and the real tables.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sqs::types::MessageAttributeValue;
use erp_contracts::Event;
use erp_domain::order::Transition;
use erp_local::broker::{Broker, queue_arn};
use operator::dlq::{Consumer, DeadLetters, DlqError, Letter, Selection, explain, letters, queues};

use crate::shop::{LATER, Shop, take_outbox};

/// The queues of some stacks.
struct Post {
    sqs: Client,
    broker: Arc<Broker>,
    url: String,
}

impl Post {
    async fn open(stacks: &[&str]) -> Self {
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

    /// A message that was sent to a queue and that nobody could handle.
    async fn give_up(&self, queue: &str, body: impl Into<String>) {
        let kind = MessageAttributeValue::builder().data_type("String").string_value("any").build().unwrap();
        let send = self.sqs.send_message().queue_url(self.queue_url(queue)).message_body(body);
        send.message_attributes("type", kind).send().await.unwrap();
        for _ in 0..2 {
            let receive = self.sqs.receive_message().queue_url(self.queue_url(queue)).visibility_timeout(0);
            receive.max_number_of_messages(10).send().await.unwrap();
        }
    }

    /// What a queue holds, visible or not.
    fn depth(&self, queue: &str) -> (u64, u64) {
        let depths = self.broker.depths().unwrap();
        let depth = depths.iter().find(|depth| depth.name == queue).unwrap();
        (depth.visible, depth.in_flight)
    }

    async fn dead(&self, queue: &str) -> DeadLetters {
        queues::find(&self.sqs, "erp", Some(queue)).await.unwrap().remove(0)
    }
}

fn by_id(id: impl ToString) -> Selection {
    Selection { ids: vec![id.to_string()], kind: None }
}

/// The event of a sale of 4 that was just confirmed.
async fn confirmed(shop: &Shop, quantity: i64) -> Event {
    let item = shop.item(10).await;
    shop.order(item, quantity, Transition::Confirm).await;
    take_outbox(&shop.tables.sales).await.remove(0)
}

async fn explained(shop: &Shop, consumer: Consumer, letter: &Letter) -> operator::dlq::Explanation {
    explain(&shop.books(LATER), consumer, letter).await.unwrap()
}

#[tokio::test]
async fn poison_is_listed_with_what_it_says_and_explained_by_the_fault_that_the_worker_finds() {
    let (shop, post) = (Shop::open().await, Post::open(&["erp"]).await);
    let poison = [
        ("nonsense", None),
        (r#"{"type":"sales.order.confirmed","subject":"s-1"}"#, Some("sales.order.confirmed")),
    ];
    for (body, _) in poison {
        post.give_up("erp-stock-queue", body).await;
    }
    let event = confirmed(&shop, 4).await.to_json().unwrap();
    post.give_up("erp-stock-queue", event.replace("order_id", "order_nr")).await;

    let queue = post.dead("stock-queue-dlq").await;
    assert_eq!((queue.visible, queue.consumer, queue.sources.len()), (3, Consumer::Inventory, 1));
    let found = letters::take(&post.sqs, &queue, &Selection::default()).await.unwrap();
    assert_eq!(post.depth("erp-stock-queue-dlq"), (0, 3), "hidden while somebody looks");
    letters::give_back(&post.sqs, &queue, &found).await.unwrap();
    assert_eq!(post.depth("erp-stock-queue-dlq"), (3, 0), "and there again afterwards");
    for (letter, (body, kind)) in found.iter().zip(poison) {
        assert_eq!((letter.body.as_str(), letter.kind.as_deref()), (body, kind));
        assert!(letter.sent_at.is_some() && letter.receives > 0);
    }
    for (letter, fault) in found.iter().zip(["expected", "missing field", "missing field `order_id`"]) {
        let explanation = explained(&shop, queue.consumer, letter).await;
        assert!(explanation.poison.as_ref().unwrap().contains(fault), "{explanation:?}");
        assert!(!explanation.would_change);
    }
}

#[tokio::test]
async fn a_letter_is_explained_by_what_is_true_now_and_applied_when_it_is_redriven() {
    let (shop, post) = (Shop::open().await, Post::open(&["erp"]).await);
    let event = confirmed(&shop, 4).await;
    post.give_up("erp-stock-queue", event.to_json().unwrap()).await;
    post.give_up("erp-stock-queue", "nonsense").await;
    let queue = post.dead("erp-stock-queue-dlq").await;
    let letter = letters::take(&post.sqs, &queue, &by_id(event.id)).await.unwrap().remove(0);
    assert_eq!(post.depth("erp-stock-queue-dlq"), (1, 1), "the other one is nobody's business");

    let explanation = explained(&shop, queue.consumer, &letter).await;
    assert!(explanation.would_change && explanation.redriving.contains("there is enough"), "{explanation:?}");
    assert_eq!(explanation.now, ["Sales order: confirmed, shows pending (decision 0)", "Allocation: none"]);

    letters::redrive(&post.sqs, &queue, &letter).await.unwrap();
    assert_eq!(post.depth("erp-stock-queue-dlq"), (1, 0));
    let receive = post.sqs.receive_message().queue_url(post.queue_url("erp-stock-queue"));
    let back = receive.message_attribute_names("All").send().await.unwrap().messages.unwrap().remove(0);
    assert_eq!(back.message_attributes.unwrap()["type"].string_value(), Some("any"));
    shop.deliver(&Event::parse(&back.body.unwrap()).unwrap()).await;

    let explanation = explained(&shop, queue.consumer, &letter).await;
    assert!(!explanation.would_change, "{explanation:?}");
    assert!(explanation.now[1].starts_with("Allocation: allocated"), "{explanation:?}");
}

#[tokio::test]
async fn what_waits_what_follows_and_what_was_decided_is_explained_as_the_workers_see_it() {
    let (shop, post) = (Shop::open().await, Post::open(&["erp"]).await);
    let event = confirmed(&shop, 40).await;
    let letter = async |queue: &str, event: &Event| {
        post.give_up(queue, event.to_json().unwrap()).await;
        let dead = post.dead(&format!("{queue}-dlq")).await;
        let letter = letters::take(&post.sqs, &dead, &by_id(event.id)).await.unwrap().remove(0);
        letters::delete(&post.sqs, &dead, &letter).await.unwrap();
        (dead.consumer, letter)
    };
    let (stock, sale) = letter("erp-stock-queue", &event).await;
    let explanation = explained(&shop, stock, &sale).await;
    assert!(explanation.redriving.starts_with("would put it in line"), "{explanation:?}");
    assert!(explanation.now[2].ends_with("10 of 40 are there"), "{explanation:?}");
    shop.deliver(&event).await;
    let explanation = explained(&shop, stock, &sale).await;
    assert!(!explanation.would_change && explanation.redriving.starts_with("would leave it waiting"));

    // Another sale is served; what follows from that, and what its order is told, lies in the queues.
    let other = confirmed(&shop, 4).await;
    shop.deliver(&other).await;
    let decided = take_outbox(&shop.tables.inventory).await;
    let decided = decided.iter().find(|event| event.subject == other.subject).unwrap();
    let (_, follow) = letter("erp-stock-queue", decided).await;
    let (status, news) = letter("erp-order-status-queue", decided).await;
    assert_eq!(explained(&shop, stock, &follow).await.redriving, "would write 1 missing movements");
    assert_eq!(explained(&shop, status, &news).await.redriving, "would be news to it");
    shop.deliver(decided).await;
    assert!(!explained(&shop, stock, &follow).await.would_change);
    assert!(!explained(&shop, status, &news).await.would_change);
}

#[tokio::test]
async fn everything_goes_back_by_itself_and_only_of_the_stack_that_is_meant() {
    let post = Post::open(&["erp", "erp-dev"]).await;
    for stack in ["erp", "erp-dev"] {
        for n in 0..25 {
            post.give_up(&format!("{stack}-stock-queue"), format!("{n}")).await;
        }
    }
    let found = queues::find(&post.sqs, "erp", None).await.unwrap();
    let names: Vec<&str> = found.iter().map(|queue| queue.name.as_str()).collect();
    assert_eq!(names, ["erp-stock-queue-dlq", "erp-order-status-queue-dlq"]);
    assert_eq!(letters::take(&post.sqs, &found[0], &Selection::default()).await.unwrap().len(), 25);
    // Somebody who was looking has gone away.
    post.broker.release_in_flight().unwrap();
    assert_eq!(letters::redrive_all(&post.sqs, &found[0]).await.unwrap(), 25);
    assert_eq!((post.depth("erp-stock-queue"), post.depth("erp-stock-queue-dlq")), ((25, 0), (0, 0)));
    assert_eq!(post.depth("erp-dev-stock-queue-dlq"), (25, 0));
    let none = queues::find(&post.sqs, "nobody", None).await;
    assert!(matches!(none, Err(DlqError::Refused(reason)) if reason.contains("nobody-stock-queue-dlq")));
}

#[tokio::test]
async fn what_is_discarded_is_saved_first() {
    let post = Post::open(&["erp"]).await;
    post.give_up("erp-stock-queue", "line one\nline two").await;
    let queue = post.dead("stock-queue-dlq").await;
    let found = letters::take(&post.sqs, &queue, &Selection::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("no/such/folder");
    assert!(letters::save(&missing, &found).is_err(), "and then nothing is taken away");
    let file = folder.path().join("saved.jsonl");
    for _ in 0..2 {
        letters::save(&file, &found).unwrap();
    }
    letters::delete(&post.sqs, &queue, &found[0]).await.unwrap();
    assert_eq!(post.depth("erp-stock-queue-dlq"), (0, 0));
    let saved = std::fs::read_to_string(&file).unwrap();
    assert_eq!(saved.lines().count(), 2, "nothing that was saved before is lost");
    let line: serde_json::Value = serde_json::from_str(saved.lines().next().unwrap()).unwrap();
    assert_eq!(line["body"], "line one\nline two");
}
