//! Users and their accounts.

use erp_domain::identity::Role;
use erp_domain::{EmailAddress, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{NewPassword, Secret};

/// A user, without credentials: as it is decided, stored and returned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = UserData, description = "A user.")]
pub struct User {
    /// The user's id.
    pub id: UserId,
    /// Unique among users.
    pub email: EmailAddress,
    /// The user's role.
    pub role: Role,
    /// Time of registration.
    pub created_at: Timestamp,
    /// Time of the last change of the password.
    pub updated_at: Timestamp,
}

/// A user with the hash of the password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The user.
    #[serde(flatten)]
    pub user: User,
    /// The hash of the password, as a PHC string.
    pub password_hash: Secret,
}

/// A user to be registered.
#[derive(Debug, Clone, ToSchema)]
#[schema(as = RegisterRequest)]
pub struct NewUser {
    /// Unique among users.
    pub email: EmailAddress,
    /// In NFC, and not a common password.
    #[schema(example = "correct horse battery")]
    pub password: NewPassword,
    /// The requested role.
    pub role: Role,
    /// For the first user of a deployment with closed registration and a bootstrap secret; ignored otherwise.
    pub bootstrap_secret: Option<Secret>,
}
