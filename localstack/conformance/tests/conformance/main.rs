//! Conformance: everything that is named both in the code and elsewhere is compared, and a failure includes
//! the remedy.
//!
//! ```text
//! template.yaml and the code
//!   routes               template, access rules, OpenAPI document
//!   environment          variables that functions have, and variables that they read
//!   permissions          IAM permissions of the functions
//!   tables               keys, indexes, streams, expiry
//!   binaries             functions, and binaries of the workspace
//!   queues               time-outs, dead-letter queues, policies
//!   event_subscriptions  event types: published, subscribed, processed
//!   outbox_filters       stream records that invoke the relay
//!   change_filters       stream records that the reconciliation checks
//!   gateway              throttling, access log, authorizer, CORS, secrets
//!   gateway_responses    responses of API Gateway itself
//!   resource_settings    encryption, retention, limits, deployment, parameters, outputs
//!   alarms               alarms and the dashboard
//!   optional_resources   parts that a parameter switches on
//!   template_mutations   every removal from the template is detected by one of the above
//!
//! other files
//!   samples              the events in `events/`, each sent to its function
//!   connections          connections that functions open in the init phase
//!   deadlines            requests end before the deadline of their invocation
//!   openapi              the served document, and what it must contain
//!   runbook              alarms in the runbook, parameters in samconfig.toml
//!   idle_cost            cost of an idle stack in the runbook
//!   sam_local            variables for `sam local`
//!   localstack_services  services that LocalStack starts
//!   dependencies         packages that a package may depend on
//!   source_rules         rules about the text of code and documents
//!
//! support
//!   template                    the template, resolved and as written
//!   template_checks             checks that run on the template and on its mutants
//!   source_files                the Rust files of the workspace
//!   sample_data                 the data that the samples refer to
//!   function_executables        the binaries of the functions
//!   running_function            the binary of one function, over services behind proxies
//!   runtime_interface_emulator  AWS's emulator of the Lambda runtime, around a packaged function
//! ```
#![expect(clippy::unwrap_used, reason = "tests: a panic is the failure report")]

mod alarms;
mod binaries;
mod change_filters;
mod connections;
mod deadlines;
mod dependencies;
mod environment;
mod event_subscriptions;
mod function_executables;
mod gateway;
mod gateway_responses;
mod idle_cost;
mod localstack_services;
mod openapi;
mod optional_resources;
mod outbox_filters;
mod permissions;
mod queues;
mod resource_settings;
mod routes;
mod runbook;
mod running_function;
mod runtime_interface_emulator;
mod sam_local;
mod sample_data;
mod samples;
mod source_files;
mod source_rules;
mod tables;
mod template;
mod template_checks;
mod template_mutations;

/// Fails with all violations, if there are any.
#[track_caller]
fn assert_none(violations: impl IntoIterator<Item = String>) {
    let violations: Vec<String> = violations.into_iter().collect();
    assert!(violations.is_empty(), "\n  {}\n", violations.join("\n  "));
}
