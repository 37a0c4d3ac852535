//! Idempotency keys and the responses stored under them
//! (<https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/>).
//!
//! A response is stored in the transaction of its effect, in the table of the context, for 24 hours. A rejected request
//! has no effect and binds no key.

use std::fmt;

use erp_aws::transaction::number;
use erp_aws::{Key, StoreError, Table, Transaction};
use erp_domain::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::{OnFailure, ServiceError};

/// Seconds that a response is stored.
pub const IDEMPOTENCY_SECONDS: i64 = 24 * 60 * 60;

/// The key is unused, or its record has expired: TTL deletes late, so the time is compared too.
const UNUSED_OR_EXPIRED: &str = "attribute_not_exists(pk) OR #expires_at <= :now";

/// The response to a committed change, as it is sent and stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredResponse {
    /// HTTP status code.
    pub status: u16,
    /// The body, JSON.
    pub body: String,
    /// The `ETag` header, quotes included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The path of a created resource, without stage or base path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
}

/// The `Idempotency-Key` of a request, with what identifies the request.
#[derive(Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The header's value.
    pub key: String,
    /// Caller, method, route and canonical ids: the same key in another scope is another key.
    pub scope: String,
    /// Canonical JSON of the body, and the precondition: the same key with another request is an error.
    pub request: String,
}

impl fmt::Debug for IdempotencyKey {
    /// Leaves the request out, which may contain a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdempotencyKey").field("key", &self.key).field("scope", &self.scope).finish()
    }
}

/// A key as it is stored: hashed, so that the table contains neither bodies nor keys.
#[derive(Debug, Clone)]
pub(crate) struct HashedKey {
    row: Key,
    fingerprint: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct IdempotencyRow {
    pk: String,
    sk: String,
    fingerprint: String,
    response: StoredResponse,
    created_at: Timestamp,
    /// Seconds since the epoch: the table's TTL attribute.
    expires_at: i64,
}

impl HashedKey {
    /// Hashes a key. `pepper` is secret where requests contain secrets, so that a fingerprint cannot be used to guess
    /// them.
    pub(crate) fn new(key: &IdempotencyKey, pepper: &[u8]) -> Result<Self, StoreError> {
        let scope = hash(pepper, &[&key.scope, &key.key])?;
        let row = Key::new(format!("IDEMPOTENCY#{scope}"), "RESPONSE");
        Ok(Self { row, fingerprint: hash(pepper, &[&key.request])? })
    }

    /// Looks for a stored response, strongly consistent. Fails with [`ServiceError::KeyReused`] if another request bound
    /// the key.
    pub(crate) async fn find<R>(
        &self,
        table: &Table,
        now: Timestamp,
    ) -> Result<Option<StoredResponse>, ServiceError<R>> {
        match table.get::<IdempotencyRow>(&self.row).await? {
            Some(row) if row.expires_at <= now.as_seconds() => Ok(None),
            Some(row) if row.fingerprint != self.fingerprint => Err(ServiceError::KeyReused),
            row => Ok(row.map(|row| row.response)),
        }
    }

    /// Adds the record to the transaction of the effect.
    pub(crate) fn store<R>(
        &self,
        transaction: &mut Transaction<OnFailure<R>>,
        table: &Table,
        response: &StoredResponse,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Key { pk, sk } = self.row.clone();
        let row = IdempotencyRow {
            pk,
            sk,
            fingerprint: self.fingerprint.clone(),
            response: response.clone(),
            created_at: now,
            expires_at: now.plus_seconds(IDEMPOTENCY_SECONDS).as_seconds(),
        };
        let values = vec![(":now", number(now.as_seconds()))];
        transaction.put_with(OnFailure::KeyBound, table, &row, UNUSED_OR_EXPIRED, values)
    }
}

/// HMAC-SHA-256 over length-prefixed parts, in hexadecimal.
fn hash(pepper: &[u8], parts: &[&str]) -> Result<String, StoreError> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(pepper).map_err(|error| StoreError::new(error.to_string()))?;
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part.as_bytes());
    }
    Ok(mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect())
}
