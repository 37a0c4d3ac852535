//! Rows of the auth table.

use erp_aws::Key;
use erp_contracts::StoreError;
use erp_domain::identity::{self, Role};
use erp_domain::{Email, Id, Timestamp};
use serde::{Deserialize, Serialize};

use super::keys;
use crate::access::Requests;
use crate::attempts::Attempts;
use crate::ports::{ResetRequest, ResetToken, Target, Versioned};
use crate::secret::{Secret, TokenHash};
use crate::user::{Account, User};

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct UserRow {
    pk: String,
    sk: String,
    id: Id<identity::User>,
    email: Email,
    role: Role,
    password_hash: Secret,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<&Account> for UserRow {
    fn from(account: &Account) -> Self {
        let Account { user, password_hash } = account.clone();
        let Key { pk, sk } = keys::user(user.id);
        let User { id, email, role, created_at, updated_at } = user;
        Self { pk, sk, id, email, role, password_hash, created_at, updated_at }
    }
}

impl From<UserRow> for Account {
    fn from(row: UserRow) -> Self {
        let UserRow { id, email, role, password_hash, created_at, updated_at, .. } = row;
        Self { user: User { id, email, role, created_at, updated_at }, password_hash }
    }
}

/// Holds a unique value for a user.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct GuardRow {
    pk: String,
    sk: String,
    pub(super) id: Id<identity::User>,
}

impl GuardRow {
    pub(super) fn new(key: Key, id: Id<identity::User>) -> Self {
        Self { pk: key.pk, sk: key.sk, id }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct AttemptsRow {
    pk: String,
    sk: String,
    failures: u32,
    failed_at: Timestamp,
    in_flight: u32,
    begun_at: Timestamp,
    version: u64,
    /// Seconds since the epoch: the table's TTL attribute. What expires late does no harm, the rules ask the clock.
    expires_at: i64,
}

impl AttemptsRow {
    pub(super) fn new(target: &Target, attempts: &Attempts, version: u64) -> Self {
        let Key { pk, sk } = keys::attempts(target);
        let &Attempts { failures, failed_at, in_flight, begun_at } = attempts;
        let expires_at = attempts.forgotten_at().as_seconds();
        Self { pk, sk, failures, failed_at, in_flight, begun_at, version, expires_at }
    }
}

impl From<AttemptsRow> for Versioned<Attempts> {
    fn from(row: AttemptsRow) -> Self {
        let AttemptsRow { failures, failed_at, in_flight, begun_at, version, .. } = row;
        Self { value: Attempts { failures, failed_at, in_flight, begun_at }, version }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RequestsRow {
    pk: String,
    sk: String,
    count: u32,
    since: Timestamp,
    /// The newest token, until it is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<TokenHash>,
    version: u64,
    /// Not before the token's.
    expires_at: i64,
}

impl RequestsRow {
    pub(super) fn new(request: &ResetRequest, version: u64) -> Self {
        let Key { pk, sk } = keys::requests(&request.email);
        Self {
            pk,
            sk,
            count: request.requests.count,
            since: request.requests.since,
            token: Some(request.token.clone()),
            version,
            expires_at: request.expires_at.as_seconds(),
        }
    }
}

impl From<RequestsRow> for Versioned<Requests> {
    fn from(row: RequestsRow) -> Self {
        Self { value: Requests { count: row.count, since: row.since }, version: row.version }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ResetRow {
    pk: String,
    sk: String,
    email: Email,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_id: Option<Id<identity::User>>,
    expires_at: i64,
}

impl From<&ResetRequest> for ResetRow {
    fn from(request: &ResetRequest) -> Self {
        let Key { pk, sk } = keys::reset(&request.token);
        let expires_at = request.expires_at.as_seconds();
        Self { pk, sk, email: request.email.clone(), user_id: request.user, expires_at }
    }
}

impl ResetRow {
    pub(super) fn into_token(self, hash: &TokenHash) -> ResetToken {
        let expires_at = Timestamp::from_millis(self.expires_at.saturating_mul(1000));
        ResetToken { hash: hash.clone(), email: self.email, user: self.user_id, expires_at }
    }
}

/// As large as the event that is not there.
#[derive(Debug, Serialize)]
pub(super) struct NobodyRow {
    pk: String,
    sk: String,
    event: String,
    expires_at: i64,
}

impl NobodyRow {
    pub(super) fn new<C>(request: &ResetRequest) -> Result<Self, StoreError<C>> {
        /// About the length of a `auth.password.reset_requested`, without the address.
        const EVENT_BYTES: usize = 480;
        let Key { pk, sk } = keys::nobody(&request.token);
        let event = "-".repeat(EVENT_BYTES + 2 * request.email.as_str().len());
        Ok(Self { pk, sk, event, expires_at: request.expires_at.as_seconds() })
    }
}
