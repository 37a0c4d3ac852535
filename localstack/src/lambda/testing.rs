//! Functions for tests, here and in the other modules.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::deployment::Function;

/// A function with nothing but names.
pub(crate) fn function(logical_id: &str, name: &str) -> Function {
    Function {
        logical_id: logical_id.to_owned(),
        name: name.to_owned(),
        binary: name.to_owned(),
        environment: BTreeMap::new(),
        memory_size: 128,
        timeout: Duration::from_secs(5),
        reserved_concurrency: None,
        statements: Vec::new(),
    }
}
