//! The table of the orders of one kind.
//!
//! Two Lambdas write the same row: clients' changes come from the one, what inventory decided from the other
//! (`decision`). Neither ever writes the whole row, so neither can undo what the other did.

mod audit;
mod decision;
mod keys;
mod row;

use async_trait::async_trait;
use erp_aws::list::{List, shards};
use erp_aws::metric::{self, Metric};
use erp_aws::outbox::{EVENT_PREFIX, EventRow};
use erp_aws::table::NOT_THERE;
use erp_aws::transaction::{number, text};
use erp_aws::{Change, Table, Transaction, TransactionError, answers};
use erp_contracts::{Along, Event, Page, Rows, StoreError};
use erp_domain::Id;
use erp_domain::order::{Order, OrderKind, Status, Transitioned};

use crate::ports::{Filter, OrderStore, Stale, Summary};
use row::{OrderRow, SummaryRow};

/// The order is still what was read.
const SAME: &str = "#status = :from AND #version = :version";
/// The order is still what was read, and inventory has said nothing of it that "pending" would hide.
const SAME_AND_UNDECIDED: &str = "#status = :from AND #version = :version AND #stock_sequence = :no_decision";
/// Of the orders of a party, those of a status.
const OF_STATUS: &str = "#status = :status";

/// Another party and other lines; moves the order in the index `party`.
const REVISE: &str = "SET #party_id = :party_id, #party_pk = :party_pk, #lines = :lines, #total = :total, \
                      #version = :next_version, #updated_at = :updated_at";
/// Another status; moves the order in the index `status`.
const ADVANCE: &str = "SET #status = :status, #status_pk = :status_pk, #version = :next_version, \
                       #updated_at = :updated_at";
/// As [`ADVANCE`], and inventory is asked.
const ADVANCE_AND_ASK: &str = "SET #status = :status, #status_pk = :status_pk, #version = :next_version, \
                               #updated_at = :updated_at, #stock_status = :stock_status";

/// More events than an order can have: every transition happens once, and so does every state of its allocation.
const HISTORY: usize = 100;

/// Orders in DynamoDB.
#[derive(Debug, Clone)]
pub struct DynamoStore {
    table: Table,
    kind: OrderKind,
}

/// The actions of a write, by what their conditions are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Order,
    Event,
    Answer,
}

impl DynamoStore {
    /// Orders of this kind in this table.
    pub fn new(table: Table, kind: OrderKind) -> Self {
        Self { table, kind }
    }

    async fn commit<C>(
        &self,
        mut transaction: Transaction<Action>,
        order: &Order,
        along: &Along,
        conflict: impl FnOnce(TransactionError<Action>) -> StoreError<C>,
    ) -> Result<(), StoreError<C>> {
        if let Some(event) = &along.event {
            let row = EventRow::to_publish::<C>(&keys::order(order.id).pk, event)?;
            transaction.put(Action::Event, &self.table, &row, NOT_THERE)?;
        }
        if let Some(record) = &along.record {
            answers::add(&mut transaction, Action::Answer, &self.table, record)?;
        }
        transaction.commit(&self.table).await.map_err(|error| {
            // The answer comes first: when it is there, this very request was carried out before, and that is why
            // the others do not hold.
            if error.failed(&Action::Answer) { StoreError::Answered } else { conflict(error) }
        })?;
        // The one line that joins a request, its order and the event that goes on from here.
        tracing::info!(
            order_id = %order.id,
            status = order.status.as_str(),
            version = order.version,
            event_id = along.event.as_ref().map(|event| tracing::field::display(event.id)),
            "order saved"
        );
        Ok(())
    }
}

/// What is counted when an order got this status.
fn metric(status: Status) -> Metric {
    match status {
        Status::Draft => Metric::OrdersCreated,
        Status::Confirmed => Metric::OrdersConfirmed,
        Status::Received => Metric::OrdersReceived,
        Status::Paid => Metric::OrdersPaid,
        Status::Cancelled => Metric::OrdersCancelled,
    }
}

fn stale(error: TransactionError<Action>) -> StoreError<Stale> {
    if error.failed(&Action::Order) { StoreError::Conflict(Stale) } else { error.into() }
}

#[async_trait]
impl OrderStore for DynamoStore {
    async fn find(&self, id: Id<Order>) -> Result<Option<Order>, StoreError> {
        let row: Option<OrderRow> = self.table.get(&keys::order(id)).await?;
        row.map(|row| row.into_order(self.kind)).transpose()
    }

    async fn list(&self, filter: Filter, page: Page) -> Result<Rows<Summary>, StoreError> {
        let (index, partitions, filter) = match filter {
            Filter { party: Some(party), status } => {
                let of_status = status.map(|status| (OF_STATUS, vec![(":status", text(status))]));
                ("party", vec![keys::party(party)], of_status)
            }
            Filter { party: None, status: Some(status) } => ("status", shards(&keys::status(status)), None),
            Filter { party: None, status: None } => ("list", shards(keys::LIST), None),
        };
        let list = List { table: &self.table, index: Some(index), partitions, prefix: "", filter };
        let Rows { rows, next } = list.page::<SummaryRow>(page).await?;
        let rows = rows.into_iter().map(SummaryRow::into_summary).collect::<Result<_, _>>()?;
        Ok(Rows { rows, next })
    }

    async fn history(&self, id: Id<Order>) -> Result<Vec<Event>, StoreError> {
        let rows: Vec<EventRow> =
            self.table.query_prefix(&keys::order(id).pk, EVENT_PREFIX, None, HISTORY).await?;
        let mut events: Vec<Event> = rows.iter().map(EventRow::read).collect::<Result<_, _>>()?;
        // Some were made elsewhere: what they say of the time counts, not how their ids sort.
        events.sort_by_key(|event| (event.time, event.id));
        Ok(events)
    }

    async fn insert(&self, order: &Order, along: &Along) -> Result<(), StoreError> {
        let mut transaction = Transaction::new();
        transaction.put::<std::convert::Infallible>(
            Action::Order,
            &self.table,
            &OrderRow::from(order),
            NOT_THERE,
        )?;
        // The id is new, so there is no condition that could fail but the answer's.
        self.commit(transaction, order, along, StoreError::from).await?;
        metric::count(metric(order.status));
        Ok(())
    }

    async fn revise(&self, old: &Order, new: &Order, along: &Along) -> Result<(), StoreError<Stale>> {
        let change = Change {
            key: keys::order(old.id),
            update: REVISE.to_owned(),
            condition: SAME,
            values: vec![
                (":from", text(old.status)),
                (":version", number(old.version)),
                (":party_id", text(new.party_id)),
                (":party_pk", text(keys::party(new.party_id))),
                (":lines", row::lines(&new.lines)?),
                (":total", number(new.lines.total().minor())),
                (":next_version", number(new.version)),
                (":updated_at", text(new.updated_at)),
            ],
        };
        let mut transaction = Transaction::new();
        transaction.update(Action::Order, &self.table, change)?;
        self.commit(transaction, new, along, stale).await
    }

    async fn advance(
        &self,
        old: &Order,
        done: &Transitioned,
        along: &Along,
    ) -> Result<(), StoreError<Stale>> {
        let new = &done.order;
        let mut values = vec![
            (":from", text(done.from)),
            (":version", number(old.version)),
            (":status", text(new.status)),
            (":status_pk", text(row::status_pk(new))),
            (":next_version", number(new.version)),
            (":updated_at", text(new.updated_at)),
        ];
        let (update, condition) = if new.stock_status == old.stock_status {
            (ADVANCE, SAME)
        } else {
            values.push((":stock_status", text(new.stock_status.as_str())));
            values.push((":no_decision", number(0)));
            (ADVANCE_AND_ASK, SAME_AND_UNDECIDED)
        };
        let change = Change { key: keys::order(new.id), update: update.to_owned(), condition, values };
        let mut transaction = Transaction::new();
        transaction.update(Action::Order, &self.table, change)?;
        self.commit(transaction, new, along, stale).await?;
        metric::count(metric(new.status));
        Ok(())
    }
}
