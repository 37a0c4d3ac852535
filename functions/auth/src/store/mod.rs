//! The auth table. Every read is by key and strongly consistent; every write has a condition.

mod keys;
mod row;

use erp_aws::outbox::EventRow;
use erp_aws::table::{ABSENT, EXISTS};
use erp_aws::transaction::{number, text};
use erp_aws::{Change as RowChange, StoreError, Table, Transaction};
use erp_contracts::Event;
use erp_domain::{EmailAddress, Timestamp, UserId};
use erp_service::{Change, OnFailure};
use uuid::Uuid;

use crate::domain::{
    Account, Allowance, Attempts, AuthError, KNOWN_NETWORK_SECONDS, Limits, Secret, SourceNetwork, TokenHash,
    User,
};
use row::{AttemptsRow, GuardRow, PlaceholderRow, RequestsRow, ResetRow, UserRow};

/// The row has the version that was loaded.
const SAME_VERSION: &str = "#version = :version";
/// The row exists and has not expired; TTL deletes late.
const NOT_EXPIRED: &str = "#expires_at > :now";
/// The token is the newest one of its address and source network, and not used.
const NEWEST_TOKEN: &str = "#token = :token";
/// The user exists, and the password was not changed after the token was made.
const UNCHANGED_SINCE: &str = "#updated_at <= :made_at";
/// Holds for any row, existing or not: only the new state matters.
const ANY: &str = "attribute_exists(pk) OR attribute_not_exists(pk)";

type Actions = Transaction<OnFailure<AuthError>>;

/// Users, attempts and resets in DynamoDB.
#[derive(Debug, Clone)]
pub struct AuthStore {
    table: Table,
}

/// A value with the version of its row; version 0 means that there is no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versioned<T> {
    /// The value.
    pub value: T,
    /// The version.
    pub version: u64,
}

/// Counts attempts to guess a secret, whether or not the account or service exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Counter {
    /// Logins to an account from a source network.
    Login(EmailAddress, SourceNetwork),
    /// Logins to an account from all source networks that are not known.
    Account(EmailAddress),
    /// Requests for service tokens from a source network.
    Service(SourceNetwork),
    /// Registrations of the first user with a bootstrap secret, from a source network.
    Bootstrap(SourceNetwork),
}

impl Counter {
    /// Returns the limits of the counter.
    pub const fn limits(&self) -> &'static Limits {
        match self {
            Self::Login(..) => &Limits::LOGIN,
            Self::Account(_) => &Limits::ACCOUNT,
            Self::Service(_) | Self::Bootstrap(_) => &Limits::RANDOM_SECRET,
        }
    }

    /// Returns the kind of secret that is tried, for the log.
    pub const fn credential(&self) -> &'static str {
        match self {
            Self::Login(..) | Self::Account(_) => "password",
            Self::Service(_) => "service secret",
            Self::Bootstrap(_) => "bootstrap secret",
        }
    }
}

/// A granted password reset and its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResetRequest {
    /// The requested address.
    pub email: EmailAddress,
    /// The source network of the request.
    pub network: SourceNetwork,
    /// The user with that address, if there is one.
    pub user: Option<UserId>,
    /// The hash of the token.
    pub token: TokenHash,
    /// Time of the request.
    pub created_at: Timestamp,
    /// Expiry of the token.
    pub expires_at: Timestamp,
}

impl AuthStore {
    /// Creates a store over the auth table.
    pub fn new(table: Table) -> Self {
        Self { table }
    }

    /// Returns the table.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Finds a user by address. Makes the same reads if there is none, so that the duration reveals nothing.
    pub async fn find(&self, email: &EmailAddress) -> Result<Option<Account>, StoreError> {
        let guard: Option<GuardRow> = self.table.get(&keys::email(email)).await?;
        let id = guard.map_or(UserId::new(Uuid::nil()), |guard| guard.id);
        let row: Option<UserRow> = self.table.get(&keys::user(id)).await?;
        Ok(row.map(|row| row.account))
    }

    /// Returns whether there is a user.
    pub async fn has_users(&self) -> Result<bool, StoreError> {
        Ok(self.table.get::<GuardRow>(&keys::first_user()).await?.is_some())
    }

    /// Inserts a new user. Rejected with [`AuthError::EmailTaken`]; stale if the user is to be the `first` and is not.
    pub fn insert(
        &self,
        account: &Account,
        first: bool,
        event: &Event,
    ) -> Result<Change<User, AuthError>, StoreError> {
        let user = &account.user;
        let mut transaction = Transaction::new();
        transaction.put(OnFailure::Bug, &self.table, &UserRow::new(account), ABSENT)?;
        let email = GuardRow::new(keys::email(&user.email), user.id);
        transaction.put(OnFailure::Rejected(AuthError::EmailTaken), &self.table, &email, ABSENT)?;
        if first {
            let guard = GuardRow::new(keys::first_user(), user.id);
            transaction.put(OnFailure::Stale, &self.table, &guard, ABSENT)?;
        }
        Change::new(user.clone(), transaction).with_event(&self.table, &keys::user(user.id).pk, event)
    }

    /// Reads a counter.
    pub async fn attempts(
        &self,
        counter: &Counter,
        now: Timestamp,
    ) -> Result<Versioned<Attempts>, StoreError> {
        let row: Option<AttemptsRow> = self.table.get(&keys::attempts(counter)).await?;
        Ok(row.map_or(Versioned { value: Attempts::none(now), version: 0 }, Versioned::from))
    }

    /// Replaces a counter; stale if its row does not have the version `over`.
    pub fn save_attempts(
        &self,
        transaction: &mut Actions,
        counter: &Counter,
        over: u64,
        attempts: &Attempts,
    ) -> Result<(), StoreError> {
        self.put_over(transaction, &AttemptsRow::new(counter, attempts, over + 1), over)
    }

    /// Settles an attempt as succeeded, whatever its counter contains: concurrent successes do not conflict. A source
    /// network becomes known to the account, the account's own counter keeps its failures.
    pub fn settle_success(
        &self,
        transaction: &mut Actions,
        counter: &Counter,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let key = keys::attempts(counter);
        let (update, condition, values) = match counter {
            Counter::Login(..) => (
                "SET #failures = :zero, #in_flight = :zero, #failed_at = :now, #begun_at = :now, \
                 #succeeded_at = :now, #expires_at = :expires_at, #version = if_not_exists(#version, :zero) + :one",
                ANY,
                vec![
                    (":zero", number(0)),
                    (":one", number(1)),
                    (":now", text(now)),
                    (":expires_at", number(now.plus_seconds(KNOWN_NETWORK_SECONDS).as_seconds())),
                ],
            ),
            Counter::Account(_) => (
                "SET #in_flight = #in_flight - :one, #version = #version + :one",
                EXISTS,
                vec![(":one", number(1))],
            ),
            Counter::Service(_) | Counter::Bootstrap(_) => {
                let forget = RowChange { key, update: String::new(), condition: ANY, values: Vec::new() };
                return transaction.delete(OnFailure::Bug, &self.table, forget);
            }
        };
        let change = RowChange { key, update: update.to_owned(), condition, values };
        transaction.update(OnFailure::Bug, &self.table, change)
    }

    /// Reads the resets granted for an address: to one source network, or to all of them.
    pub async fn allowance(
        &self,
        email: &EmailAddress,
        network: Option<&SourceNetwork>,
        now: Timestamp,
    ) -> Result<Versioned<Allowance>, StoreError> {
        let row: Option<RequestsRow> = self.table.get(&keys::requests(email, network)).await?;
        Ok(row.map_or(Versioned { value: Allowance::unused(now), version: 0 }, Versioned::from))
    }

    /// Saves a granted reset: the new allowances over the versions that were read, the token, which replaces the older
    /// one of the same source network, and the event, or a row of its size if there is no user.
    pub fn save_request(
        &self,
        request: &ResetRequest,
        of_network: &Versioned<Allowance>,
        of_address: Option<&Versioned<Allowance>>,
        event: Option<&Event>,
    ) -> Result<Change<(), AuthError>, StoreError> {
        let mut transaction = Transaction::new();
        let key = keys::requests(&request.email, Some(&request.network));
        let row = RequestsRow::new(request, key, of_network, Some(&request.token));
        self.put_over(&mut transaction, &row, of_network.version)?;
        if let Some(allowance) = of_address {
            let row = RequestsRow::new(request, keys::requests(&request.email, None), allowance, None);
            self.put_over(&mut transaction, &row, allowance.version)?;
        }
        transaction.put(OnFailure::Bug, &self.table, &ResetRow::from(request), ABSENT)?;
        match (request.user, event) {
            (Some(user), Some(event)) => {
                let row = EventRow::to_publish(&keys::user(user).pk, event)?;
                transaction.put(OnFailure::Bug, &self.table, &row, ABSENT)?;
            }
            _ => transaction.put(OnFailure::Bug, &self.table, &PlaceholderRow::from(request), ABSENT)?,
        }
        Ok(Change::new((), transaction))
    }

    /// Finds a reset by its token, expired ones too.
    pub async fn find_request(&self, token: &TokenHash) -> Result<Option<ResetRequest>, StoreError> {
        let row: Option<ResetRow> = self.table.get(&keys::reset(token)).await?;
        Ok(row.map(|row| row.into_request(token)))
    }

    /// Uses a token and replaces the user's password; the source network `network` becomes known to the account.
    /// Rejected with [`AuthError::ResetToken`] if the token was used, has expired or was replaced, or the password was
    /// changed since.
    pub fn reset_password(
        &self,
        request: &ResetRequest,
        user: UserId,
        password_hash: &Secret,
        network: &SourceNetwork,
        now: Timestamp,
    ) -> Result<Change<(), AuthError>, StoreError> {
        let rejected = OnFailure::Rejected(AuthError::ResetToken);
        let mut transaction = Transaction::new();
        let used = RowChange {
            key: keys::reset(&request.token),
            update: String::new(),
            condition: NOT_EXPIRED,
            values: vec![(":now", number(now.as_seconds()))],
        };
        transaction.delete(rejected, &self.table, used)?;
        let newest = RowChange {
            key: keys::requests(&request.email, Some(&request.network)),
            update: "REMOVE #token SET #version = #version + :one".to_owned(),
            condition: NEWEST_TOKEN,
            values: vec![(":token", text(request.token.as_str())), (":one", number(1))],
        };
        transaction.update(rejected, &self.table, newest)?;
        let changed = RowChange {
            key: keys::user(user),
            update: "SET #password_hash = :password_hash, #updated_at = :now".to_owned(),
            condition: UNCHANGED_SINCE,
            values: vec![
                (":password_hash", text(password_hash.expose())),
                (":now", text(now)),
                (":made_at", text(request.created_at)),
            ],
        };
        transaction.update(rejected, &self.table, changed)?;
        let counter = Counter::Login(request.email.clone(), network.clone());
        self.settle_success(&mut transaction, &counter, now)?;
        Ok(Change::new((), transaction))
    }

    /// Puts a row over the version that was read.
    fn put_over(
        &self,
        transaction: &mut Actions,
        row: &impl serde::Serialize,
        over: u64,
    ) -> Result<(), StoreError> {
        let (condition, values) = match over {
            0 => (ABSENT, Vec::new()),
            version => (SAME_VERSION, vec![(":version", number(version))]),
        };
        transaction.put_with(OnFailure::Stale, &self.table, row, condition, values)
    }
}
