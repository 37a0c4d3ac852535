//! The table of purchase orders.

pub(crate) mod row;

use erp_aws::metric::Metric;
use erp_aws::table::ABSENT;
use erp_aws::transaction::{number, text};
use erp_aws::{Change as RowChange, Page, PageRequest, StoreError, Table, Transaction};
use erp_contracts::Cause;
use erp_domain::{OrderId, PartyId};
use erp_orders::keys;
use erp_service::{Change, OnFailure};
use uuid::Uuid;

use crate::domain::{
    OrderSummary, PurchaseOrder, PurchaseOrderError, PurchaseStatus, Transition, Transitioned,
};
use row::{OrderRow, SummaryRow};

/// The order has the status and version that were loaded.
const UNCHANGED: &str = "#status = :from AND #version = :version";

/// Replaces vendor and lines; moves the order in the index `party`.
const REVISE: &str = "SET #party_id = :party_id, #party_pk = :party_pk, #lines = :lines, #total = :total, \
                      #version = :next_version, #updated_at = :updated_at";
/// Sets the status; moves the order in the index `status`.
const ADVANCE: &str = "SET #status = :status, #status_pk = :status_pk, #version = :next_version, \
                       #updated_at = :updated_at";
/// A change of a purchase order that is not saved yet.
pub type OrderChange = Change<PurchaseOrder, PurchaseOrderError>;

/// Purchase orders in DynamoDB.
#[derive(Debug, Clone)]
pub struct PurchaseStore {
    table: Table,
}

impl PurchaseStore {
    /// Creates a store over the purchase table.
    pub fn new(table: Table) -> Self {
        Self { table }
    }

    /// Returns the table, in which changes are committed.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Loads an order with its lines, strongly consistent.
    pub async fn find(&self, id: OrderId) -> Result<Option<PurchaseOrder>, StoreError> {
        let row: Option<OrderRow> = self.table.get(&keys::order(id)).await?;
        row.map(PurchaseOrder::try_from).transpose()
    }

    /// Reads a page of the orders of a status, of a vendor, of both, or of all orders, newest first.
    pub async fn list(
        &self,
        status: Option<PurchaseStatus>,
        vendor_id: Option<PartyId>,
        page: PageRequest,
    ) -> Result<Page<OrderSummary>, StoreError> {
        let list = erp_orders::row::list(&self.table, status, vendor_id);
        list.page(page).await?.try_map(|SummaryRow(summary)| Ok(summary))
    }

    /// Inserts a new order, without an event: no other context uses drafts.
    pub fn insert(&self, order: &PurchaseOrder) -> Result<OrderChange, StoreError> {
        let mut transaction = Transaction::new();
        transaction.put(OnFailure::Bug, &self.table, &OrderRow::from(order), ABSENT)?;
        Ok(saved(order, transaction, None).with_metric(Metric::OrdersCreated, 1))
    }

    /// Updates vendor and lines, if the order is still as loaded.
    pub fn revise(&self, old: &PurchaseOrder, new: &PurchaseOrder) -> Result<OrderChange, StoreError> {
        let summary = new.summary();
        let change = RowChange {
            key: keys::order(old.id()),
            update: REVISE.to_owned(),
            condition: UNCHANGED,
            values: vec![
                (":from", text(old.status())),
                (":version", number(old.version())),
                (":party_id", text(summary.vendor_id)),
                (":party_pk", text(keys::party(summary.vendor_id))),
                (":lines", erp_orders::row::attribute(new.lines())?),
                (":total", number(summary.total_amount.minor())),
                (":next_version", number(summary.version)),
                (":updated_at", text(summary.updated_at)),
            ],
        };
        let mut transaction = Transaction::new();
        transaction.update(OnFailure::Stale, &self.table, change)?;
        Ok(saved(new, transaction, None))
    }

    /// Updates the status and publishes the event of the transition, if the order is still as loaded.
    pub fn advance(
        &self,
        old: &PurchaseOrder,
        transitioned: &Transitioned,
        event_id: Uuid,
        cause: &Cause,
    ) -> Result<OrderChange, StoreError> {
        let new = transitioned.order();
        let values = vec![
            (":from", text(old.status())),
            (":version", number(old.version())),
            (":status", text(new.status())),
            (":status_pk", text(erp_orders::row::status_partition(new.status(), new.id()))),
            (":next_version", number(new.version())),
            (":updated_at", text(new.summary().updated_at)),
        ];
        let metric = match transitioned.transition() {
            Transition::Receive => Metric::OrdersReceived,
            Transition::Pay => Metric::OrdersPaid,
            Transition::Cancel => Metric::OrdersCancelled,
        };
        let key = keys::order(new.id());
        let pk = key.pk.clone();
        let change = RowChange { key, update: ADVANCE.to_owned(), condition: UNCHANGED, values };
        let mut transaction = Transaction::new();
        transaction.update(OnFailure::Stale, &self.table, change)?;
        let event = transitioned.event(event_id, cause)?;
        Ok(saved(new, transaction, Some(event_id))
            .with_event(&self.table, &pk, &event)?
            .with_metric(metric, 1))
    }
}

/// Creates a change with the log line that joins the request, the order and its event.
fn saved(
    order: &PurchaseOrder,
    transaction: Transaction<OnFailure<PurchaseOrderError>>,
    event_id: Option<Uuid>,
) -> OrderChange {
    let (order_id, status, version) = (order.id(), order.status(), order.version());
    Change::new(order.clone(), transaction).with_log(move || {
        let event_id = event_id.map(tracing::field::display);
        tracing::info!(%order_id, %status, version, event_id, "order saved");
    })
}

#[cfg(test)]
mod tests {
    use erp_domain::time::RandomIds;
    use erp_domain::{Clock, Ids, Money, Quantity};
    use erp_orders::{Lines, NewLine};
    use erp_service::SaveError;
    use erp_testkit::{Dynamo, TestClock};

    use super::*;

    #[tokio::test]
    async fn a_write_over_another_version_or_status_is_stale_and_writes_nothing() {
        let table = Dynamo::start().await.table("purchase", &["list", "status", "party", "outbox"]).await;
        let (store, now, ids) = (PurchaseStore::new(table.clone()), TestClock::default().now(), &RandomIds);
        let ids: &dyn Ids = ids;
        let line = |quantity| {
            let quantity = Quantity::new(quantity).unwrap();
            let line = NewLine { item_id: ids.make(), quantity, unit_price: Money::from_minor(150).unwrap() };
            Lines::new(&[line], ids).unwrap()
        };
        let advance = |old: &PurchaseOrder, transitioned| {
            store.advance(old, &transitioned, ids.next(), &Cause::default()).unwrap()
        };
        let stale = async |change: OrderChange| {
            let error = change.save(&table).await.unwrap_err();
            assert!(matches!(error, SaveError::Stale), "{error:?}");
        };

        let read = PurchaseOrder::draft(ids.make(), ids.make(), line(1), &"USD".parse().unwrap(), now);
        store.insert(&read).unwrap().save(&table).await.unwrap();
        store.insert(&read).unwrap().save(&table).await.unwrap_err();
        let revised = read.revise(ids.make(), line(2), now).unwrap();
        store.revise(&read, &revised).unwrap().save(&table).await.unwrap();

        // The same status, but another version.
        stale(store.revise(&read, &read.revise(ids.make(), line(3), now).unwrap()).unwrap()).await;
        stale(advance(&read, read.receive(now).unwrap())).await;
        stale(advance(&read, read.cancel(now).unwrap())).await;
        assert_eq!(store.find(read.id()).await.unwrap(), Some(revised.clone()));

        // The same version, but another status: no use case writes that, and it is stale all the same.
        let cancelled = revised.cancel(now).unwrap();
        advance(&revised, cancelled.clone()).save(&table).await.unwrap();
        let version = cancelled.order().version();
        let forged = PurchaseOrder::restore(
            OrderSummary { version, ..revised.summary().clone() },
            revised.lines().clone(),
        );
        stale(store.revise(&forged, &forged.revise(ids.make(), line(3), now).unwrap()).unwrap()).await;
        stale(advance(&forged, forged.receive(now).unwrap())).await;
        stale(advance(&forged, forged.cancel(now).unwrap())).await;
        assert_eq!(store.find(read.id()).await.unwrap().as_ref(), Some(cancelled.order()));
    }
}
