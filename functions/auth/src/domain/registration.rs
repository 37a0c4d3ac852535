//! Registration: who may register whom.

use std::fmt;

use erp_domain::ValidationError;
use erp_domain::identity::{Caller, Role};
use subtle::ConstantTimeEq;

use super::{AuthError, MIN_CONFIGURED_BYTES, Secret};

/// The secret of a deployment that its first user needs, as a digest. All digests have one length, so the
/// duration of a comparison reveals nothing.
#[derive(Clone, Copy)]
pub struct BootstrapSecret([u8; 32]);

impl BootstrapSecret {
    /// Parses a configured secret.
    ///
    /// # Errors
    /// If it has fewer than 16 bytes.
    pub fn parse(text: &str) -> Result<Self, ValidationError> {
        if text.len() < MIN_CONFIGURED_BYTES {
            return Err(ValidationError::new(format!("must have at least {MIN_CONFIGURED_BYTES} bytes")));
        }
        Ok(Self(Secret::new(text).digest()))
    }

    /// Returns whether a secret is this one.
    pub fn verify(&self, secret: &Secret) -> bool {
        self.0.ct_eq(&secret.digest()).into()
    }
}

impl fmt::Debug for BootstrapSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BootstrapSecret(…)")
    }
}

/// The deployment's rule of registration.
#[derive(Debug, Clone, Copy)]
pub enum Registration {
    /// Anyone registers, with any role: for demonstrations.
    Open,
    /// The first user registers, with this secret if there is one; after that only finance managers register
    /// others.
    Closed(Option<BootstrapSecret>),
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
            (Self::Closed(_), None) if first => Ok(Role::FinanceManager),
            (Self::Closed(_), None) => Err(AuthError::NotLoggedIn),
            (Self::Closed(_), Some(Some(Role::FinanceManager))) => Ok(requested),
            (Self::Closed(_), Some(Some(Role::InventoryManager) | None)) => Err(AuthError::NotAllowed),
        }
    }

    /// Returns the secret that a registration needs: that of the first user, whom no token authenticates.
    pub fn required_secret(self, caller: Option<&Caller>, first: bool) -> Option<BootstrapSecret> {
        match self {
            Self::Closed(secret) if first && caller.is_none() => secret,
            Self::Open | Self::Closed(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_registration_admits_the_first_user_and_finance_managers() {
        use Registration::Open;
        use Role::{FinanceManager, InventoryManager};
        let finance = erp_testkit::request::user(FinanceManager);
        let inventory = erp_testkit::request::user(InventoryManager);
        let service = Caller::Service { name: "reports".into() };
        let closed = Registration::Closed(None);
        for (registration, caller, first, role) in [
            (Open, None, true, Ok(InventoryManager)),
            (Open, None, false, Ok(InventoryManager)),
            (closed, None, true, Ok(FinanceManager)),
            (closed, None, false, Err(AuthError::NotLoggedIn)),
            (closed, Some(&finance), false, Ok(InventoryManager)),
            (closed, Some(&inventory), false, Err(AuthError::NotAllowed)),
            (closed, Some(&inventory), true, Err(AuthError::NotAllowed)),
            (closed, Some(&service), false, Err(AuthError::NotAllowed)),
            (closed, Some(&service), true, Err(AuthError::NotAllowed)),
        ] {
            let found = registration.role(caller, first, InventoryManager);
            assert_eq!(found, role, "{registration:?} {caller:?} first: {first}");
        }
    }

    #[test]
    fn only_the_first_user_without_a_token_needs_the_bootstrap_secret() {
        let secret = BootstrapSecret::parse("0123456789abcdef").unwrap();
        let closed = Registration::Closed(Some(secret));
        let finance = erp_testkit::request::user(Role::FinanceManager);
        for (registration, caller, first, needed) in [
            (closed, None, true, true),
            (closed, None, false, false),
            (closed, Some(&finance), true, false),
            (closed, Some(&finance), false, false),
            (Registration::Closed(None), None, true, false),
            (Registration::Open, None, true, false),
        ] {
            let found = registration.required_secret(caller, first).is_some();
            assert_eq!(found, needed, "{registration:?} {caller:?} first: {first}");
        }
    }

    #[test]
    fn a_bootstrap_secret_is_long_matches_itself_only_and_is_not_printed() {
        assert!(BootstrapSecret::parse("0123456789abcde").is_err());
        let secret = BootstrapSecret::parse("0123456789abcdef").unwrap();
        assert!(secret.verify(&Secret::new("0123456789abcdef")));
        for other in ["", "0123456789abcde", "0123456789abcdef ", "0123456789ABCDEF"] {
            assert!(!secret.verify(&Secret::new(other)), "{other}");
        }
        assert_eq!(format!("{secret:?}"), "BootstrapSecret(…)");
    }
}
