//! No code: this package contains tests only. They compare what is named in more than one place: routes,
//! environment, tables, keys, queues, event types and binaries in the code and in `template.yaml`; the sample
//! events with the functions that receive them; the OpenAPI document with the routers that it documents; the
//! workspace with its own rules.
//!
//! ```text
//! cargo test -p erp-conformance                              reports every difference, with the remedy
//! INSTA_UPDATE=always cargo test -p erp-conformance openapi  writes functions/portal/openapi.json
//! ```
