//! The auth table.

mod keys;
mod row;

use async_trait::async_trait;
use erp_aws::outbox::EventRow;
use erp_aws::table::{NOT_THERE, THERE};
use erp_aws::transaction::{number, text};
use erp_aws::{Change, Table, Transaction, TransactionError, answers};
use erp_contracts::{Along, StoreError};
use erp_domain::identity::User;
use erp_domain::{Email, Id, Timestamp};
use uuid::Uuid;

use crate::access::Requests;
use crate::attempts::Attempts;
use crate::ports::{
    AttemptStore, InsertConflict, Moved, ResetRequest, ResetStore, ResetToken, Spent, Target, UserStore,
    Versioned,
};
use crate::secret::{Secret, TokenHash};
use crate::user::Account;
use row::{AttemptsRow, GuardRow, NobodyRow, RequestsRow, ResetRow, UserRow};

/// What was read is still what is there.
const SAME_VERSION: &str = "#version = :version";
/// The token was not used, or there would be no time to compare; and it has not expired, which TTL would tell too late.
const GOOD_TOKEN: &str = "#expires_at > :now";
/// The token is the newest one for its address, and not used.
const NEWEST_TOKEN: &str = "#token = :token";
/// The row may be there or not; all that matters is that it is not there afterwards.
const WHATEVER_IS_THERE: &str = "attribute_exists(pk) OR attribute_not_exists(pk)";

/// Users, attempts and resets in DynamoDB.
#[derive(Debug, Clone)]
pub struct DynamoStore {
    table: Table,
}

/// The actions of a write, by what their conditions are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    User,
    Email,
    FirstUser,
    Attempts,
    Requests,
    Token,
    Event,
    Answer,
}

impl DynamoStore {
    /// Users in this table.
    pub fn new(table: Table) -> Self {
        Self { table }
    }

    /// The table.
    pub fn table(&self) -> &Table {
        &self.table
    }

    fn add_event<C>(
        &self,
        transaction: &mut Transaction<Action>,
        user: Id<User>,
        along: &Along,
    ) -> Result<(), StoreError<C>> {
        let Some(event) = &along.event else { return Ok(()) };
        let row = EventRow::to_publish::<C>(&keys::user(user).pk, event)?;
        transaction.put(Action::Event, &self.table, &row, NOT_THERE)
    }

    fn add_answer<C>(
        &self,
        transaction: &mut Transaction<Action>,
        along: &Along,
    ) -> Result<(), StoreError<C>> {
        match &along.record {
            Some(record) => answers::add(transaction, Action::Answer, &self.table, record),
            None => Ok(()),
        }
    }

    /// Writes a row over the version that was read.
    fn put_over<C>(
        &self,
        transaction: &mut Transaction<Action>,
        action: Action,
        row: &impl serde::Serialize,
        over: u64,
    ) -> Result<(), StoreError<C>> {
        match over {
            0 => transaction.put(action, &self.table, row, NOT_THERE),
            version => {
                let values = vec![(":version", number(version))];
                transaction.put_with(action, &self.table, row, SAME_VERSION, values)
            }
        }
    }
}

/// What a failed commit means where the only condition that can fail is that of `action`.
fn only<C>(error: TransactionError<Action>, action: Action, conflict: C) -> StoreError<C> {
    if error.failed(&action) { StoreError::Conflict(conflict) } else { error.into() }
}

#[async_trait]
impl UserStore for DynamoStore {
    async fn find(&self, email: &Email) -> Result<Option<Account>, StoreError> {
        let guard: Option<GuardRow> = self.table.get(&keys::email(email)).await?;
        // Who is not there is looked for all the same: the second read takes as long as the first.
        let id = guard.map_or(Id::new(Uuid::nil()), |guard| guard.id);
        let row: Option<UserRow> = self.table.get(&keys::user(id)).await?;
        Ok(row.map(Account::from))
    }

    async fn has_users(&self) -> Result<bool, StoreError> {
        Ok(self.table.get::<GuardRow>(&keys::first_user()).await?.is_some())
    }

    async fn insert(
        &self,
        account: &Account,
        first: bool,
        along: &Along,
    ) -> Result<(), StoreError<InsertConflict>> {
        let id = account.user.id;
        let mut transaction = Transaction::new();
        transaction.put(Action::User, &self.table, &UserRow::from(account), NOT_THERE)?;
        let email = GuardRow::new(keys::email(&account.user.email), id);
        transaction.put(Action::Email, &self.table, &email, NOT_THERE)?;
        if first {
            let guard = GuardRow::new(keys::first_user(), id);
            transaction.put(Action::FirstUser, &self.table, &guard, NOT_THERE)?;
        }
        self.add_event(&mut transaction, id, along)?;
        self.add_answer(&mut transaction, along)?;
        transaction.commit(&self.table).await.map_err(|error| {
            // The answer comes first: when it is there, this very request was carried out before, and that is why
            // the others do not hold.
            if error.failed(&Action::Answer) {
                StoreError::Answered
            } else if error.failed(&Action::FirstUser) {
                StoreError::Conflict(InsertConflict::NotFirst)
            } else {
                only(error, Action::Email, InsertConflict::EmailTaken)
            }
        })
    }
}

#[async_trait]
impl AttemptStore for DynamoStore {
    async fn attempts(&self, target: &Target) -> Result<Option<Versioned<Attempts>>, StoreError> {
        let row: Option<AttemptsRow> = self.table.get(&keys::attempts(target)).await?;
        Ok(row.map(Versioned::from))
    }

    async fn save_attempts(
        &self,
        target: &Target,
        over: u64,
        attempts: &Attempts,
    ) -> Result<(), StoreError<Moved>> {
        let mut transaction = Transaction::new();
        let row = AttemptsRow::new(target, attempts, over + 1);
        self.put_over(&mut transaction, Action::Attempts, &row, over)?;
        transaction.commit(&self.table).await.map_err(|error| only(error, Action::Attempts, Moved))
    }

    async fn forget_attempts(&self, target: &Target) -> Result<(), StoreError> {
        let mut transaction = Transaction::new();
        transaction.delete(Action::Attempts, &self.table, forgotten(target))?;
        Ok(transaction.commit(&self.table).await?)
    }
}

fn forgotten(target: &Target) -> Change {
    Change {
        key: keys::attempts(target),
        update: String::new(),
        condition: WHATEVER_IS_THERE,
        values: Vec::new(),
    }
}

#[async_trait]
impl ResetStore for DynamoStore {
    async fn requests(&self, email: &Email) -> Result<Option<Versioned<Requests>>, StoreError> {
        let row: Option<RequestsRow> = self.table.get(&keys::requests(email)).await?;
        Ok(row.map(Versioned::from))
    }

    async fn save_request(
        &self,
        request: &ResetRequest,
        over: u64,
        along: &Along,
    ) -> Result<(), StoreError<Moved>> {
        let mut transaction = Transaction::new();
        let requests = RequestsRow::new(request, over + 1);
        self.put_over(&mut transaction, Action::Requests, &requests, over)?;
        transaction.put(Action::Token, &self.table, &ResetRow::from(request), NOT_THERE)?;
        match request.user {
            Some(user) => self.add_event(&mut transaction, user, along)?,
            None => {
                transaction.put(Action::Event, &self.table, &NobodyRow::new::<Moved>(request)?, NOT_THERE)?;
            }
        }
        transaction.commit(&self.table).await.map_err(|error| only(error, Action::Requests, Moved))
    }

    async fn find_token(&self, hash: &TokenHash) -> Result<Option<ResetToken>, StoreError> {
        let row: Option<ResetRow> = self.table.get(&keys::reset(hash)).await?;
        Ok(row.map(|row| row.into_token(hash)))
    }

    async fn reset_password(
        &self,
        token: &ResetToken,
        user: Id<User>,
        password_hash: &Secret,
        now: Timestamp,
        along: &Along,
    ) -> Result<(), StoreError<Spent>> {
        let mut transaction = Transaction::new();
        let used = Change {
            key: keys::reset(&token.hash),
            update: String::new(),
            condition: GOOD_TOKEN,
            values: vec![(":now", number(now.as_seconds()))],
        };
        transaction.delete(Action::Token, &self.table, used)?;
        let newest = Change {
            key: keys::requests(&token.email),
            update: "REMOVE #token SET #version = #version + :one".to_owned(),
            condition: NEWEST_TOKEN,
            values: vec![(":token", text(token.hash.as_str())), (":one", number(1))],
        };
        transaction.update(Action::Requests, &self.table, newest)?;
        let changed = Change {
            key: keys::user(user),
            update: "SET #password_hash = :password_hash, #updated_at = :now".to_owned(),
            condition: THERE,
            values: vec![(":password_hash", text(password_hash.expose())), (":now", text(now))],
        };
        transaction.update(Action::User, &self.table, changed)?;
        transaction.delete(Action::Attempts, &self.table, forgotten(&Target::User(token.email.clone())))?;
        self.add_answer(&mut transaction, along)?;
        transaction.commit(&self.table).await.map_err(|error| {
            if error.failed(&Action::Answer) {
                StoreError::Answered
            } else if error.failed(&Action::Token) {
                StoreError::Conflict(Spent)
            } else {
                only(error, Action::Requests, Spent)
            }
        })
    }
}
