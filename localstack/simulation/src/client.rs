//! Sends the requests of a workload, retries them, and passes the responses to the model.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use erp_auth::Verified;
use erp_domain::PartyKind;
use erp_domain::identity::{self, Role};
use erp_domain::{Clock, EmailAddress, Id};
use erp_testkit::ApiResponse;
use fastrand::Rng;
use futures_util::future::{join, join_all};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Simulation;
use crate::environments::SERVICE_SECRET;
use crate::gateway::{AuthPath, Request};
use crate::model::request::{
    Access, Adjust, Caller, ClientRequest, Command, ItemForm, LineForm, PartyForm, Transition,
};
use crate::model::state::money;
use crate::model::{Model, OrderKind};
use crate::resolve;
use crate::workload::{CallerKind, Key, Step, Verb};

/// Attempts of a request with a key.
const TRIES: u32 = 5;
/// Requests that a client remembers for repetition.
const MEMORY: usize = 6;

/// The state that all clients share.
pub struct Shared {
    /// The platform.
    pub simulation: Arc<Simulation>,
    /// The model.
    pub model: Arc<Mutex<Model>>,
    attempts: AtomicU64,
    keys: AtomicU64,
    reset_tokens: Mutex<Vec<String>>,
}

impl Shared {
    /// Creates the shared state.
    pub fn new(simulation: Arc<Simulation>, model: Arc<Mutex<Model>>) -> Arc<Self> {
        let (attempts, keys) = (AtomicU64::new(0), AtomicU64::new(0));
        Arc::new(Self { simulation, model, attempts, keys, reset_tokens: Mutex::default() })
    }

    /// Sends a request once; the model checks the response.
    pub async fn try_once(
        &self,
        request: &Arc<ClientRequest>,
        http_request: &Request,
        auth_path: &AuthPath,
    ) -> Option<ApiResponse> {
        let attempt = self.attempts.fetch_add(1, Ordering::Relaxed) + 1;
        self.model.lock().unwrap().request_sent(attempt, request, self.simulation.moment());
        self.simulation.log(|| {
            format!(
                "request {attempt}: {} {} as {:?}",
                http_request.method, http_request.path, request.caller
            )
        });
        let response = self.simulation.send(http_request, auth_path, attempt).await;
        if let Some(response) = &response {
            let now = self.simulation.clock.now().as_seconds();
            self.simulation.log(|| format!("response {attempt}: {} {}", response.status, response.text));
            self.model.lock().unwrap().response_received(attempt, self.simulation.moment(), now, response);
        }
        response
    }
}

/// A client.
pub struct Client {
    shared: Arc<Shared>,
    random: Rng,
    session: Option<(String, Caller)>,
    memory: Vec<(Arc<ClientRequest>, Request)>,
}

impl Client {
    /// Creates a client without a session.
    pub fn new(shared: Arc<Shared>, random: Rng) -> Self {
        Self { shared, random, session: None, memory: Vec::new() }
    }

    /// Runs the steps one after the other, each with its concurrent operations.
    pub async fn run(mut self, steps: Vec<Step>) {
        for step in steps {
            tokio::time::sleep(Duration::from_millis(step.pause)).await;
            let Some((request, http_request, auth_path)) = self.prepare(&step) else { continue };
            // All targets are chosen before any request is sent.
            let mut others = Vec::new();
            if step.duplicate && request.key.is_some() {
                others
                    .push((self.another(), (Arc::clone(&request), http_request.clone(), auth_path.clone())));
            }
            for step in &step.concurrent {
                let mut other = self.another();
                others.extend(other.prepare(step).map(|prepared| (other, prepared)));
            }
            let others =
                others.into_iter().map(|(mut other, (request, http_request, auth_path))| async move {
                    other.send_until_response(request, http_request, &auth_path).await;
                });
            join(self.send_until_response(request, http_request, &auth_path), join_all(others)).await;
        }
    }

    /// Creates another client of the same platform.
    fn another(&mut self) -> Self {
        Self::new(Arc::clone(&self.shared), self.random.fork())
    }

    /// Sends a request until there is a response, if a retry is safe.
    async fn send_until_response(
        &mut self,
        request: Arc<ClientRequest>,
        http_request: Request,
        auth_path: &AuthPath,
    ) {
        for attempt in 0..TRIES {
            let response = self.shared.try_once(&request, &http_request, auth_path).await;
            if let Some(response) =
                response.filter(|response| response.status < 500 && response.status != 429)
            {
                self.remember(&request, &response);
                break;
            }
            // Without a key the outcome is unknown: a client must not send the request again.
            if request.key.is_none() && http_request.method != "GET" {
                break;
            }
            let pause = 50 << attempt;
            tokio::time::sleep(Duration::from_millis(self.random.u64(pause..pause * 20))).await;
        }
        if request.key.is_some() {
            self.memory.push((request, http_request));
            if self.memory.len() > MEMORY {
                self.memory.remove(0);
            }
        }
    }

    fn remember(&mut self, request: &ClientRequest, response: &ApiResponse) {
        let data = response.data();
        match &request.command {
            Command::Login { .. } if response.status == 200 => {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                if let Ok(role) = text(&data["user"]["role"]).parse::<Role>() {
                    let subject = text(&data["user"]["id"]);
                    self.session = Some((text(&data["access_token"]), Caller::User(subject, role)));
                }
            }
            Command::ForgotPassword { .. } => {
                let token = data["reset_token"].as_str().map(str::to_owned);
                self.shared.reset_tokens.lock().unwrap().extend(token);
            }
            _ => {}
        }
    }

    /// Creates the request of a step.
    fn prepare(&mut self, step: &Step) -> Option<(Arc<ClientRequest>, Request, AuthPath)> {
        if matches!(step.key, Key::Repeat | Key::OtherBody) && !self.memory.is_empty() {
            let (request, http_request) = self.memory[step.draws[0] as usize % self.memory.len()].clone();
            if step.key == Key::Repeat {
                return Some((request, http_request, AuthPath::Gateway));
            }
            if let Some(command) = other_body(&request.command) {
                let (_, _, body) = render(&command);
                let request = ClientRequest { command, body: body.clone(), ..request.as_ref().clone() };
                return Some((Arc::new(request), Request { body, ..http_request }, AuthPath::Gateway));
            }
        }
        let (command, (method, path, body)) = if step.verb == Verb::Malformed {
            let (method, path, body) = resolve::malformed(step.draws[0]);
            let command = Command::Malformed { access: Access::Manager };
            (command, (method, path.to_owned(), Some(body)))
        } else {
            let model = self.shared.model.lock().unwrap();
            let command = resolve::resolve(step, &model, &self.shared.reset_tokens.lock().unwrap())?;
            let rendered = render(&command);
            (command, rendered)
        };
        let (token, verified, caller) = self.authenticate(step.caller, &command);
        let honours_key = matches!(method, "POST" | "PUT")
            && !matches!(
                command,
                Command::Login { .. } | Command::ForgotPassword { .. } | Command::ServiceToken { .. }
            );
        let key = (honours_key && step.key != Key::None).then(|| {
            let number = self.shared.keys.fetch_add(1, Ordering::Relaxed);
            format!("key-{number}")
        });
        let if_match = step.version.and_then(|current| self.version(&command, current));
        let mut headers = Vec::new();
        headers.extend(key.clone().map(|key| ("Idempotency-Key", key)));
        headers.extend(if_match.map(|version| ("If-Match", format!("\"{version}\""))));
        let request = ClientRequest {
            caller,
            command,
            method,
            path: path.split('?').next().unwrap_or_default().to_owned(),
            body: body.clone(),
            key,
            if_match,
        };
        let auth_path = if step.bypass_gateway && !request.is_allowed() {
            AuthPath::Function(verified)
        } else {
            AuthPath::Gateway
        };
        Some((Arc::new(request), Request { method, path, token, headers, body }, auth_path))
    }

    /// Returns a token for a caller, the authorizer context of the token, and the caller that the platform
    /// recognises.
    fn authenticate(
        &mut self,
        kind: CallerKind,
        command: &Command,
    ) -> (Option<String>, Option<Verified>, Caller) {
        let simulation = &self.shared.simulation;
        let is_registration = matches!(command, Command::Register { .. });
        let closed = !self.shared.model.lock().unwrap().open_registration;
        if command.access() == Access::Public && !(is_registration && closed) {
            return (None, None, Caller::Anonymous);
        }
        let now = simulation.clock.now();
        let role = match kind {
            CallerKind::Finance | CallerKind::Expired | CallerKind::Forger => Some(Role::FinanceManager),
            CallerKind::Inventory => Some(Role::InventoryManager),
            CallerKind::LoggedIn => {
                if let Some((token, caller)) = &self.session {
                    // The token of a real login, while it is valid.
                    if let Ok(verified) = simulation.tokens.verify(token, now) {
                        return (Some(token.clone()), Some(verified), caller.clone());
                    }
                }
                Some(Role::FinanceManager)
            }
            CallerKind::Service => None,
            CallerKind::Anonymous => return (None, None, Caller::Anonymous),
        };
        let caller = match role {
            Some(role) => {
                let id = Id::new(Uuid::from_u128(1 + role as u128));
                let email = EmailAddress::parse(&format!("{role}@example.com")).unwrap();
                identity::Caller::User { id, email, role }
            }
            None => identity::Caller::Service { name: "reports".to_owned() },
        };
        let signed_at = if kind == CallerKind::Expired { now.plus_seconds(-2 * 86_400) } else { now };
        let (token, seconds) = simulation.tokens.sign(&caller, Uuid::nil(), signed_at).unwrap();
        let known = match &caller {
            identity::Caller::User { id, role, .. } => Caller::User(id.to_string(), *role),
            identity::Caller::Service { name } => Caller::Service(name.clone()),
        };
        let verified = Verified { caller, expires_at: signed_at.plus_seconds(seconds) };
        match kind {
            CallerKind::Expired => (Some(token), Some(verified), Caller::Anonymous),
            CallerKind::Forger => (Some(format!("{token}x")), None, Caller::Anonymous),
            _ => (Some(token), Some(verified), known),
        }
    }

    /// Returns the current version of the target, or a wrong one.
    fn version(&self, command: &Command, current: bool) -> Option<u64> {
        let model = self.shared.model.lock().unwrap();
        let now = match command {
            Command::UpdateParty(kind, id, _) | Command::DeleteParty(kind, id) => {
                model.parties.get(&(kind.as_str(), *id))?.now()?.version
            }
            Command::UpdateItem(id, _) | Command::DeleteItem(id) => model.items.get(id)?.now()?.version,
            Command::AdjustStock(id, _) => model.stock.get(id)?.now()?.sequence,
            Command::UpdateOrder(kind, id, ..) | Command::Advance(kind, id, ..) => {
                model.orders.get(&(kind.as_str(), *id))?.now()?.version
            }
            _ => return None,
        };
        Some(if current { now } else { now + 1 })
    }
}

/// Returns the same operation with another body, if it can have one.
fn other_body(command: &Command) -> Option<Command> {
    let increased = |lines: &[LineForm]| {
        let mut lines = lines.to_vec();
        lines[0].quantity += 1;
        lines
    };
    let mut other = command.clone();
    match &mut other {
        Command::CreateParty(_, form) | Command::UpdateParty(_, _, form) => form.name.push('x'),
        Command::CreateItem(form) | Command::UpdateItem(_, form) => form.name.push('x'),
        Command::AdjustStock(_, Adjust::By(change)) if *change != -1 => *change += 1,
        Command::CreateOrder(_, _, lines) => *lines = increased(lines),
        Command::UpdateOrder(_, _, _, lines) => *lines = increased(lines),
        Command::Advance(OrderKind::Sales, _, Transition::Confirm, require) => *require = !*require,
        Command::Register { password, .. } => password.push('x'),
        _ => return None,
    }
    Some(other)
}

/// Returns method, path and body of an operation.
pub fn render(command: &Command) -> (&'static str, String, Option<Value>) {
    let parties = |kind: &PartyKind| format!("/api/{}s", kind.as_str());
    let orders = |kind: &OrderKind| format!("/api/{}/orders", kind.as_str());
    let party = |form: &PartyForm| {
        let PartyForm { name, email, phone, address } = form;
        json!({"name": name, "email": email, "phone": phone, "address": address})
    };
    let item = |form: &ItemForm| {
        json!({
            "name": form.name, "description": form.description, "sku": form.sku,
            "unit_price": money(form.unit_price),
        })
    };
    let order = |kind: &OrderKind, party: &Uuid, lines: &[LineForm]| {
        let line = |line: &LineForm| {
            let mut json = json!({"item_id": line.item, "quantity": line.quantity});
            if let Some(price) = line.unit_price {
                json["unit_price"] = money(price);
            }
            json
        };
        let field = format!("{}_id", kind.party().as_str());
        json!({field: party, "items": lines.iter().map(line).collect::<Vec<_>>()})
    };
    match command {
        Command::Register { email, password, role } => {
            let body = json!({"email": email, "password": password, "role": role.as_str()});
            ("POST", "/api/auth/register".to_owned(), Some(body))
        }
        Command::Login { email, password } => {
            let body = json!({"email": email, "password": password});
            ("POST", "/api/auth/login".to_owned(), Some(body))
        }
        Command::ForgotPassword { email } => {
            ("POST", "/api/auth/forgot-password".to_owned(), Some(json!({"email": email})))
        }
        Command::ResetPassword { token, password } => {
            let body = json!({"reset_token": token, "new_password": password});
            ("POST", "/api/auth/reset-password".to_owned(), Some(body))
        }
        Command::ServiceToken { valid } => {
            let secret = if *valid { SERVICE_SECRET } else { "not the secret at all" };
            let body = json!({"service_name": "reports", "service_secret": secret});
            ("POST", "/api/auth/service-token".to_owned(), Some(body))
        }
        Command::CreateParty(kind, form) => ("POST", parties(kind), Some(party(form))),
        Command::UpdateParty(kind, id, form) => ("PUT", format!("{}/{id}", parties(kind)), Some(party(form))),
        Command::DeleteParty(kind, id) => ("DELETE", format!("{}/{id}", parties(kind)), None),
        Command::GetParty(kind, id) => ("GET", format!("{}/{id}", parties(kind)), None),
        Command::ListParties(kind, limit) => ("GET", format!("{}?limit={limit}", parties(kind)), None),
        Command::CreateItem(form) => ("POST", "/api/items".to_owned(), Some(item(form))),
        Command::UpdateItem(id, form) => ("PUT", format!("/api/items/{id}"), Some(item(form))),
        Command::DeleteItem(id) => ("DELETE", format!("/api/items/{id}"), None),
        Command::GetItem(id) => ("GET", format!("/api/items/{id}"), None),
        Command::ListItems(limit) => ("GET", format!("/api/items?limit={limit}"), None),
        Command::GetStock(id) => ("GET", format!("/api/items/{id}/stock"), None),
        Command::AdjustStock(id, adjust) => {
            let body = match adjust {
                Adjust::By(change) => json!({"quantity": change}),
                Adjust::To(target, None) => json!({"set_to": target}),
                Adjust::To(target, Some(expected)) => json!({"set_to": target, "expected": expected}),
            };
            ("PUT", format!("/api/items/{id}/stock"), Some(body))
        }
        Command::ListMovements(id, limit) => {
            ("GET", format!("/api/items/{id}/movements?limit={limit}"), None)
        }
        Command::CreateOrder(kind, party, lines) => ("POST", orders(kind), Some(order(kind, party, lines))),
        Command::UpdateOrder(kind, id, party, lines) => {
            ("PUT", format!("{}/{id}", orders(kind)), Some(order(kind, party, lines)))
        }
        Command::Advance(kind, id, step, require_stock) => {
            let body = require_stock.then(|| json!({"require_stock": true}));
            ("POST", format!("{}/{id}/{}", orders(kind), step.as_str()), body)
        }
        Command::GetOrder(kind, id) => ("GET", format!("{}/{id}", orders(kind)), None),
        Command::ListOrders { kind, status, party, limit } => {
            let mut path = format!("{}?limit={limit}", orders(kind));
            if let Some(status) = status {
                path.push_str(&format!("&status={status}"));
            }
            if let Some(party) = party {
                path.push_str(&format!("&{}_id={party}", kind.party().as_str()));
            }
            ("GET", path, None)
        }
        Command::ListEvents(kind, id) => ("GET", format!("{}/{id}/events?limit=100", orders(kind)), None),
        Command::Malformed { .. } => ("POST", "/api/items".to_owned(), Some(json!({}))),
    }
}
