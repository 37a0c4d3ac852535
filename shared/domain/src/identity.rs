//! Roles, and the caller of a request.

use serde::{Deserialize, Serialize};

use crate::{EmailAddress, UserId, ValidationError};

/// The role of a user; `erp_auth::access` lists the routes of each role.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", parse_err_ty = ValidationError, parse_err_fn = not_a_role)]
pub enum Role {
    /// Manages contacts, items, stock and orders.
    InventoryManager,
    /// May do everything; only this role deletes, records payments and manages users.
    FinanceManager,
}

impl Role {
    /// Returns the role's name in JSON.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

fn not_a_role(_: &str) -> ValidationError {
    ValidationError::new("must be inventory_manager or finance_manager")
}

/// The authenticated caller of a request, as the access token identifies it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// A logged-in user.
    User {
        /// The user's id.
        id: UserId,
        /// The e-mail address at login.
        email: EmailAddress,
        /// The role at login.
        role: Role,
    },
    /// Another program, by a service token: it reads customers, vendors, items and stock.
    Service {
        /// The service's name.
        name: String,
    },
}

impl Caller {
    /// Returns an identifier that is unique per caller, for logs and as the scope of idempotency keys.
    pub fn subject(&self) -> String {
        match self {
            Self::User { id, .. } => id.to_string(),
            Self::Service { name } => format!("service:{name}"),
        }
    }

    /// Returns the user's role; a service has none.
    pub fn role(&self) -> Option<Role> {
        match self {
            Self::User { role, .. } => Some(*role),
            Self::Service { .. } => None,
        }
    }
}
