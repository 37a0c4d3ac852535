//! Explanations of dead letters.

use aws_sdk_sqs::types::Message;
use erp_contracts::Event;
use operator::dlq::{Consumer, DeadLetter, Explanation, explain};

use crate::fixture::{Fixture, LATER, take_outbox};

fn dead_letter(body: &str) -> DeadLetter {
    DeadLetter::from_message("erp-stock-queue-dlq", Message::builder().message_id("1").body(body).build())
}

async fn explained(fixture: &Fixture, consumer: Consumer, body: &str) -> Explanation {
    explain(&fixture.ledger(LATER), consumer, &dead_letter(body)).await.unwrap()
}

/// Returns the event of a sales order that was just confirmed; 10 are in stock.
async fn confirmed(fixture: &Fixture, quantity: i64) -> Event {
    let item = fixture.item(10).await;
    fixture.confirm(item, quantity).await;
    take_outbox(&fixture.tables.sales).await.remove(0)
}

#[tokio::test]
async fn a_poison_message_is_explained_by_the_error_of_the_worker() {
    let fixture = Fixture::start().await;
    let event = confirmed(&fixture, 4).await.to_json().unwrap();
    let broken = event.replace("order_id", "order_nr");
    for (body, error) in [
        ("nonsense", "expected"),
        (r#"{"type":"sales.order.confirmed","subject":"s-1"}"#, "missing field"),
        (&broken, "missing field `order_id`"),
    ] {
        let explanation = explained(&fixture, Consumer::Inventory, body).await;
        assert!(explanation.poison.as_ref().unwrap().contains(error), "{explanation:?}");
        assert!(!explanation.would_change);
    }
}

#[tokio::test]
async fn a_dead_letter_is_explained_by_the_current_state_before_and_after_it_is_applied() {
    let fixture = Fixture::start().await;
    let event = confirmed(&fixture, 4).await;
    let body = event.to_json().unwrap();
    let explanation = explained(&fixture, Consumer::Inventory, &body).await;
    assert!(
        explanation.would_change && explanation.redrive.contains("stock is sufficient"),
        "{explanation:?}"
    );
    let current = ["Sales order: confirmed, stock status pending (decision 0)", "Allocation: none"];
    assert_eq!(explanation.current, current);

    fixture.deliver(&event).await;
    let explanation = explained(&fixture, Consumer::Inventory, &body).await;
    assert!(!explanation.would_change, "{explanation:?}");
    assert!(explanation.current[1].starts_with("Allocation: allocated"), "{explanation:?}");
}

#[tokio::test]
async fn backorders_side_effects_and_decisions_are_explained_as_the_workers_apply_them() {
    let fixture = Fixture::start().await;
    let event = confirmed(&fixture, 40).await;
    let sale = event.to_json().unwrap();
    let explanation = explained(&fixture, Consumer::Inventory, &sale).await;
    assert!(explanation.redrive.starts_with("would put it into the back-order queue"), "{explanation:?}");
    assert!(explanation.current[2].ends_with("10 of 40 available"), "{explanation:?}");
    fixture.deliver(&event).await;
    let explanation = explained(&fixture, Consumer::Inventory, &sale).await;
    let leaves = explanation.redrive.starts_with("would leave it in the back-order queue");
    assert!(!explanation.would_change && leaves, "{explanation:?}");

    // Another order is allocated; the side effects and the decision are in the queues.
    let other = confirmed(&fixture, 4).await;
    fixture.deliver(&other).await;
    let decided = take_outbox(&fixture.tables.inventory).await;
    let decided = decided.iter().find(|event| event.subject == other.subject).unwrap();
    let body = decided.to_json().unwrap();
    let side_effects = explained(&fixture, Consumer::Inventory, &body).await;
    assert_eq!(side_effects.redrive, "would write 1 missing movements");
    let decision = explained(&fixture, Consumer::Sales, &body).await;
    assert_eq!(decision.redrive, "would update the stock status");
    fixture.deliver(decided).await;
    assert!(!explained(&fixture, Consumer::Inventory, &body).await.would_change);
    assert!(!explained(&fixture, Consumer::Sales, &body).await.would_change);
}
