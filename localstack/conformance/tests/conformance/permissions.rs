//! The IAM permissions of the functions. The samples and the end-to-end tests run under these policies, so
//! they are sufficient; the table here proves that there are no others, and documents the reason for each
//! (least privilege).

use std::collections::BTreeSet;

use erp_local::arn;
use erp_local::deployment::{Function, TriggerSource};

use crate::source_files::sources;
use crate::template::Template;

pub(crate) mod checks {
    crate::template_checks::register!(
        every_function_has_exactly_its_permissions,
        no_permission_contains_a_wildcard,
    );
}

const TABLES: &[&str] =
    &["table/erp-auth", "table/erp-contact", "table/erp-inventory", "table/erp-purchase", "table/erp-sales"];
/// The tables that are reconciled.
const RECONCILED: &[&str] = &["table/erp-inventory", "table/erp-purchase", "table/erp-sales"];
/// The reconciliation's own table.
const RECONCILIATION: &[&str] = &["table/erp-reconciliation"];
const TOPICS: &[&str] = &[
    "erp-auth-events",
    "erp-contact-events",
    "erp-inventory-events",
    "erp-purchase-events",
    "erp-sales-events",
];

/// A binary, an action, its resources, and the code that needs it. A transaction needs the permissions of its
/// actions.
const PERMISSIONS: &[(&str, &str, &[&str], &str)] = &[
    (
        "auth-api",
        "dynamodb:GetItem",
        &["table/erp-auth"],
        "Table::get: users, attempts, resets, idempotency records",
    ),
    (
        "auth-api",
        "dynamodb:PutItem",
        &["table/erp-auth"],
        "Transaction::put: users, guards, events, idempotency records",
    ),
    ("auth-api", "dynamodb:UpdateItem", &["table/erp-auth"], "Transaction::update: a reset password"),
    (
        "auth-api",
        "dynamodb:DeleteItem",
        &["table/erp-auth"],
        "Transaction::delete: attempts, used reset tokens",
    ),
    ("contact-api", "dynamodb:GetItem", &["table/erp-contact"], "Table::get: contacts, idempotency records"),
    ("contact-api", "dynamodb:PutItem", &["table/erp-contact"], "Transaction::put: contacts, guards, events"),
    ("contact-api", "dynamodb:DeleteItem", &["table/erp-contact"], "Transaction::delete: contacts, guards"),
    ("contact-api", "dynamodb:Query", &["table/erp-contact/index/list"], "List: customers, vendors"),
    ("contact-query", "dynamodb:GetItem", &["table/erp-contact"], "Table::get: the contact of the query"),
    (
        "inventory-api",
        "dynamodb:BatchGetItem",
        &["table/erp-inventory"],
        "Table::get_all: an item and its stock",
    ),
    (
        "inventory-api",
        "dynamodb:GetItem",
        &["table/erp-inventory"],
        "Table::get: idempotency records; preconnect",
    ),
    (
        "inventory-api",
        "dynamodb:PutItem",
        &["table/erp-inventory"],
        "Transaction::put: items, guards, movements",
    ),
    ("inventory-api", "dynamodb:UpdateItem", &["table/erp-inventory"], "Transaction::update: adjusted stock"),
    ("inventory-api", "dynamodb:DeleteItem", &["table/erp-inventory"], "Transaction::delete: items, guards"),
    (
        "inventory-api",
        "dynamodb:Query",
        &["table/erp-inventory", "table/erp-inventory/index/list"],
        "List: movements of an item; items",
    ),
    (
        "inventory-query",
        "dynamodb:BatchGetItem",
        &["table/erp-inventory"],
        "Table::get_all: items and their stock",
    ),
    ("inventory-query", "dynamodb:GetItem", &["table/erp-inventory"], "preconnect"),
    (
        "inventory-worker",
        "dynamodb:BatchGetItem",
        &["table/erp-inventory"],
        "Table::get_all: the stock rows of an order's items",
    ),
    ("inventory-worker", "dynamodb:GetItem", &["table/erp-inventory"], "Table::get: allocations, stock"),
    ("inventory-worker", "dynamodb:PutItem", &["table/erp-inventory"], "Transaction::put: a new allocation"),
    (
        "inventory-worker",
        "dynamodb:UpdateItem",
        &["table/erp-inventory"],
        "Transaction::update: allocation, stock",
    ),
    (
        "inventory-worker",
        "dynamodb:Query",
        &["table/erp-inventory"],
        "Table::query_prefix: the back-order queue of an item",
    ),
    (
        "inventory-worker",
        "dynamodb:BatchWriteItem",
        &["table/erp-inventory"],
        "Table::put_all, delete_all: movements, back-orders",
    ),
    (
        "inventory-worker",
        "sqs:ChangeMessageVisibility",
        &["erp-stock-queue"],
        "WorkQueue::process: back-off of failed messages, release before the deadline",
    ),
    ("inventory-worker", "sqs:SendMessage", &["erp-stock-queue-dlq"], "WorkQueue::process: poison messages"),
    ("sales-api", "dynamodb:GetItem", &["table/erp-sales"], "Table::get: orders, idempotency records"),
    (
        "sales-api",
        "dynamodb:PutItem",
        &["table/erp-sales"],
        "Transaction::put: orders, events, idempotency records",
    ),
    ("sales-api", "dynamodb:UpdateItem", &["table/erp-sales"], "Transaction::update: drafts, transitions"),
    (
        "sales-api",
        "dynamodb:Query",
        &[
            "table/erp-sales",
            "table/erp-sales/index/list",
            "table/erp-sales/index/party",
            "table/erp-sales/index/status",
        ],
        "Table::query_prefix: an order's events; List: orders",
    ),
    (
        "sales-api",
        "lambda:InvokeFunction",
        &["function:erp-contact-query:live", "function:erp-inventory-query:live"],
        "LambdaUpstreams: customer (create, update, confirm), items (create, update, confirm)",
    ),
    ("sales-worker", "dynamodb:GetItem", &["table/erp-sales"], "preconnect"),
    ("sales-worker", "dynamodb:PutItem", &["table/erp-sales"], "Transaction::put: the decision as history"),
    ("sales-worker", "dynamodb:UpdateItem", &["table/erp-sales"], "Transaction::update: the stock status"),
    ("sales-worker", "sqs:ChangeMessageVisibility", &["erp-order-status-queue"], "as inventory-worker"),
    ("sales-worker", "sqs:SendMessage", &["erp-order-status-queue-dlq"], "as inventory-worker"),
    ("purchase-api", "dynamodb:GetItem", &["table/erp-purchase"], "Table::get: orders, idempotency records"),
    (
        "purchase-api",
        "dynamodb:PutItem",
        &["table/erp-purchase"],
        "Transaction::put: orders, events, idempotency records",
    ),
    (
        "purchase-api",
        "dynamodb:UpdateItem",
        &["table/erp-purchase"],
        "Transaction::update: drafts, transitions",
    ),
    (
        "purchase-api",
        "dynamodb:Query",
        &[
            "table/erp-purchase",
            "table/erp-purchase/index/list",
            "table/erp-purchase/index/party",
            "table/erp-purchase/index/status",
        ],
        "Table::query_prefix: an order's events; List: orders",
    ),
    (
        "purchase-api",
        "lambda:InvokeFunction",
        &["function:erp-contact-query:live", "function:erp-inventory-query:live"],
        "LambdaUpstreams: vendor (create, update, receive), items (create, update)",
    ),
    ("relay", "sns:Publish", TOPICS, "Topics::publish_batch"),
    ("relay", "dynamodb:UpdateItem", TABLES, "outbox::remove_published"),
    ("relay-sweep", "sns:Publish", TOPICS, "Topics::publish_batch"),
    ("relay-sweep", "dynamodb:UpdateItem", TABLES, "outbox::remove_published"),
    (
        "relay-sweep",
        "dynamodb:Query",
        &[
            "table/erp-auth/index/outbox",
            "table/erp-contact/index/outbox",
            "table/erp-inventory/index/outbox",
            "table/erp-purchase/index/outbox",
            "table/erp-sales/index/outbox",
        ],
        "erp_aws::outbox::unpublished",
    ),
    ("reconcile", "dynamodb:Scan", RECONCILED, "Table::scan: every item, order and allocation"),
    ("reconcile", "dynamodb:BatchGetItem", RECONCILED, "Table::get_all: second read of discrepancies"),
    ("reconcile", "dynamodb:BatchGetItem", RECONCILIATION, "Table::get_all: known findings"),
    (
        "reconcile",
        "dynamodb:BatchWriteItem",
        RECONCILIATION,
        "Table::put_all, delete_all: findings, pending checks",
    ),
    ("reconcile", "dynamodb:PutItem", RECONCILIATION, "Transaction::put: passes and their checkpoints"),
    ("reconcile", "dynamodb:GetItem", RECONCILIATION, "Table::get: passes and their checkpoints"),
    (
        "reconcile",
        "dynamodb:Query",
        RECONCILIATION,
        "Table::query_prefix: pending checks, findings, checkpoints",
    ),
    (
        "reconcile-changes",
        "dynamodb:BatchGetItem",
        RECONCILED,
        "Table::get_all: the rows that a change must agree with",
    ),
    ("reconcile-changes", "dynamodb:BatchGetItem", RECONCILIATION, "Table::get_all: known findings"),
    (
        "reconcile-changes",
        "dynamodb:BatchWriteItem",
        RECONCILIATION,
        "Table::put_all: findings, pending checks",
    ),
    ("reconcile", "dynamodb:GetItem", &["table/erp-inventory"], "Table::get: second read of a stock level"),
    (
        "reconcile",
        "dynamodb:Query",
        &[
            "table/erp-auth/index/outbox",
            "table/erp-contact/index/outbox",
            "table/erp-inventory",
            "table/erp-inventory/index/outbox",
            "table/erp-purchase/index/outbox",
            "table/erp-sales/index/outbox",
        ],
        "erp_aws::outbox::unpublished; Table::query_prefix: movements of an item",
    ),
    ("portal", "dynamodb:DescribeTable", TABLES, "Probe: status of the tables"),
    (
        "portal",
        "sqs:GetQueueAttributes",
        &["erp-order-status-queue", "erp-order-status-queue-dlq", "erp-stock-queue", "erp-stock-queue-dlq"],
        "Probe: depth of the queues",
    ),
    (
        "portal",
        "lambda:InvokeFunction",
        &["function:erp-authorizer:live"],
        "Authorizer: a token of GET /health",
    ),
];

/// The SDK operations that functions and the operator CLI call; the CLI runs with the permissions of its
/// user.
const CALLS: [&str; 17] = [
    "batch_get_item",
    "batch_write_item",
    "change_message_visibility_batch",
    "delete_message",
    "describe_table",
    "get_item",
    "get_queue_attributes",
    "invoke",
    "list_dead_letter_source_queues",
    "publish_batch",
    "put_item",
    "query",
    "receive_message",
    "scan",
    "send_message",
    "transact_write_items",
    "update_item",
];

/// The builder method that follows a call: it sets the resource.
const RESOURCE_SETTERS: [&str; 6] = [
    ".table_name(",
    ".request_items(",
    ".client_request_token(",
    ".queue_url(",
    ".topic_arn(",
    ".function_name(",
];

/// Returns the last part of an ARN: `table/erp-sales`, `function:erp-relay`, `erp-stock-queue`.
pub(crate) fn short(arn: &str) -> String {
    arn.splitn(6, ':').nth(5).unwrap_or(arn).to_owned()
}

/// Returns the permissions that Lambda itself needs in the role of a function: for its logs and traces, and to read
/// from the source of its triggers.
pub(crate) fn runtime_permissions(template: &Template, function: &Function) -> Vec<(&'static str, String)> {
    let logs = format!("{}Logs.Arn", function.logical_id.trim_end_matches("Function"));
    let mut permissions = vec![
        ("logs:CreateLogStream", logs.clone()),
        ("logs:PutLogEvents", logs),
        ("xray:PutTraceSegments", "*".to_owned()),
        ("xray:PutTelemetryRecords", "*".to_owned()),
    ];
    for trigger in
        template.deployment.triggers.iter().filter(|trigger| trigger.function == function.logical_id)
    {
        let (actions, source): (&[_], _) = match &trigger.source {
            TriggerSource::Queue { queue_arn, .. } => {
                (&["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"], queue_arn.clone())
            }
            TriggerSource::Stream { table, .. } => (
                &[
                    "dynamodb:DescribeStream",
                    "dynamodb:GetRecords",
                    "dynamodb:GetShardIterator",
                    "dynamodb:ListStreams",
                ],
                arn::stream(table),
            ),
            TriggerSource::Schedule { .. } => continue,
        };
        permissions.extend(actions.iter().map(|action| (*action, short(&source))));
    }
    permissions
}

fn every_function_has_exactly_its_permissions(template: &Template) -> Vec<String> {
    let mut granted = BTreeSet::new();
    for function in &template.deployment.functions {
        for statement in &function.statements {
            for (action, resource) in statement
                .actions
                .iter()
                .flat_map(|action| statement.resources.iter().map(move |arn| (action, arn)))
            {
                granted.insert(format!("{}: {action} on {}", function.binary, short(resource)));
            }
        }
    }
    let mut needed: BTreeSet<String> = PERMISSIONS
        .iter()
        .flat_map(|(binary, action, resources, _)| {
            resources.iter().map(move |resource| format!("{binary}: {action} on {resource}"))
        })
        .collect();
    for function in &template.deployment.functions {
        let permissions = runtime_permissions(template, function).into_iter();
        needed.extend(
            permissions.map(|(action, resource)| format!("{}: {action} on {resource}", function.binary)),
        );
    }
    let excessive = granted.difference(&needed).map(|grant| {
        format!("{grant}: remove it from template.yaml, or add it to PERMISSIONS with its reason")
    });
    let missing = needed
        .difference(&granted)
        .map(|grant| format!("{grant}: add it to the Policies of the function's role in template.yaml"));
    excessive.chain(missing).collect()
}

fn no_permission_contains_a_wildcard(template: &Template) -> Vec<String> {
    let violations = template.deployment.functions.iter().flat_map(|function| {
        let texts = function
            .statements
            .iter()
            // X-Ray's actions have no resource.
            .filter(|statement| !statement.actions.iter().all(|action| action.starts_with("xray:")))
            .flat_map(|statement| statement.actions.iter().chain(&statement.resources));
        texts.filter(|text| text.contains('*') || text.contains('?')).map(|text| {
            format!("{}: {text} contains a wildcard; list actions and resources", function.logical_id)
        })
    });
    violations.collect()
}

#[test]
fn every_called_sdk_operation_is_listed() {
    let deployed = sources().iter().filter(|source| !source.path.starts_with("localstack"));
    let lines = deployed.flat_map(|source| source.code().map(|(_, line)| line.trim()));
    let code: String = lines.collect();
    let mut found = BTreeSet::new();
    for setter in RESOURCE_SETTERS {
        for (at, _) in code.match_indices(setter) {
            let call = code[..at].strip_suffix("()").and_then(|before| before.rsplit(['.', ':']).next());
            found.extend(call.filter(|call| *call != "builder"));
        }
    }
    assert_eq!(
        found,
        BTreeSet::from(CALLS),
        "add a new operation to PERMISSIONS of the functions that need it, and to CALLS"
    );
}
