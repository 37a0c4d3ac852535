//! Checks commits of users and password resets.

use erp_domain::identity::Role;
use serde_json::{Value, json};

use super::request::{Caller, ClientRequest};
use super::state::User;
use super::{Effect, Fact, Model};

impl Model {
    /// Checks the registration of a user.
    pub(super) fn registration(
        &mut self,
        moment: usize,
        request: &ClientRequest,
        (email, password, requested): (&str, &str, Role),
        facts: &[Fact],
    ) -> Result<Effect, String> {
        let user = facts.iter().find_map(|fact| match fact {
            Fact::User { id, email, role, times, new: true } => Some((*id, email, *role, times.clone())),
            _ => None,
        });
        let Some((id, registered, role, times)) = user else {
            return Err("no user was registered".to_owned());
        };
        let allowed = match (&request.caller, self.users.is_empty()) {
            _ if self.open_registration => role == requested,
            (Caller::Anonymous, true) => role == Role::FinanceManager,
            (Caller::User(_, Role::FinanceManager), _) => role == requested,
            _ => false,
        };
        self.check("P6", allowed, || format!("{:?} registered a {role}", request.caller));
        if self.users.contains_key(email) || registered != email {
            return Err("a duplicate or wrong e-mail address was registered".to_owned());
        }
        self.require_event(facts, "auth.user.registered", id);
        let user = User { id, role, password: password.to_owned(), times };
        let data = show_user(email, &user);
        self.users.entry(email.to_owned()).or_default().set(moment, Some(user));
        self.accept(moment, facts);
        Ok(Effect { status: 201, data, version: None })
    }

    /// Checks the request of a password reset.
    pub(super) fn reset_request(
        &mut self,
        moment: usize,
        email: &str,
        facts: &[Fact],
    ) -> Result<Effect, String> {
        let mut requests = facts.iter();
        if !requests.any(|fact| matches!(fact, Fact::ResetRequested { email: of, .. } if of == email)) {
            return Err("no reset token was created".to_owned());
        }
        self.accept(moment, facts);
        Ok(Effect { status: 200, data: Value::Null, version: None })
    }

    /// Checks a password reset.
    pub(super) fn password_reset(
        &mut self,
        moment: usize,
        (token, password): (&str, &str),
        facts: &[Fact],
    ) -> Result<Effect, String> {
        let hash = hash_of(token);
        let mut resets = self.resets.iter();
        let reset = resets.find(|(_, reset)| reset.now().is_some_and(|(valid, _)| *valid == hash));
        let Some(email) = reset.map(|(email, _)| email.clone()) else {
            return Err("a password was reset with an invalid token".to_owned());
        };
        let Some(user) = self.users.get(&email).and_then(|user| user.now()).cloned() else {
            return Err("a password was reset of a user that does not exist".to_owned());
        };
        let changed = facts.iter().find_map(|fact| match fact {
            Fact::User { id, times, new: false, .. } if *id == user.id => Some(times.clone()),
            _ => None,
        });
        let Some(times) = changed else {
            return Err("the password of another user was reset".to_owned());
        };
        let user = User { password: password.to_owned(), times, ..user };
        self.users.entry(email.clone()).or_default().set(moment, Some(user));
        self.resets.entry(email).or_default().set(moment, None);
        Ok(Effect { status: 200, data: json!({}), version: None })
    }
}

/// Returns the response data of a user.
pub(super) fn show_user(email: &str, user: &User) -> Value {
    json!({
        "id": user.id, "email": email, "role": user.role.as_str(),
        "created_at": user.times.created_at, "updated_at": user.times.updated_at,
    })
}

/// Returns the stored hash of a reset token.
pub(super) fn hash_of(token: &str) -> String {
    auth::domain::TokenHash::of(&auth::domain::Secret::new(token)).as_str().to_owned()
}
