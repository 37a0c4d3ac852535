//! A restart keeps the data, including messages in flight.

use std::collections::BTreeMap;

use crate::assertions;
use crate::fixture::{Fixture, concurrently, log_in, register, send, send_until_accepted, unique};
use crate::ledger::assert_balanced;
use crate::target::{LocalPlatform, Target, slot};

#[tokio::test]
async fn a_restart_keeps_data_and_messages_in_flight() {
    let Some(slot) = slot("a restart").await else { return };
    let folder = tempfile::tempdir().unwrap();
    let local = LocalPlatform::start(Some(folder.path()));
    let client = local.client();
    let (email, token) = register(&client, "finance_manager").await;
    let finance = client.with_token(&token);
    let fixture = Fixture::with_users(finance.clone(), finance).await;
    let item = fixture.create_item("1.00", 50).await;
    let done = fixture.create_sales_order(&[(&item, 10)]).await;
    let key = unique();
    let confirmed = send_until_accepted(&fixture.finance, &format!("{done}/confirm"), &key, None).await;
    assertions::success(&confirmed, 200);
    fixture.wait_for_stock_status(&done, "allocated").await;
    let before = (fixture.read(&done).await, fixture.history(&done).await);

    // Stop right after a burst: most events of the confirmations are still in flight.
    let burst = concurrently(0..45, async |_| fixture.create_sales_order(&[(&item, 1)]).await).await;
    concurrently(&burst, async |order| fixture.transition(order, "confirm").await).await;
    drop(local);

    let local = LocalPlatform::start(Some(folder.path()));
    let target = Target::here(local, slot);
    let finance = target.client().with_token(&token);
    let fixture = Fixture { finance: finance.clone(), inventory: finance, ..fixture };
    assertions::success(&send(&fixture.finance, "GET", "/api/items", None).await, 200);
    assert_ne!(log_in(&target.client(), &email).await, token);
    assert_eq!((fixture.read(&done).await, fixture.history(&done).await), before);
    let again = send_until_accepted(&fixture.finance, &format!("{done}/confirm"), &key, None).await;
    assert_eq!((again.text, again.status), (confirmed.text, 200), "the stored response is returned");

    let orders = [vec![done], burst].concat();
    let outcomes = assert_balanced(&target, &fixture, &BTreeMap::from([(item, 50)]), &orders).await;
    let allocated = outcomes.iter().filter(|outcome| outcome.stock_status == "allocated").count();
    assert_eq!(allocated, 41, "fifty, less the ten of the first order");
}
