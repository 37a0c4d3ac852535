//! Nothing to call. The tests of this package compare what is named in more than one place: routes, environment,
//! tables, keys, queues, event kinds and binaries in the code and in `template.yaml`; the sample events with the
//! functions that take them; the OpenAPI document with the routers it describes; the workspace with its own rules.
//!
//! ```text
//! cargo test -p erp-conformance            what differs, and what to do about it
//! UPDATE=1 cargo test -p erp-conformance   and write the OpenAPI document anew
//! ```
