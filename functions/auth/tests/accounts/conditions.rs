//! Each condition of a write on its own: what would be overwritten without it stays unchanged. Ids and tokens that are
//! drawn twice do not occur in practice, so the tests construct them.

use auth::domain::{Account, Allowance, Attempts, AuthError, Secret, SourceNetwork, TokenHash, User};
use auth::store::{AuthStore, Counter, ResetRequest, Versioned};
use erp_aws::Transaction;
use erp_contracts::data::{PasswordResetRequested, UserRegistered};
use erp_contracts::{Cause, Event, EventKind};
use erp_domain::identity::Role;
use erp_domain::{Clock, EmailAddress, UserId};
use erp_service::{Change, SaveError, ServiceError};
use erp_testkit::dynamo::rows;
use uuid::Uuid;

use crate::TestService;

type Saved<T> = Result<T, SaveError<AuthError>>;

fn is_rejected<T>(saved: &Saved<T>, reason: AuthError) -> bool {
    matches!(saved, Err(SaveError::Failed(ServiceError::Rejected(found))) if *found == reason)
}

/// A store, with the clock of its rows.
struct Fixture {
    service: TestService,
    store: AuthStore,
    network: SourceNetwork,
}

impl Fixture {
    async fn start() -> Self {
        let service = TestService::open().await;
        let store = AuthStore::new(service.table.clone());
        Self { service, store, network: SourceNetwork::of(Some("203.0.113.7")) }
    }

    fn account(&self, id: Uuid, email: &str) -> Account {
        let now = self.service.clock.now();
        let (id, email) = (UserId::new(id), EmailAddress::parse(email).unwrap());
        let user = User { id, email, role: Role::InventoryManager, created_at: now, updated_at: now };
        Account { user, password_hash: Secret::new("hash") }
    }

    async fn insert_with_event(&self, account: &Account, first: bool, event: Uuid) -> Saved<User> {
        let User { id, email, role, .. } = account.user.clone();
        let data = UserRegistered { user_id: id, email, role };
        let (kind, now) = (EventKind::UserRegistered, self.service.clock.now());
        let event = Event::new(event, kind, id, now, &Cause::default(), &data).unwrap();
        self.store.insert(account, first, &event)?.save(&self.service.table).await
    }

    async fn insert(&self, id: Uuid, email: &str, first: bool) -> Saved<User> {
        self.insert_with_event(&self.account(id, email), first, Uuid::now_v7()).await
    }

    fn request(&self, user: Option<UserId>, token: &str) -> ResetRequest {
        let now = self.service.clock.now();
        ResetRequest {
            email: EmailAddress::parse("a@example.com").unwrap(),
            network: self.network.clone(),
            user,
            token: TokenHash::of(&Secret::new(token)),
            created_at: now,
            expires_at: now.plus_seconds(60),
        }
    }

    /// Saves a reset over a version of the allowance of its network, and of that of its address.
    async fn save_over(
        &self,
        request: &ResetRequest,
        network: u64,
        address: Option<u64>,
        event: Uuid,
    ) -> Saved<()> {
        let now = self.service.clock.now();
        let allowance = |version| Versioned { value: Allowance { count: 1, since: now }, version };
        let event = request.user.map(|user_id| {
            let (email, expires_at) = (request.email.clone(), request.expires_at);
            let data = PasswordResetRequested { user_id, email, expires_at };
            let kind = EventKind::PasswordResetRequested;
            Event::new(event, kind, user_id, now, &Cause::default(), &data).unwrap()
        });
        let address = address.map(allowance);
        let change =
            self.store.save_request(request, &allowance(network), address.as_ref(), event.as_ref())?;
        change.save(&self.service.table).await
    }

    async fn save(&self, request: &ResetRequest, over: u64) -> Saved<()> {
        self.save_over(request, over, Some(over), Uuid::now_v7()).await
    }

    async fn save_attempts(&self, counter: &Counter, over: u64, attempts: &Attempts) -> Saved<()> {
        let mut transaction = Transaction::new();
        self.store.save_attempts(&mut transaction, counter, over, attempts)?;
        Change::new((), transaction).save(&self.service.table).await
    }

    async fn reset(&self, request: &ResetRequest) -> Saved<()> {
        let (user, now) = (request.user.unwrap(), self.service.clock.now());
        let password_hash = Secret::new("another");
        let change = self.store.reset_password(request, user, &password_hash, &self.network, now)?;
        change.save(&self.service.table).await
    }

    /// Runs `attempt` and checks that no row has changed.
    async fn nothing_changes(&self, attempt: impl AsyncFnOnce()) {
        let before = rows(&self.service.table).await;
        attempt().await;
        assert_eq!(rows(&self.service.table).await, before);
    }
}

#[tokio::test]
async fn an_id_that_is_drawn_twice_overwrites_no_user() {
    let (fixture, id) = (Fixture::start().await, Uuid::now_v7());
    fixture.insert(id, "a@example.com", false).await.unwrap();
    fixture
        .nothing_changes(async || {
            fixture.insert(id, "b@example.com", false).await.unwrap_err();
        })
        .await;
}

#[tokio::test]
async fn an_address_is_taken_once_and_there_is_one_first_user() {
    let fixture = Fixture::start().await;
    fixture.insert(Uuid::now_v7(), "a@example.com", true).await.unwrap();
    fixture
        .nothing_changes(async || {
            let taken = fixture.insert(Uuid::now_v7(), "a@example.com", false).await;
            assert!(is_rejected(&taken, AuthError::EmailTaken), "{taken:?}");
            let second = fixture.insert(Uuid::now_v7(), "b@example.com", true).await;
            assert!(matches!(second, Err(SaveError::Stale)), "{second:?}");
        })
        .await;
}

#[tokio::test]
async fn an_event_id_that_is_drawn_twice_overwrites_no_event() {
    let (fixture, id, event) = (Fixture::start().await, Uuid::now_v7(), Uuid::now_v7());
    let account = fixture.account(id, "a@example.com");
    fixture.insert_with_event(&account, false, event).await.unwrap();
    fixture
        .nothing_changes(async || {
            let request = fixture.request(Some(UserId::new(id)), "token");
            fixture.save_over(&request, 0, Some(0), event).await.unwrap_err();
        })
        .await;
}

#[tokio::test]
async fn a_counter_that_was_changed_concurrently_is_not_overwritten() {
    let fixture = Fixture::start().await;
    let counter = Counter::Service(fixture.network.clone());
    let attempts = Attempts { failures: 1, ..Attempts::none(fixture.service.clock.now()) };
    fixture.save_attempts(&counter, 0, &attempts).await.unwrap();
    let save = async |over, failures| {
        let saved = fixture.save_attempts(&counter, over, &Attempts { failures, ..attempts }).await;
        assert!(matches!(saved, Err(SaveError::Stale)), "{saved:?}");
    };
    fixture.nothing_changes(async || save(0, 7).await).await;
    fixture.save_attempts(&counter, 1, &attempts).await.unwrap();
    fixture.nothing_changes(async || save(1, 7).await).await;
}

#[tokio::test]
async fn an_allowance_that_was_changed_concurrently_is_not_overwritten() {
    let fixture = Fixture::start().await;
    fixture.save(&fixture.request(None, "one"), 0).await.unwrap();
    fixture
        .nothing_changes(async || {
            for (network, address) in [(0, Some(1)), (1, Some(0)), (0, None)] {
                let request = fixture.request(None, "two");
                let saved = fixture.save_over(&request, network, address, Uuid::now_v7()).await;
                assert!(matches!(saved, Err(SaveError::Stale)), "{saved:?}");
            }
        })
        .await;
}

#[tokio::test]
async fn a_token_that_is_drawn_twice_overwrites_no_other() {
    let fixture = Fixture::start().await;
    for user in [None, Some(UserId::new(Uuid::now_v7()))] {
        let token = format!("token {user:?}");
        let email = EmailAddress::parse("b@example.com").unwrap();
        let other = ResetRequest { email, ..fixture.request(user, &token) };
        let over = if user.is_some() { 1 } else { 0 };
        fixture.save(&other, over).await.unwrap();
        fixture
            .nothing_changes(async || {
                // Whichever of the two rows of a request is left, the other is not overwritten.
                fixture.save(&fixture.request(user, &token), 0).await.unwrap_err();
            })
            .await;
    }
}

#[tokio::test]
async fn the_placeholder_of_an_event_is_written_once() {
    let fixture = Fixture::start().await;
    fixture.save(&fixture.request(None, "token"), 0).await.unwrap();
    let table = &fixture.service.table;
    for row in rows(table).await {
        if row["sk"].as_s().unwrap() == "RESET" {
            let delete = table.client.delete_item().table_name(&table.name);
            delete.key("pk", row["pk"].clone()).key("sk", row["sk"].clone()).send().await.unwrap();
        }
    }
    fixture
        .nothing_changes(async || {
            fixture.save(&fixture.request(None, "token"), 1).await.unwrap_err();
        })
        .await;
}

#[tokio::test]
async fn a_token_resets_one_password_once_while_it_is_valid_and_the_newest() {
    let fixture = Fixture::start().await;
    let id = Uuid::now_v7();
    fixture.insert(id, "a@example.com", false).await.unwrap();
    let request = |token| fixture.request(Some(UserId::new(id)), token);
    let (older, newer) = (request("older"), request("newer"));
    fixture.save(&older, 0).await.unwrap();
    fixture.save(&newer, 1).await.unwrap();
    let older = fixture.store.find_request(&older.token).await.unwrap().unwrap();
    let newer = fixture.store.find_request(&newer.token).await.unwrap().unwrap();
    let rejected = async |request: &ResetRequest| {
        let reset = fixture.reset(request).await;
        assert!(is_rejected(&reset, AuthError::ResetToken), "{reset:?}");
    };
    fixture.nothing_changes(async || rejected(&older).await).await;
    fixture
        .nothing_changes(async || {
            let unknown = ResetRequest { user: Some(UserId::new(Uuid::now_v7())), ..newer.clone() };
            fixture.reset(&unknown).await.unwrap_err();
        })
        .await;
    let before_change = newer.created_at.plus_seconds(-1);
    let stale = ResetRequest { created_at: before_change, ..newer.clone() };
    fixture.nothing_changes(async || rejected(&stale).await).await;
    fixture.service.clock.advance_seconds(61);
    fixture.nothing_changes(async || rejected(&newer).await).await;
    fixture.service.clock.advance_seconds(-2);
    fixture.reset(&newer).await.unwrap();
    fixture.nothing_changes(async || rejected(&newer).await).await;
}
