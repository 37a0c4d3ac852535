//! Every condition of a write by itself: what would be overwritten without it stays as it is. Ids and tokens that are
//! drawn twice are never seen in real life, and that is why they are made here.

use erp_contracts::data::{PasswordResetRequested, UserRegistered};
use erp_contracts::{Along, Cause, Event, EventKind, StoreError};
use erp_domain::identity::{self, Role};
use erp_domain::{Clock, Email, Id};
use erp_testkit::dynamo::rows;
use uuid::Uuid;

use super::Platform;
use crate::access::Requests;
use crate::attempts::Attempts;
use crate::ports::{
    AttemptStore, InsertConflict, Moved, ResetRequest, ResetStore, ResetToken, Spent, Target, UserStore,
};
use crate::secret::{Secret, TokenHash};
use crate::store::DynamoStore;
use crate::user::{Account, User};

const NOTHING: Along = Along { event: None, record: None };

/// A store, with the clock that its rows are written by.
struct Bench {
    platform: Platform,
    store: DynamoStore,
}

impl Bench {
    async fn start() -> Self {
        let platform = Platform::open().await;
        let store = DynamoStore::new(platform.table.clone());
        Self { platform, store }
    }

    fn account(&self, id: Uuid, email: &str) -> Account {
        let now = self.platform.clock.now();
        let (id, email) = (Id::new(id), Email::parse(email).unwrap());
        let user = User { id, email, role: Role::InventoryManager, created_at: now, updated_at: now };
        Account { user, password_hash: Secret::new("hash") }
    }

    fn registered(&self, account: &Account, event: Uuid) -> Along {
        let User { id, email, role, .. } = account.user.clone();
        let data = UserRegistered { user_id: id, email, role };
        let (kind, now) = (EventKind::UserRegistered, self.platform.clock.now());
        Along {
            event: Some(Event::new(event, kind, id, now, &Cause::default(), &data).unwrap()),
            record: None,
        }
    }

    async fn insert(&self, id: Uuid, email: &str, first: bool) -> Result<(), StoreError<InsertConflict>> {
        let account = self.account(id, email);
        self.store.insert(&account, first, &self.registered(&account, Uuid::now_v7())).await
    }

    fn request(&self, user: Option<Id<identity::User>>, token: &str) -> ResetRequest {
        let now = self.platform.clock.now();
        ResetRequest {
            email: Email::parse("a@example.com").unwrap(),
            user,
            token: TokenHash::of(&Secret::new(token)),
            expires_at: now.plus_seconds(60),
            requests: Requests { count: 1, since: now },
        }
    }

    fn asked(&self, request: &ResetRequest, event: Uuid) -> Along {
        let Some(user_id) = request.user else { return NOTHING };
        let data =
            PasswordResetRequested { user_id, email: request.email.clone(), expires_at: request.expires_at };
        let (kind, now) = (EventKind::PasswordResetRequested, self.platform.clock.now());
        let event = Event::new(event, kind, user_id, now, &Cause::default(), &data).unwrap();
        Along { event: Some(event), record: None }
    }

    async fn save(&self, request: &ResetRequest, over: u64) -> Result<(), StoreError<Moved>> {
        self.store.save_request(request, over, &self.asked(request, Uuid::now_v7())).await
    }

    async fn reset(&self, token: &ResetToken) -> Result<(), StoreError<Spent>> {
        let (user, now) = (token.user.unwrap(), self.platform.clock.now());
        self.store.reset_password(token, user, &Secret::new("another"), now, &NOTHING).await
    }

    /// Whatever is tried, nothing changes.
    async fn nothing_changes(&self, tried: impl AsyncFnOnce()) {
        let before = rows(&self.platform.table).await;
        tried().await;
        assert_eq!(rows(&self.platform.table).await, before);
    }
}

#[tokio::test]
async fn an_id_that_is_drawn_twice_overwrites_no_user() {
    let (bench, id) = (Bench::start().await, Uuid::now_v7());
    bench.insert(id, "a@example.com", false).await.unwrap();
    bench
        .nothing_changes(async || {
            bench.insert(id, "b@example.com", false).await.unwrap_err();
        })
        .await;
}

#[tokio::test]
async fn an_address_is_taken_once_and_there_is_one_first_user() {
    let bench = Bench::start().await;
    bench.insert(Uuid::now_v7(), "a@example.com", true).await.unwrap();
    bench
        .nothing_changes(async || {
            let taken = bench.insert(Uuid::now_v7(), "a@example.com", false).await;
            assert!(matches!(taken, Err(StoreError::Conflict(InsertConflict::EmailTaken))), "{taken:?}");
            let second = bench.insert(Uuid::now_v7(), "b@example.com", true).await;
            assert!(matches!(second, Err(StoreError::Conflict(InsertConflict::NotFirst))), "{second:?}");
        })
        .await;
}

#[tokio::test]
async fn an_event_id_that_is_drawn_twice_overwrites_no_event() {
    let (bench, id, event) = (Bench::start().await, Uuid::now_v7(), Uuid::now_v7());
    let account = bench.account(id, "a@example.com");
    bench.store.insert(&account, false, &bench.registered(&account, event)).await.unwrap();
    bench
        .nothing_changes(async || {
            let request = bench.request(Some(Id::new(id)), "token");
            bench.store.save_request(&request, 0, &bench.asked(&request, event)).await.unwrap_err();
        })
        .await;
}

#[tokio::test]
async fn a_count_that_somebody_else_changed_is_not_overwritten() {
    let bench = Bench::start().await;
    let target = Target::Service("reports".into());
    let attempts = Attempts { failures: 1, ..Attempts::none(bench.platform.clock.now()) };
    bench.store.save_attempts(&target, 0, &attempts).await.unwrap();
    let save = async |over, failures| {
        let saved = bench.store.save_attempts(&target, over, &Attempts { failures, ..attempts }).await;
        assert!(matches!(saved, Err(StoreError::Conflict(Moved))), "{saved:?}");
    };
    bench.nothing_changes(async || save(0, 7).await).await;
    bench.store.save_attempts(&target, 1, &attempts).await.unwrap();
    bench.nothing_changes(async || save(1, 7).await).await;
}

#[tokio::test]
async fn a_token_that_is_drawn_twice_overwrites_no_other() {
    let bench = Bench::start().await;
    for user in [None, Some(Id::new(Uuid::now_v7()))] {
        let token = format!("token {user:?}");
        let other =
            ResetRequest { email: Email::parse("b@example.com").unwrap(), ..bench.request(user, &token) };
        let over = if user.is_some() { 1 } else { 0 };
        bench.save(&other, over).await.unwrap();
        bench
            .nothing_changes(async || {
                // Whichever of the two rows of a request is left, the other is not overwritten.
                bench.save(&bench.request(user, &token), 0).await.unwrap_err();
            })
            .await;
    }
}

#[tokio::test]
async fn what_stands_for_an_event_of_nobody_is_written_once() {
    let bench = Bench::start().await;
    bench.save(&bench.request(None, "token"), 0).await.unwrap();
    let table = &bench.platform.table;
    for row in rows(table).await {
        if row["sk"].as_s().unwrap() == "RESET" {
            let delete = table.client.delete_item().table_name(&table.name);
            delete.key("pk", row["pk"].clone()).key("sk", row["sk"].clone()).send().await.unwrap();
        }
    }
    bench
        .nothing_changes(async || {
            bench.save(&bench.request(None, "token"), 1).await.unwrap_err();
        })
        .await;
}

#[tokio::test]
async fn a_token_resets_one_password_once_while_it_is_good_and_the_newest() {
    let bench = Bench::start().await;
    let id = Uuid::now_v7();
    bench.insert(id, "a@example.com", false).await.unwrap();
    let (older, newer) =
        (bench.request(Some(Id::new(id)), "older"), bench.request(Some(Id::new(id)), "newer"));
    bench.save(&older, 0).await.unwrap();
    bench.save(&newer, 1).await.unwrap();
    let older = bench.store.find_token(&older.token).await.unwrap().unwrap();
    let newer = bench.store.find_token(&newer.token).await.unwrap().unwrap();
    let spent = async |token: &ResetToken| {
        let reset = bench.reset(token).await;
        assert!(matches!(reset, Err(StoreError::Conflict(Spent))), "{reset:?}");
    };
    bench.nothing_changes(async || spent(&older).await).await;
    bench
        .nothing_changes(async || {
            let nobody = ResetToken { user: Some(Id::new(Uuid::now_v7())), ..newer.clone() };
            bench.reset(&nobody).await.unwrap_err();
        })
        .await;
    bench.platform.clock.advance_seconds(61);
    bench.nothing_changes(async || spent(&newer).await).await;
    bench.platform.clock.advance_seconds(-2);
    bench.reset(&newer).await.unwrap();
    bench.nothing_changes(async || spent(&newer).await).await;
}
