//! What is known of a user.

use erp_domain::identity::{self, Caller, Role};
use erp_domain::{Email, Id, Timestamp};

use crate::secret::Secret;

/// A user, as everybody who may know of them sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The user's id.
    pub id: Id<identity::User>,
    /// Unique among users.
    pub email: Email,
    /// What they may do.
    pub role: Role,
    /// When they were registered.
    pub created_at: Timestamp,
    /// When their password last changed.
    pub updated_at: Timestamp,
}

impl User {
    /// The user as the caller that a token names.
    pub fn caller(&self) -> Caller {
        Caller::User { id: self.id, email: self.email.clone(), role: self.role }
    }
}

/// A user with what proves them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The user.
    pub user: User,
    /// The hash of the password, as a PHC string.
    pub password_hash: Secret,
}
