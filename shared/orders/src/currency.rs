//! The deployment's currency.

use std::str::FromStr;

use erp_domain::ValidationError;

/// An ISO 4217 code. Amounts have two decimals, so the currency must have two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Currency(String);

impl Currency {
    /// Returns the code.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Currency {
    type Err = ValidationError;
    fn from_str(text: &str) -> Result<Self, ValidationError> {
        if text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ValidationError::new("must be three capital letters, such as USD"))
        }
    }
}
