//! What was saved is there after a restart, messages in flight included.

use std::collections::BTreeMap;

use crate::books::add_up;
use crate::check;
use crate::shop::{Shop, each, log_in, persist, register, send, unique};
use crate::site::{Local, Site, turn};

#[tokio::test]
async fn a_platform_that_was_stopped_goes_on_where_it_was() {
    let Some(turn) = turn("a platform that is stopped and started").await else { return };
    let folder = tempfile::tempdir().unwrap();
    let local = Local::start(Some(folder.path()));
    let client = local.client();
    let (email, token) = register(&client, "finance_manager").await;
    let finance = client.with_token(&token);
    let shop = Shop::with(finance.clone(), finance).await;
    let item = shop.item("1.00", 50).await;
    let done = shop.order(&[(&item, 10)]).await;
    let key = unique();
    let confirmed = persist(&shop.finance, &format!("{done}/confirm"), &key, None).await;
    check::success(&confirmed, 200);
    shop.wait_for_stock_status(&done, "allocated").await;
    let before = (shop.read(&done).await, shop.history(&done).await);

    // A burst, and the end right behind it: what the confirmations set going has hardly begun.
    let burst = each(0..45, async |_| shop.order(&[(&item, 1)]).await).await;
    each(&burst, async |order| shop.transition(order, "confirm").await).await;
    drop(local);

    let local = Local::start(Some(folder.path()));
    let site = Site::here(local, turn);
    let finance = site.client().with_token(&token);
    let shop = Shop { finance: finance.clone(), inventory: finance, ..shop };
    check::success(&send(&shop.finance, "GET", "/api/items", None).await, 200);
    assert_ne!(log_in(&site.client(), &email).await, token);
    assert_eq!((shop.read(&done).await, shop.history(&done).await), before);
    let again = persist(&shop.finance, &format!("{done}/confirm"), &key, None).await;
    assert_eq!((again.text, again.status), (confirmed.text, 200), "the key has its answer");

    let orders = [vec![done], burst].concat();
    let outcomes = add_up(&site, &shop, &BTreeMap::from([(item, 50)]), &orders).await;
    let allocated = outcomes.iter().filter(|outcome| outcome.stock_status == "allocated").count();
    assert_eq!(allocated, 41, "fifty, less the ten of the first order");
}
