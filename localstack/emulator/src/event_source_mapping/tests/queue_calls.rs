//! What a function does with the messages of its batch by calls to SQS is kept.

use serde_json::{Value, json};

use super::{FakeFunction, TestBed, failures, for_record, names, queue};
use crate::lambda::testing::until;

#[tokio::test]
async fn a_message_in_a_partial_response_stays_hidden_as_the_function_left_it() {
    let (bed, worker) = (TestBed::new(), FakeFunction::new(|event| Ok(failures(event, "hidden"))));
    for body in ["a", "hidden"] {
        bed.send(body).await;
    }
    let mappings = bed.start(queue(), &worker);
    until("the batch is processed", || bed.message_count("work") == 1 && mappings.in_flight() == 0).await;
    assert_eq!(worker.batches(), [["a", "hidden"]]);
    assert!(!mappings.is_idle().unwrap(), "it is received again after the visibility timeout of 300 s");
    mappings.stop().await;
}

#[tokio::test]
async fn what_a_function_did_before_it_failed_is_kept() {
    let bed = TestBed::new();
    let calls = |event: &Value| {
        let deleted = for_record(event, "deleted", &json!({}));
        let delayed = for_record(event, "delayed", &json!({"VisibilityTimeout": 3600}));
        let deleted = deleted.into_iter().map(|input| ("DeleteMessage", input));
        deleted.chain(delayed.into_iter().map(|input| ("ChangeMessageVisibility", input))).collect()
    };
    let crash = |event: &Value| match names(event).len() {
        3 => Err("crashed".into()),
        _ => Ok(Value::Null),
    };
    let worker = FakeFunction::with_sqs(&bed, calls, crash);
    for body in ["deleted", "delayed", "in progress"] {
        bed.send(body).await;
    }
    let mappings = bed.start(queue(), &worker);
    until("the last message is processed", || worker.batches().len() == 2).await;
    until("it is deleted", || bed.message_count("work") == 1).await;
    assert_eq!(worker.batches(), [vec!["deleted", "delayed", "in progress"], vec!["in progress"]]);
    mappings.stop().await;
}
