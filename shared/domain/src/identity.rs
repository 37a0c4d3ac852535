//! Who acts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Email, Id, Invalid};

/// Marks the id of a [`crate::identity`] user.
pub enum User {}

/// What a user may do; see `docs` of the access rules for which routes that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Runs contacts, items, stock and orders.
    InventoryManager,
    /// May do everything, and alone may delete, mark as paid and manage users.
    FinanceManager,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 2] = [Self::InventoryManager, Self::FinanceManager];

    /// The role's name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InventoryManager => "inventory_manager",
            Self::FinanceManager => "finance_manager",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl FromStr for Role {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| Invalid::new("must be inventory_manager or finance_manager"))
    }
}

/// Who makes a request, as the token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// A person who logged in.
    User {
        /// The user.
        id: Id<User>,
        /// The address at the time of the login.
        email: Email,
        /// The role at the time of the login.
        role: Role,
    },
    /// Another program, by a service token: it reads customers, vendors, items and stock.
    Service {
        /// The service's name.
        name: String,
    },
}

impl Caller {
    /// A word that tells callers apart, for logs and as the scope of idempotency keys.
    pub fn subject(&self) -> String {
        match self {
            Self::User { id, .. } => id.to_string(),
            Self::Service { name } => format!("service:{name}"),
        }
    }

    /// The user's role; a service has none.
    pub fn role(&self) -> Option<Role> {
        match self {
            Self::User { role, .. } => Some(*role),
            Self::Service { .. } => None,
        }
    }
}
