//! The database file: other files are refused unchanged, damaged values and a full disk are errors.

use super::*;
use crate::broker::BrokerError;
use crate::database_file::testing::{assert_refused, unrelated_files};

fn open(path: &std::path::Path) -> Result<Arc<Broker>, BrokerError> {
    Broker::open(Some(path), String::new())
}

#[test]
fn a_file_that_is_not_a_database_of_the_broker_is_refused_and_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let newer = folder.path().join("newer");
    drop(open(&newer).unwrap());
    rusqlite::Connection::open(&newer).unwrap().pragma_update(None, "user_version", 7).unwrap();
    let numbered = folder.path().join("numbered");
    rusqlite::Connection::open(&numbered)
        .unwrap()
        .execute_batch("CREATE TABLE songs (title); PRAGMA user_version = 1")
        .unwrap();
    let databases =
        [(numbered, "of another program"), (newer, "has schema version 7; this program reads version 1")];
    for (path, reason) in unrelated_files(folder.path()).into_iter().chain(databases) {
        let before = std::fs::read(&path).unwrap();
        let Err(error) = open(&path) else { panic!("{} was opened", path.display()) };
        assert_refused(&path, &before, &error.to_string(), reason, "nothing was written");
    }
}

#[test]
fn an_interrupted_first_start_leaves_a_file_that_can_be_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broker.sqlite");
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "journal_mode", "WAL").unwrap();
    open(&path).unwrap().ensure_queue("q", &BTreeMap::new()).unwrap();
}

#[tokio::test]
async fn a_stored_value_that_cannot_be_decoded_is_an_error() {
    let server = Server::start().await;
    let topic = server.topic("t", &[("q", &[("FilterPolicy", r#"{"type":["a"]}"#)])]).await;
    let set = |sql: &str| server.broker.store().connection().execute_batch(sql).unwrap();
    let publish = || server.sns.publish().topic_arn(&topic).message("m").send();
    let url = server.queue("q", &[]).await;
    let send = || server.sqs.send_message().queue_url(&url).message_body("m").send();

    for attributes in [r#"{"FilterPolicy":"{"}"#, r#"{"RedrivePolicy":"{"}"#, "{"] {
        set(&format!("UPDATE subscriptions SET attributes = '{attributes}'"));
        let error = publish().await.unwrap_err().into_service_error();
        assert_eq!(error.meta().code(), Some("InternalFailure"), "{attributes}");
    }
    for attributes in [r#"{"DelaySeconds":"soon"}"#, r#"{"MaximumMessageSize":"-1"}"#, "{"] {
        set(&format!("UPDATE queues SET attributes = '{attributes}'"));
        let error = send().await.unwrap_err().into_service_error();
        assert_eq!(error.meta().code(), Some("InternalFailure"), "{attributes}");
    }
    for attributes in [r#"{"VisibilityTimeout":"soon"}"#, r#"{"RedrivePolicy":"{"}"#] {
        set(&format!("UPDATE queues SET attributes = '{attributes}'"));
        assert!(matches!(server.broker.receive("q", 1, Duration::ZERO).await, Err(BrokerError::Corrupt(_))));
    }
    set("UPDATE queues SET attributes = '{}'");
    assert!(server.drain("q").await.is_empty(), "nothing was delivered meanwhile");
}

#[tokio::test]
async fn a_full_disk_is_an_error_response_and_loses_no_accepted_message() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::serve(open(&folder.path().join("broker.sqlite")).unwrap(), 0).await;
    let url = server.queue("q", &[]).await;
    // SQLite reports SQLITE_FULL for a limit on pages as it does for a full disk.
    let limit = |pages: u32| {
        let sql = format!("PRAGMA max_page_count = {pages}");
        server.broker.store().connection().query_row(&sql, [], |row| row.get::<_, u32>(0)).unwrap();
    };
    limit(60);
    let body = "m".repeat(50_000);
    let mut sent = 0;
    let error = loop {
        assert!(sent < 100, "the limit has no effect");
        match server.sqs.send_message().queue_url(&url).message_body(&body).send().await {
            Ok(_) => sent += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.raw_response().unwrap().status().as_u16(), 500);
    assert_eq!(error.into_service_error().meta().code(), Some("InternalFailure"));
    let received = server.broker.receive("q", 10, Duration::ZERO).await;
    assert!(matches!(received, Ok(_) | Err(BrokerError::Storage(_))), "{received:?}");
    limit(100_000);
    server.broker.release_in_flight().unwrap();
    assert_eq!(server.drain("q").await.len(), sent);
    server.sqs.send_message().queue_url(&url).message_body(&body).send().await.unwrap();
}
