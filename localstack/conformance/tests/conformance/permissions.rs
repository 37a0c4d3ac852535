//! What the functions' roles may do. The full-stack tests run under these very policies and so show that they are
//! enough; the table here shows that they are not more, and why each is there.

use std::collections::BTreeSet;

use crate::source::sources;
use crate::world::World;

pub(crate) mod holds {
    crate::checks::checks!(
        a_role_may_do_what_its_function_does_and_no_more,
        nobody_may_do_everything_or_to_everything,
    );
}

const TABLES: &[&str] =
    &["table/erp-auth", "table/erp-contact", "table/erp-inventory", "table/erp-purchase", "table/erp-sales"];
/// Whose books are checked.
const BOOKS: &[&str] = &["table/erp-inventory", "table/erp-purchase", "table/erp-sales"];
const TOPICS: &[&str] = &[
    "erp-auth-events",
    "erp-contact-events",
    "erp-inventory-events",
    "erp-purchase-events",
    "erp-sales-events",
];

/// A binary, what it may do, on what, and where the code does it. A transaction needs the rights of its actions.
const GRANTS: &[(&str, &str, &[&str], &str)] = &[
    (
        "auth-api",
        "dynamodb:GetItem",
        &["table/erp-auth"],
        "Table::get: users, attempts, resets, kept answers",
    ),
    (
        "auth-api",
        "dynamodb:PutItem",
        &["table/erp-auth"],
        "Transaction::put: users, guards, events, kept answers",
    ),
    ("auth-api", "dynamodb:UpdateItem", &["table/erp-auth"], "Transaction::update: a reset password"),
    (
        "auth-api",
        "dynamodb:DeleteItem",
        &["table/erp-auth"],
        "Transaction::delete: attempts, used reset tokens",
    ),
    ("contact-api", "dynamodb:GetItem", &["table/erp-contact"], "Table::get: contacts, kept answers"),
    ("contact-api", "dynamodb:PutItem", &["table/erp-contact"], "Transaction::put: contacts, guards, events"),
    ("contact-api", "dynamodb:DeleteItem", &["table/erp-contact"], "Transaction::delete: contacts, guards"),
    ("contact-api", "dynamodb:Query", &["table/erp-contact/index/list"], "List: customers, vendors"),
    ("contact-query", "dynamodb:GetItem", &["table/erp-contact"], "Table::get: the one that is asked about"),
    (
        "inventory-api",
        "dynamodb:BatchGetItem",
        &["table/erp-inventory"],
        "Table::get_all: an item with its stock",
    ),
    ("inventory-api", "dynamodb:GetItem", &["table/erp-inventory"], "Table::get: kept answers; the warm-up"),
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
        "dynamodb:ConditionCheckItem",
        &["table/erp-inventory"],
        "Transaction::check: the item is there",
    ),
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
        "Table::get_all: items with their stock",
    ),
    ("inventory-query", "dynamodb:GetItem", &["table/erp-inventory"], "the warm-up"),
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
        "Table::query_prefix: the line for an item",
    ),
    (
        "inventory-worker",
        "dynamodb:BatchWriteItem",
        &["table/erp-inventory"],
        "Table::put_all: movements, places in line",
    ),
    ("sales-api", "dynamodb:GetItem", &["table/erp-sales"], "Table::get: orders, kept answers"),
    ("sales-api", "dynamodb:PutItem", &["table/erp-sales"], "Transaction::put: orders, events, kept answers"),
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
        "Asker: is the customer there, are the items",
    ),
    ("sales-worker", "dynamodb:GetItem", &["table/erp-sales"], "the warm-up"),
    ("sales-worker", "dynamodb:PutItem", &["table/erp-sales"], "Transaction::put: the decision, as history"),
    ("sales-worker", "dynamodb:UpdateItem", &["table/erp-sales"], "Transaction::update: the stock status"),
    ("purchase-api", "dynamodb:GetItem", &["table/erp-purchase"], "Table::get: orders, kept answers"),
    (
        "purchase-api",
        "dynamodb:PutItem",
        &["table/erp-purchase"],
        "Transaction::put: orders, events, kept answers",
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
        "Asker: is the vendor there, are the items",
    ),
    ("relay", "sns:Publish", TOPICS, "SnsPublisher"),
    ("relay", "dynamodb:UpdateItem", TABLES, "DynamoOutbox: what is published leaves the outbox"),
    ("relay-sweep", "sns:Publish", TOPICS, "SnsPublisher"),
    ("relay-sweep", "dynamodb:UpdateItem", TABLES, "DynamoOutbox: what is published leaves the outbox"),
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
        "DynamoUnpublished: what is not published yet",
    ),
    ("reconcile", "dynamodb:Scan", BOOKS, "Table::scan: every item, order and allocation"),
    ("reconcile", "dynamodb:BatchGetItem", BOOKS, "Table::get_all: a second look at what seems wrong"),
    ("reconcile", "dynamodb:GetItem", &["table/erp-inventory"], "Table::get: a balance, read anew"),
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
        "unpublished: what nobody published; Table::query_prefix: an item's movements",
    ),
    (
        "reconcile",
        "lambda:InvokeFunction",
        &["function:erp-reconcile:live"],
        "Scheduled: goes on in another invocation",
    ),
    ("portal", "dynamodb:DescribeTable", TABLES, "AwsProbe: does it serve"),
    (
        "portal",
        "sqs:GetQueueAttributes",
        &["erp-order-status-queue", "erp-order-status-queue-dlq", "erp-stock-queue", "erp-stock-queue-dlq"],
        "AwsProbe: how many wait",
    ),
];

/// The calls that the SDK is asked for, by functions and by the operator's command line; the latter has the rights of
/// whoever types it.
const CALLS: [&str; 16] = [
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
    "query",
    "receive_message",
    "scan",
    "send_message",
    "transact_write_items",
    "update_item",
];

/// What is said first of such a call: what it is about.
const FIRST: [&str; 6] = [
    ".table_name(",
    ".request_items(",
    ".client_request_token(",
    ".queue_url(",
    ".topic_arn(",
    ".function_name(",
];

/// What an ARN ends in: `table/erp-sales`, `function:erp-relay`, `erp-stock-queue`.
fn short(arn: &str) -> String {
    arn.splitn(6, ':').nth(5).unwrap_or(arn).to_owned()
}

fn a_role_may_do_what_its_function_does_and_no_more(world: &World) -> Vec<String> {
    let mut granted = BTreeSet::new();
    for function in &world.deployment.functions {
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
    let needed: BTreeSet<String> = GRANTS
        .iter()
        .flat_map(|(binary, action, resources, _)| {
            resources.iter().map(move |resource| format!("{binary}: {action} on {resource}"))
        })
        .collect();
    let more = granted
        .difference(&needed)
        .map(|grant| format!("{grant}: take it out of template.yaml, or say in GRANTS why"));
    let fewer = needed
        .difference(&granted)
        .map(|grant| format!("{grant}: add it to the function's Policies in template.yaml"));
    let faults = more.chain(fewer);
    faults.collect()
}

fn nobody_may_do_everything_or_to_everything(world: &World) -> Vec<String> {
    let faults = world.deployment.functions.iter().flat_map(|function| {
        let texts = function
            .statements
            .iter()
            .flat_map(|statement| statement.actions.iter().chain(&statement.resources));
        texts
            .filter(|text| text.contains('*') || text.contains('?'))
            .map(|text| format!("{}: {text} has a wildcard; name what is meant", function.logical_id))
    });
    faults.collect()
}

#[test]
fn every_kind_of_call_to_aws_has_its_right() {
    let ours = sources().iter().filter(|source| !source.path.starts_with("localstack"));
    let lines = ours.flat_map(|source| source.code().map(|(_, line)| line.trim()));
    let code: String = lines.collect();
    let mut found = BTreeSet::new();
    for first in FIRST {
        for (at, _) in code.match_indices(first) {
            let call = code[..at].strip_suffix("()").and_then(|before| before.rsplit(['.', ':']).next());
            found.extend(call.filter(|call| *call != "builder"));
        }
    }
    assert_eq!(
        found,
        BTreeSet::from(CALLS),
        "for a new kind of call decide who may, and add its right to GRANTS; then make CALLS the same"
    );
}
