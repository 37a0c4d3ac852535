//! Who may register whom, and how often a reset may be asked for: the rules, without clock or store.

use std::str::FromStr;

use erp_domain::identity::{Caller, Role};
use erp_domain::{Invalid, Timestamp};

/// Who may register, as the deployment says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// Anyone, with any role: for demonstrations.
    Open,
    /// The first user, and after that only a finance manager.
    Closed,
}

impl FromStr for Registration {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "open" => Ok(Self::Open),
            "closed" => Ok(Self::Closed),
            _ => Err(Invalid::new("must be open or closed")),
        }
    }
}

/// Whether an answer may hold a reset token, as the deployment says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetTokens {
    /// Yes: for demonstrations.
    Expose,
    /// Never.
    Hide,
}

impl FromStr for ResetTokens {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "expose" => Ok(Self::Expose),
            "hide" => Ok(Self::Hide),
            _ => Err(Invalid::new("must be expose or hide")),
        }
    }
}

/// Why somebody may not register somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAllowed {
    /// Nobody knows who asks.
    Unknown,
    /// They have another role.
    Role,
}

impl Registration {
    /// The role that the new user gets. `registrar` is who asks, if they said; `first` whether there is no user yet.
    ///
    /// # Errors
    /// When registration is closed to the one who asks.
    pub fn role(self, registrar: Option<&Caller>, first: bool, wanted: Role) -> Result<Role, NotAllowed> {
        match (self, registrar.map(Caller::role)) {
            (Self::Open, _) => Ok(wanted),
            // Somebody must be able to register the others.
            (Self::Closed, None) if first => Ok(Role::FinanceManager),
            (Self::Closed, None) => Err(NotAllowed::Unknown),
            (Self::Closed, Some(Some(Role::FinanceManager))) => Ok(wanted),
            (Self::Closed, Some(Some(Role::InventoryManager) | None)) => Err(NotAllowed::Role),
        }
    }
}

/// Seconds that a reset token is good for.
pub const RESET_SECONDS: i64 = 60 * 60;
/// Resets that are granted for one address within [`REQUESTS_SECONDS`].
pub const REQUESTS: u32 = 5;
/// That while.
pub const REQUESTS_SECONDS: i64 = 60 * 60;

/// Resets asked for, for one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requests {
    /// How many.
    pub count: u32,
    /// Since when.
    pub since: Timestamp,
}

impl Requests {
    /// None yet.
    pub fn none(now: Timestamp) -> Self {
        Self { count: 0, since: now }
    }

    /// One more, unless there were too many.
    pub fn one_more(self, now: Timestamp) -> Option<Self> {
        let over = now >= self.since.plus_seconds(REQUESTS_SECONDS);
        let known = if over { Self::none(now) } else { self };
        (known.count < REQUESTS).then_some(Self { count: known.count + 1, ..known })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_register_whom() {
        use Registration::{Closed, Open};
        use Role::{FinanceManager, InventoryManager};
        let finance = erp_testkit::request::user(FinanceManager);
        let inventory = erp_testkit::request::user(InventoryManager);
        let service = Caller::Service { name: "reports".into() };
        for (registration, registrar, first, role) in [
            (Open, None, true, Ok(InventoryManager)),
            (Open, None, false, Ok(InventoryManager)),
            (Closed, None, true, Ok(FinanceManager)),
            (Closed, None, false, Err(NotAllowed::Unknown)),
            (Closed, Some(&finance), false, Ok(InventoryManager)),
            (Closed, Some(&inventory), false, Err(NotAllowed::Role)),
            (Closed, Some(&inventory), true, Err(NotAllowed::Role)),
            (Closed, Some(&service), false, Err(NotAllowed::Role)),
            (Closed, Some(&service), true, Err(NotAllowed::Role)),
        ] {
            let found = registration.role(registrar, first, InventoryManager);
            assert_eq!(found, role, "{registration:?} {registrar:?} first: {first}");
        }
    }

    #[test]
    fn five_resets_an_hour_are_granted() {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let mut requests = Requests::none(now);
        for _ in 0..REQUESTS {
            requests = requests.one_more(now).unwrap();
        }
        assert_eq!(requests.one_more(now.plus_seconds(REQUESTS_SECONDS - 1)), None);
        let later = now.plus_seconds(REQUESTS_SECONDS);
        assert_eq!(requests.one_more(later), Some(Requests { count: 1, since: later }));
    }
}
