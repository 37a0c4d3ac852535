//! Rows of the auth table.

use erp_aws::Key;
use erp_domain::{EmailAddress, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use super::{Counter, ResetRequest, Versioned, keys};
use crate::domain::{Account, Allowance, Attempts, SourceNetwork, TokenHash};

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct UserRow {
    pk: String,
    sk: String,
    #[serde(flatten)]
    pub(super) account: Account,
}

impl UserRow {
    pub(super) fn new(account: &Account) -> Self {
        let Key { pk, sk } = keys::user(account.user.id);
        Self { pk, sk, account: account.clone() }
    }
}

/// Reserves a unique value for a user.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct GuardRow {
    pk: String,
    sk: String,
    pub(super) id: UserId,
}

impl GuardRow {
    pub(super) fn new(key: Key, id: UserId) -> Self {
        Self { pk: key.pk, sk: key.sk, id }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct AttemptsRow {
    pk: String,
    sk: String,
    failures: u32,
    failed_at: Timestamp,
    /// Negative if an attempt was settled after it had been counted as failed.
    in_flight: i64,
    begun_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    succeeded_at: Option<Timestamp>,
    version: u64,
    /// Seconds since the epoch: the table's TTL attribute. TTL deletes late; the rules compare the time themselves.
    expires_at: i64,
}

impl AttemptsRow {
    pub(super) fn new(counter: &Counter, attempts: &Attempts, version: u64) -> Self {
        let Key { pk, sk } = keys::attempts(counter);
        let &Attempts { failures, failed_at, in_flight, begun_at, succeeded_at } = attempts;
        let expires_at = attempts.forgotten_at(counter.limits()).as_seconds();
        let in_flight = i64::from(in_flight);
        Self { pk, sk, failures, failed_at, in_flight, begun_at, succeeded_at, version, expires_at }
    }
}

impl From<AttemptsRow> for Versioned<Attempts> {
    fn from(row: AttemptsRow) -> Self {
        let AttemptsRow { failures, failed_at, in_flight, begun_at, succeeded_at, version, .. } = row;
        let in_flight = u32::try_from(in_flight).unwrap_or(0);
        Self { value: Attempts { failures, failed_at, in_flight, begun_at, succeeded_at }, version }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RequestsRow {
    pk: String,
    sk: String,
    count: u32,
    since: Timestamp,
    /// The newest token of the source network, until it is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<TokenHash>,
    version: u64,
    /// Not before the token's.
    expires_at: i64,
}

impl RequestsRow {
    pub(super) fn new(
        request: &ResetRequest,
        key: Key,
        allowance: &Versioned<Allowance>,
        token: Option<&TokenHash>,
    ) -> Self {
        let Versioned { value: Allowance { count, since }, version } = *allowance;
        let expires_at = request.expires_at.as_seconds();
        Self { pk: key.pk, sk: key.sk, count, since, token: token.cloned(), version: version + 1, expires_at }
    }
}

impl From<RequestsRow> for Versioned<Allowance> {
    fn from(row: RequestsRow) -> Self {
        Self { value: Allowance { count: row.count, since: row.since }, version: row.version }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ResetRow {
    pk: String,
    sk: String,
    email: EmailAddress,
    network: SourceNetwork,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_id: Option<UserId>,
    created_at: Timestamp,
    expires_at: i64,
}

impl From<&ResetRequest> for ResetRow {
    fn from(request: &ResetRequest) -> Self {
        let ResetRequest { email, network, user, token, created_at, expires_at } = request.clone();
        let Key { pk, sk } = keys::reset(&token);
        Self { pk, sk, email, network, user_id: user, created_at, expires_at: expires_at.as_seconds() }
    }
}

impl ResetRow {
    pub(super) fn into_request(self, token: &TokenHash) -> ResetRequest {
        let Self { email, network, user_id: user, created_at, expires_at, .. } = self;
        let expires_at = Timestamp::from_millis(expires_at.saturating_mul(1000));
        ResetRequest { email, network, user, token: token.clone(), created_at, expires_at }
    }
}

/// A row of the size of the event that is not written.
#[derive(Debug, Serialize)]
pub(super) struct PlaceholderRow {
    pk: String,
    sk: String,
    event: String,
    expires_at: i64,
}

impl From<&ResetRequest> for PlaceholderRow {
    fn from(request: &ResetRequest) -> Self {
        /// Approximate length of an `auth.password.reset_requested` without the address.
        const EVENT_BYTES: usize = 480;
        let Key { pk, sk } = keys::placeholder(&request.token);
        let event = "-".repeat(EVENT_BYTES + 2 * request.email.as_str().len());
        Self { pk, sk, event, expires_at: request.expires_at.as_seconds() }
    }
}
