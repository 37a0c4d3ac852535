//! Names of statuses in query strings.

use erp_domain::ValidationError;
use strum::VariantArray;

/// Parses the name of an enum's variant.
///
/// # Errors
/// If no variant has this name. The error lists all names.
pub fn parse_name<T: VariantArray + Copy + Into<&'static str>>(text: &str) -> Result<T, ValidationError> {
    let found = T::VARIANTS.iter().copied().find(|variant| text == (*variant).into());
    found.ok_or_else(|| {
        let names: Vec<&str> = T::VARIANTS.iter().map(|variant| (*variant).into()).collect();
        ValidationError::new(format!("must be one of {}", names.join(", ")))
    })
}
