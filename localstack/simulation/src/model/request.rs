//! What a client asks, in the platform's own terms.

use erp_domain::PartyKind;
use erp_domain::identity::Role;
use serde_json::Value;
use uuid::Uuid;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Without a token, or with one that is none of ours or has expired.
    Nobody,
    /// A user, by their id.
    User(String, Role),
    /// Another program, by its name.
    Service(String),
}

/// A request.
#[derive(Debug, Clone)]
pub struct ClientRequest {
    /// Who asks.
    pub caller: Caller,
    /// For what.
    pub what: Command,
    /// The method.
    pub method: &'static str,
    /// The path without its query.
    pub path: String,
    /// The body.
    pub body: Option<Value>,
    /// `Idempotency-Key`, where the route honours it.
    pub key: Option<String>,
    /// `If-Match`.
    pub if_match: Option<u64>,
}

/// A step of an order's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A sale becomes binding.
    Confirm,
    /// What was bought has arrived.
    Receive,
    /// It is paid.
    Pay,
    /// It is given up.
    Cancel,
}

impl Step {
    /// The word in the path.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Confirm => "confirm",
            Self::Receive => "receive",
            Self::Pay => "pay",
            Self::Cancel => "cancel",
        }
    }
}

/// A customer or vendor as a client says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartyForm {
    /// Name.
    pub name: String,
    /// Address for mail, as it is kept.
    pub email: String,
    /// Phone.
    pub phone: String,
    /// Address.
    pub address: String,
}

/// An item as a client says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemForm {
    /// Name.
    pub name: String,
    /// Description.
    pub description: String,
    /// SKU, as it is kept.
    pub sku: String,
    /// Minor units.
    pub unit_price: i64,
}

/// A line as a client says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineForm {
    /// Which item.
    pub item: Uuid,
    /// How many.
    pub quantity: i64,
    /// Minor units; the item's own price if not said.
    pub unit_price: Option<i64>,
}

/// How stock is to be adjusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adjust {
    /// By so many.
    By(i64),
    /// To so many, if there are as many as somebody saw.
    To(i64, Option<i64>),
}

/// What is asked for.
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
    Forgot {
        email: String,
    },
    Reset {
        token: String,
        password: String,
    },
    ServiceToken {
        right: bool,
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
    Advance(OrderKind, Uuid, Step, bool),
    GetOrder(OrderKind, Uuid),
    ListOrders {
        kind: OrderKind,
        status: Option<&'static str>,
        party: Option<Uuid>,
        limit: usize,
    },
    ListEvents(OrderKind, Uuid),
    /// A body that is refused whatever else is true, after the caller was looked at.
    Malformed {
        access: Access,
    },
}

/// Who may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody.
    Public,
    /// Users and services.
    Reader,
    /// Users.
    Manager,
    /// Finance managers.
    Finance,
}

impl Command {
    /// Who may ask for it: `api.md` in the model's words, and on purpose not the platform's own table.
    pub const fn access(&self) -> Access {
        match self {
            Self::Register { .. }
            | Self::Login { .. }
            | Self::Forgot { .. }
            | Self::Reset { .. }
            | Self::ServiceToken { .. } => Access::Public,
            Self::GetParty(..)
            | Self::ListParties(..)
            | Self::GetItem(_)
            | Self::ListItems(_)
            | Self::GetStock(_)
            | Self::ListMovements(..) => Access::Reader,
            Self::DeleteParty(..) | Self::DeleteItem(_) | Self::Advance(_, _, Step::Pay, _) => {
                Access::Finance
            }
            Self::Malformed { access } => *access,
            _ => Access::Manager,
        }
    }

    /// Whether it is one of the order operations that runs are measured by.
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

    /// The word for it in figures.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Register { .. } => "register",
            Self::Login { .. } => "login",
            Self::Forgot { .. } => "forgot_password",
            Self::Reset { .. } => "reset_password",
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
            Self::Advance(OrderKind::Sales, _, Step::Confirm, _) => "confirm_sales_order",
            Self::Advance(OrderKind::Sales, _, Step::Pay, _) => "pay_sales_order",
            Self::Advance(OrderKind::Sales, _, _, _) => "cancel_sales_order",
            Self::Advance(OrderKind::Purchase, _, Step::Receive, _) => "receive_purchase_order",
            Self::Advance(OrderKind::Purchase, _, Step::Pay, _) => "pay_purchase_order",
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
    /// Whether the caller may.
    pub const fn is_allowed(&self) -> bool {
        match (self.what.access(), &self.caller) {
            (Access::Public, _)
            | (Access::Reader, Caller::User(..) | Caller::Service(_))
            | (Access::Manager, Caller::User(..))
            | (Access::Finance, Caller::User(_, Role::FinanceManager)) => true,
            (Access::Reader | Access::Manager | Access::Finance, _) => false,
        }
    }

    /// Whose key it is, and for which route.
    pub fn scope(&self) -> Option<Scope> {
        let subject = match &self.caller {
            Caller::Nobody => "public".to_owned(),
            Caller::User(id, _) => id.clone(),
            Caller::Service(name) => name.clone(),
        };
        let key = self.key.clone()?;
        Some(Scope { subject, method: self.method, path: self.path.clone(), key })
    }

    /// What must be the same for the same answer.
    pub fn fingerprint(&self) -> String {
        format!("{:?} {:?}", self.body.as_ref().map(Value::to_string), self.if_match)
    }
}

/// A key, with whose it is and for which route.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope {
    /// Whose.
    pub subject: String,
    /// The route's method.
    pub method: &'static str,
    /// The route's path.
    pub path: String,
    /// The key.
    pub key: String,
}
