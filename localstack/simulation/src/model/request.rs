//! The requests of clients.

use erp_domain::PartyKind;
use erp_domain::identity::Role;
use serde_json::Value;
use uuid::Uuid;

use super::OrderKind;

/// The caller of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Without a valid token.
    Anonymous,
    /// A user, by id.
    User(String, Role),
    /// A service, by name.
    Service(String),
}

/// A request.
#[derive(Debug, Clone)]
pub struct ClientRequest {
    /// The caller.
    pub caller: Caller,
    /// The operation.
    pub command: Command,
    /// The method.
    pub method: &'static str,
    /// The path without its query.
    pub path: String,
    /// The body.
    pub body: Option<Value>,
    /// `Idempotency-Key`, on routes that support it.
    pub key: Option<String>,
    /// `If-Match`.
    pub if_match: Option<u64>,
}

/// A transition of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// Confirms a sales order.
    Confirm,
    /// Receives a purchase order.
    Receive,
    /// Pays an order.
    Pay,
    /// Cancels an order.
    Cancel,
}

impl Transition {
    /// Returns the last segment of the path.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Confirm => "confirm",
            Self::Receive => "receive",
            Self::Pay => "pay",
            Self::Cancel => "cancel",
        }
    }
}

/// The editable data of a customer or vendor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartyForm {
    /// Name.
    pub name: String,
    /// E-mail address, normalised.
    pub email: String,
    /// Phone.
    pub phone: String,
    /// Address.
    pub address: String,
}

/// The editable data of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemForm {
    /// Name.
    pub name: String,
    /// Description.
    pub description: String,
    /// SKU, normalised.
    pub sku: String,
    /// Minor units.
    pub unit_price: i64,
}

/// A line of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineForm {
    /// The item.
    pub item: Uuid,
    /// The quantity.
    pub quantity: i64,
    /// Minor units; the item's price by default.
    pub unit_price: Option<i64>,
}

/// An adjustment of stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adjust {
    /// By a signed change.
    By(i64),
    /// To a level, optionally if the current level is as expected.
    To(i64, Option<i64>),
}

/// The operation of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is a route, and its fields are the route's")]
pub enum Command {
    Register {
        email: String,
        password: String,
        role: Role,
    },
    Login {
        email: String,
        password: String,
    },
    ForgotPassword {
        email: String,
    },
    ResetPassword {
        token: String,
        password: String,
    },
    ServiceToken {
        valid: bool,
    },
    CreateParty(PartyKind, PartyForm),
    UpdateParty(PartyKind, Uuid, PartyForm),
    DeleteParty(PartyKind, Uuid),
    GetParty(PartyKind, Uuid),
    ListParties(PartyKind, usize),
    CreateItem(ItemForm),
    UpdateItem(Uuid, ItemForm),
    DeleteItem(Uuid),
    GetItem(Uuid),
    ListItems(usize),
    GetStock(Uuid),
    AdjustStock(Uuid, Adjust),
    ListMovements(Uuid, usize),
    CreateOrder(OrderKind, Uuid, Vec<LineForm>),
    UpdateOrder(OrderKind, Uuid, Uuid, Vec<LineForm>),
    Advance(OrderKind, Uuid, Transition, bool),
    GetOrder(OrderKind, Uuid),
    ListOrders {
        kind: OrderKind,
        status: Option<&'static str>,
        party: Option<Uuid>,
        limit: usize,
    },
    ListEvents(OrderKind, Uuid),
    /// A body that is invalid; the role is checked first.
    Malformed {
        access: Access,
    },
}

/// The callers that a route allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// All callers, without a token too.
    Public,
    /// Users and services.
    Reader,
    /// Users.
    Manager,
    /// Finance managers.
    Finance,
}

impl Command {
    /// Returns the callers that are allowed: from the API contract, on purpose not from the platform's own
    /// table.
    pub const fn access(&self) -> Access {
        match self {
            Self::Register { .. }
            | Self::Login { .. }
            | Self::ForgotPassword { .. }
            | Self::ResetPassword { .. }
            | Self::ServiceToken { .. } => Access::Public,
            Self::GetParty(..)
            | Self::ListParties(..)
            | Self::GetItem(_)
            | Self::ListItems(_)
            | Self::GetStock(_)
            | Self::ListMovements(..) => Access::Reader,
            Self::DeleteParty(..) | Self::DeleteItem(_) | Self::Advance(_, _, Transition::Pay, _) => {
                Access::Finance
            }
            Self::Malformed { access } => *access,
            _ => Access::Manager,
        }
    }

    /// Returns whether it is an order operation, by which runs are measured.
    pub const fn is_of_orders(&self) -> bool {
        matches!(
            self,
            Self::CreateOrder(..)
                | Self::UpdateOrder(..)
                | Self::Advance(..)
                | Self::GetOrder(..)
                | Self::ListOrders { .. }
                | Self::ListEvents(..)
        )
    }

    /// Returns the name in figures.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Register { .. } => "register",
            Self::Login { .. } => "login",
            Self::ForgotPassword { .. } => "forgot_password",
            Self::ResetPassword { .. } => "reset_password",
            Self::ServiceToken { .. } => "service_token",
            Self::CreateParty(..) => "create_contact",
            Self::UpdateParty(..) => "update_contact",
            Self::DeleteParty(..) => "delete_contact",
            Self::GetParty(..) => "get_contact",
            Self::ListParties(..) => "list_contacts",
            Self::CreateItem(_) => "create_item",
            Self::UpdateItem(..) => "update_item",
            Self::DeleteItem(_) => "delete_item",
            Self::GetItem(_) => "get_item",
            Self::ListItems(_) => "list_items",
            Self::GetStock(_) => "get_stock",
            Self::AdjustStock(..) => "adjust_stock",
            Self::ListMovements(..) => "list_movements",
            Self::CreateOrder(OrderKind::Sales, ..) => "create_sales_order",
            Self::CreateOrder(OrderKind::Purchase, ..) => "create_purchase_order",
            Self::UpdateOrder(OrderKind::Sales, ..) => "update_sales_order",
            Self::UpdateOrder(OrderKind::Purchase, ..) => "update_purchase_order",
            Self::Advance(OrderKind::Sales, _, Transition::Confirm, _) => "confirm_sales_order",
            Self::Advance(OrderKind::Sales, _, Transition::Pay, _) => "pay_sales_order",
            Self::Advance(OrderKind::Sales, _, _, _) => "cancel_sales_order",
            Self::Advance(OrderKind::Purchase, _, Transition::Receive, _) => "receive_purchase_order",
            Self::Advance(OrderKind::Purchase, _, Transition::Pay, _) => "pay_purchase_order",
            Self::Advance(OrderKind::Purchase, _, _, _) => "cancel_purchase_order",
            Self::GetOrder(OrderKind::Sales, _) => "get_sales_order",
            Self::GetOrder(OrderKind::Purchase, _) => "get_purchase_order",
            Self::ListOrders { kind: OrderKind::Sales, .. } => "list_sales_orders",
            Self::ListOrders { kind: OrderKind::Purchase, .. } => "list_purchase_orders",
            Self::ListEvents(..) => "list_events",
            Self::Malformed { .. } => "malformed",
        }
    }
}

impl ClientRequest {
    /// Returns whether the caller is allowed.
    pub const fn is_allowed(&self) -> bool {
        match (self.command.access(), &self.caller) {
            (Access::Public, _)
            | (Access::Reader, Caller::User(..) | Caller::Service(_))
            | (Access::Manager, Caller::User(..))
            | (Access::Finance, Caller::User(_, Role::FinanceManager)) => true,
            (Access::Reader | Access::Manager | Access::Finance, _) => false,
        }
    }

    /// Returns the scope of the idempotency key.
    pub fn scope(&self) -> Option<Scope> {
        let subject = match &self.caller {
            Caller::Anonymous => "public".to_owned(),
            Caller::User(id, _) => id.clone(),
            Caller::Service(name) => name.clone(),
        };
        let key = self.key.clone()?;
        Some(Scope { subject, method: self.method, path: self.path.clone(), key })
    }

    /// Returns the fingerprint of the request: equal for a repeated one.
    pub fn fingerprint(&self) -> String {
        // The keys of a `Value` are sorted.
        format!("{:?} {:?}", self.body.as_ref().map(Value::to_string), self.if_match)
    }
}

/// An idempotency key in its scope.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope {
    /// The caller.
    pub subject: String,
    /// The method.
    pub method: &'static str,
    /// The path.
    pub path: String,
    /// The key.
    pub key: String,
}
