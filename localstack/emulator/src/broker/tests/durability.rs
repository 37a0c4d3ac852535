//! Durability: restarts, kills, cancelled receives and transactions.

use std::future::Future as _;

use super::*;

async fn send(broker: &Arc<Broker>, body: &str) {
    let server = Server::serve(Arc::clone(broker), 0).await;
    server.sqs.send_message().queue_url("/000000000000/q").message_body(body).send().await.unwrap();
}

#[tokio::test]
async fn visible_and_in_flight_messages_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broker.sqlite");
    {
        let broker = Broker::open(Some(&path), String::new()).unwrap();
        broker.ensure_queue("dead", &BTreeMap::new()).unwrap();
        broker.ensure_queue("q", &attributes(&[("RedrivePolicy", &redrive("dead", 3))])).unwrap();
        send(&broker, "in flight").await;
        assert_eq!(broker.receive("q", 1, Duration::ZERO).await.unwrap().len(), 1);
        send(&broker, "waiting").await;
    }
    let broker = Broker::open(Some(&path), String::new()).unwrap();
    assert_eq!(broker.depths().unwrap()[1].in_flight, 1);
    assert_eq!(broker.release_in_flight().unwrap(), 1);
    let got = broker.receive("q", 10, Duration::ZERO).await.unwrap();
    let mut bodies: Vec<&str> = got.iter().map(|m| m.body.as_str()).collect();
    bodies.sort_unstable();
    assert_eq!(bodies, ["in flight", "waiting"]);
    assert_eq!(got.iter().filter(|m| m.attributes["ApproximateReceiveCount"] == "2").count(), 1);
}

#[tokio::test]
async fn a_receipt_handle_is_valid_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broker.sqlite");
    let receipt = {
        let broker = Broker::open(Some(&path), String::new()).unwrap();
        broker.ensure_queue("q", &BTreeMap::new()).unwrap();
        send(&broker, "m").await;
        broker.receive("q", 1, Duration::ZERO).await.unwrap().remove(0).receipt_handle
    };
    let broker = Broker::open(Some(&path), String::new()).unwrap();
    broker.delete("q", &[receipt]).unwrap();
    assert_eq!(broker.release_in_flight().unwrap(), 0);
}

/// A broker in another process, which runs `serve_for_a_while` of this test binary.
struct Process {
    child: std::process::Child,
    url: String,
}

impl Process {
    async fn start(folder: &std::path::Path) -> Self {
        let url_file = folder.join("url");
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "broker::tests::serve_for_a_while"])
            .env("BROKER_PATH", folder.join("broker.sqlite"))
            .env("BROKER_URL_FILE", &url_file)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        let url = loop {
            match std::fs::read_to_string(&url_file) {
                Ok(url) => break url,
                Err(_) if Instant::now() < deadline => tokio::time::sleep(Duration::from_millis(10)).await,
                Err(error) => panic!("the broker process did not start: {error}"),
            }
        };
        Self { child, url }
    }

    /// Sends SIGKILL: no destructor runs, nothing is flushed.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Ends the process of a failed test; after `kill` this does nothing.
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("cannot end the broker process: {error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accepted_publications_are_in_every_queue_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broker.sqlite");
    {
        let broker = Broker::open(Some(&path), String::new()).unwrap();
        let topic = broker.ensure_topic("t").unwrap();
        for queue in ["a", "b"] {
            broker.ensure_queue(queue, &BTreeMap::new()).unwrap();
            let raw = attributes(&[("RawMessageDelivery", "true")]);
            broker.ensure_subscription(&topic, &queue_arn(queue), &raw).unwrap();
        }
    }
    let mut process = Process::start(folder.path()).await;
    let accepted = Arc::new(std::sync::Mutex::new(HashSet::new()));
    let publishers = (0..4).map(|publisher| {
        let (_, sns) = clients(&process.url);
        let accepted = Arc::clone(&accepted);
        tokio::spawn(async move {
            for number in 0.. {
                let body = format!("{publisher}-{number}");
                let sent = sns.publish().topic_arn(topic_arn("t")).message(&body).send().await;
                if sent.is_err() {
                    break;
                }
                accepted.lock().unwrap().insert(body);
            }
        })
    });
    let publishers: Vec<_> = publishers.collect();
    let deadline = Instant::now() + Duration::from_secs(30);
    while accepted.lock().unwrap().len() < 200 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    process.kill();
    for publisher in publishers {
        publisher.await.unwrap();
    }

    let broker = Broker::open(Some(&path), String::new()).unwrap();
    let mut queues = Vec::new();
    for queue in ["a", "b"] {
        let got = broker.receive(queue, usize::MAX, Duration::ZERO).await.unwrap();
        let bodies: Vec<String> = got.into_iter().map(|m| m.body).collect();
        let distinct: HashSet<String> = bodies.iter().cloned().collect();
        assert_eq!(bodies.len(), distinct.len(), "a message is there twice in {queue}");
        queues.push(distinct);
    }
    assert_eq!(queues[0], queues[1], "a publication is in one queue only");
    let accepted = accepted.lock().unwrap();
    assert!(accepted.len() >= 200);
    assert!(accepted.is_subset(&queues[0]), "an accepted publication is lost");
}

#[tokio::test]
async fn a_cancelled_receive_leaves_the_message_unchanged() {
    let broker = Broker::open(None, String::new()).unwrap();
    broker.ensure_queue("q", &BTreeMap::new()).unwrap();
    send(&broker, "m").await;
    let mut cancelled = Box::pin(broker.receive("q", 1, Duration::ZERO));
    std::future::poll_fn(|context| {
        // The read of the database has started and cannot end before the lock is free.
        let lock = broker.store();
        assert!(cancelled.as_mut().poll(context).is_pending());
        drop(lock);
        std::task::Poll::Ready(())
    })
    .await;
    drop(cancelled);
    let got = broker.receive("q", 1, Duration::from_secs(10)).await.unwrap();
    assert_eq!(got[0].attributes["ApproximateReceiveCount"], "1");
}

#[test]
fn repeated_provisioning_changes_nothing_and_deletes_obsolete_subscriptions() {
    let broker = Broker::open(None, String::new()).unwrap();
    for _ in 0..2 {
        broker.ensure_queue("q", &attributes(&[("VisibilityTimeout", "180")])).unwrap();
        let topic = broker.ensure_topic("t").unwrap();
        for queue in ["q", "other"] {
            let policy = attributes(&[("FilterPolicy", r#"{"type":["a"]}"#)]);
            broker.ensure_subscription(&topic, &queue_arn(queue), &policy).unwrap();
        }
    }
    let count = |broker: &Broker| {
        super::super::topics::subscriptions(broker.store().connection(), Some(&topic_arn("t"))).unwrap().len()
    };
    assert_eq!(count(&broker), 2);
    broker.retain_subscriptions(&[(topic_arn("t"), queue_arn("q"))]).unwrap();
    assert_eq!(count(&broker), 1);
}

#[test]
fn a_publication_is_stored_in_all_queues_or_in_none() {
    let broker = Broker::open(None, String::new()).unwrap();
    let topic = broker.ensure_topic("t").unwrap();
    for queue in ["a", "b"] {
        broker.ensure_queue(queue, &BTreeMap::new()).unwrap();
        broker.ensure_subscription(&topic, &queue_arn(queue), &BTreeMap::new()).unwrap();
    }
    let publication = super::super::topic::Publication {
        message_id: "id".to_owned(),
        message: "m".to_owned(),
        subject: None,
        attributes: BTreeMap::new(),
    };
    let failed = broker.store().write(|tx, now| {
        // The second insert of this transaction fails.
        tx.execute_batch(
            "CREATE TEMP TRIGGER full BEFORE INSERT ON messages WHEN (SELECT count(*) FROM messages) = 1
             BEGIN SELECT RAISE(ABORT, 'full'); END",
        )?;
        super::super::topics::publish(tx, now, &topic, &[publication], "")
    });
    assert!(failed.is_err());
    assert!(broker.depths().unwrap().iter().all(|depth| depth.visible == 0));
}

#[test]
fn every_receive_and_count_uses_an_index() {
    let broker = Broker::open(None, String::new()).unwrap();
    let store = broker.store();
    for sql in [
        "SELECT id FROM messages WHERE queue = 1 AND visible_at <= 5 ORDER BY visible_at, receives, id LIMIT 10",
        "SELECT min(visible_at) FROM messages WHERE queue = 1",
        "SELECT count(*) FILTER (WHERE visible_at > 5 AND receives > 0) FROM messages WHERE queue = 1",
        "DELETE FROM messages WHERE queue = 1 AND sent_at <= 5",
    ] {
        let mut plan = store.connection().prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps: Vec<String> =
            plan.query_map([], |row| row.get(3)).unwrap().collect::<Result<_, _>>().unwrap();
        let steps = steps.join("; ");
        assert!(
            steps.contains("USING") && steps.contains("INDEX") && !steps.contains("TEMP B-TREE"),
            "{sql}: {steps}"
        );
    }
}
