//! Sales and purchase orders behind one type.

use erp_aws::table::Scanned;
use erp_aws::{ScanCursor, ScanSegment, StoreError};
use erp_domain::{Demand, OrderId, Timestamp};
use inventory::domain::AllocationState;

use super::Ledger;

/// An order of either kind.
#[derive(Debug, Clone, PartialEq, Eq, strum::EnumDiscriminants)]
#[strum_discriminants(name(OrderKind), vis(pub(crate)))]
#[strum_discriminants(derive(PartialOrd, Ord, strum::Display, serde::Serialize, serde::Deserialize))]
#[strum_discriminants(strum(serialize_all = "snake_case"), serde(rename_all = "snake_case"))]
pub(crate) enum Order {
    Sales(sales::ledger::OrderRecord),
    Purchase(purchase::ledger::OrderRecord),
}

impl OrderKind {
    pub(super) const ALL: [Self; 2] = [Self::Sales, Self::Purchase];

    /// Returns the kind of order that has an allocation in this state.
    pub(super) const fn of(state: AllocationState) -> Self {
        match state {
            AllocationState::Received => Self::Purchase,
            AllocationState::Backordered | AllocationState::Allocated | AllocationState::Released => {
                Self::Sales
            }
        }
    }
}

impl Order {
    pub(super) fn id(&self) -> OrderId {
        match self {
            Self::Sales(order) => order.id,
            Self::Purchase(order) => order.id,
        }
    }

    pub(super) fn demand(&self) -> &Demand {
        match self {
            Self::Sales(order) => &order.demand,
            Self::Purchase(order) => &order.demand,
        }
    }

    /// Returns the time of the last change by a client.
    pub(super) fn updated_at(&self) -> Timestamp {
        match self {
            Self::Sales(order) => order.updated_at,
            Self::Purchase(order) => order.updated_at,
        }
    }

    pub(super) fn status(&self) -> &'static str {
        match self {
            Self::Sales(order) => order.status.into(),
            Self::Purchase(order) => order.status.into(),
        }
    }
}

impl Ledger {
    /// Reads a page of the orders of a kind, eventually consistent.
    pub(super) async fn order_page(
        &self,
        kind: OrderKind,
        segment: ScanSegment,
        after: Option<&ScanCursor>,
    ) -> Result<Scanned<Order>, StoreError> {
        Ok(match kind {
            OrderKind::Sales => {
                let (rows, next) = self.sales.page(segment, after).await?;
                (rows.into_iter().map(|row| row.map(Order::Sales)).collect(), next)
            }
            OrderKind::Purchase => {
                let (rows, next) = self.purchase.page(segment, after).await?;
                (rows.into_iter().map(|row| row.map(Order::Purchase)).collect(), next)
            }
        })
    }

    /// Reads orders of a kind by id, strongly consistent. Missing orders are left out; `None` stands for a
    /// row that cannot be decoded.
    pub(crate) async fn find_orders(
        &self,
        kind: OrderKind,
        ids: &[OrderId],
    ) -> Result<Vec<(OrderId, Option<Order>)>, StoreError> {
        Ok(match kind {
            OrderKind::Sales => {
                let orders = self.sales.find_all(ids).await?.into_iter();
                orders.map(|(id, order)| (id, order.map(Order::Sales))).collect()
            }
            OrderKind::Purchase => {
                let orders = self.purchase.find_all(ids).await?.into_iter();
                orders.map(|(id, order)| (id, order.map(Order::Purchase))).collect()
            }
        })
    }
}

/// Formats the quantities of an order: "3 of ITEM, 1 of ITEM".
pub(crate) fn describe_demand(demand: &Demand) -> String {
    let lines = demand.iter().map(|(item_id, quantity)| format!("{} of {item_id}", quantity.get()));
    lines.collect::<Vec<_>>().join(", ")
}
