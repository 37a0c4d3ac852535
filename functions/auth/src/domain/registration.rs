//! Registration: who may register whom.

use erp_domain::identity::{Caller, Role};

use super::AuthError;

/// The deployment's rule of registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// Anyone registers, with any role: for demonstrations.
    Open,
    /// The first user registers; after that only finance managers register others.
    Closed,
}

impl Registration {
    /// Returns the role of the new user. `caller` is the authenticated caller, `first` whether there is no user yet.
    ///
    /// # Errors
    /// [`AuthError::NotLoggedIn`] or [`AuthError::NotAllowed`] if registration is closed to the caller.
    pub fn role(self, caller: Option<&Caller>, first: bool, requested: Role) -> Result<Role, AuthError> {
        match (self, caller.map(Caller::role)) {
            (Self::Open, _) => Ok(requested),
            // The first user must be able to register the others.
            (Self::Closed, None) if first => Ok(Role::FinanceManager),
            (Self::Closed, None) => Err(AuthError::NotLoggedIn),
            (Self::Closed, Some(Some(Role::FinanceManager))) => Ok(requested),
            (Self::Closed, Some(Some(Role::InventoryManager) | None)) => Err(AuthError::NotAllowed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_registration_admits_the_first_user_and_finance_managers() {
        use Registration::{Closed, Open};
        use Role::{FinanceManager, InventoryManager};
        let finance = erp_testkit::request::user(FinanceManager);
        let inventory = erp_testkit::request::user(InventoryManager);
        let service = Caller::Service { name: "reports".into() };
        for (registration, caller, first, role) in [
            (Open, None, true, Ok(InventoryManager)),
            (Open, None, false, Ok(InventoryManager)),
            (Closed, None, true, Ok(FinanceManager)),
            (Closed, None, false, Err(AuthError::NotLoggedIn)),
            (Closed, Some(&finance), false, Ok(InventoryManager)),
            (Closed, Some(&inventory), false, Err(AuthError::NotAllowed)),
            (Closed, Some(&inventory), true, Err(AuthError::NotAllowed)),
            (Closed, Some(&service), false, Err(AuthError::NotAllowed)),
            (Closed, Some(&service), true, Err(AuthError::NotAllowed)),
        ] {
            let found = registration.role(caller, first, InventoryManager);
            assert_eq!(found, role, "{registration:?} {caller:?} first: {first}");
        }
    }
}
